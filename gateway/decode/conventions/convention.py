"""What every convention offers."""

from __future__ import annotations

from typing import Protocol

from gateway.reading import Decoded, Message


class Convention(Protocol):
    """Turns the messages of one family of devices into what they say.

    Nothing that a message holds may raise here: what cannot be used is a `Rejected`.
    """

    @property
    def name(self) -> str:
        """A short word for it, in log lines and settings."""

    def payer(self, topic: str) -> str:
        """From whose share a flood on this topic is paid: mostly a device's name; empty where no device sends there."""

    def decode(self, message: Message) -> list[Decoded]:
        """All that one message says, in order."""
