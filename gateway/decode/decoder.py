"""Chooses the convention that decodes a message."""

from __future__ import annotations

from gateway.config import Config
from gateway.decode.conventions.convention import Convention
from gateway.decode.conventions.topics import Topics


def make_decoder(config: Config) -> Convention:
    """What decodes all messages of a gateway with this configuration.

    There is one convention today, so it is the answer itself: a choice among one would cost each message a call.
    """
    return Topics(config.patterns(), config.limits)
