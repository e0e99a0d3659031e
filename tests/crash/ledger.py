"""What was published: each message by device, QoS and number, and what the broker said about it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_NUMBERED = re.compile(rb'q":([012]),"(?:lab/)?n":(\d+)')


class Key(NamedTuple):
    """Names one message of the laboratory; ``number`` counts up for each device and QoS."""

    device: str
    qos: int
    number: int


def payload_of(key: Key) -> bytes:
    """The message's payload; the gateway makes the metrics ``lab/q`` and ``lab/n`` of it."""
    return b'{"q":%d,"n":%d}' % (key.qos, key.number)


def key_in(device: str, text: bytes) -> Key | None:
    """The key that a payload or a reading's JSON carries; None for what is not of the laboratory's making."""
    found = _NUMBERED.search(text)
    return Key(device, int(found[1]), int(found[2])) if found else None


@dataclass(slots=True)
class Publication:
    """One message: ``sendings`` is how often it may have gone out, ``acknowledged_at`` when its PUBACK or PUBCOMP came."""

    sent_at: float
    sendings: int = 1
    acknowledged_at: float | None = None


class Ledger:
    """All publications of one set-up, over all its rounds."""

    def __init__(self) -> None:
        self.publications: dict[Key, Publication] = {}
        self._next: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self.publications)

    def next_key(self, device: str, qos: int) -> Key:
        """A new message's key; it counts as published from here on."""
        number = self._next.get((device, qos), 0)
        self._next[device, qos] = number + 1
        return Key(device, qos, number)

    def sent(self, key: Key, now: float) -> None:
        """It was handed to the client."""
        self.publications[key] = Publication(now)

    def acknowledged(self, key: Key, now: float) -> None:
        """The broker took it over: from here on nobody but the gateway and the broker may lose it."""
        self.publications[key].acknowledged_at = now

    def sent_again(self, key: Key) -> None:
        """The client came back with this message unacknowledged; the broker cannot tell a repetition at QoS 1."""
        self.publications[key].sendings += 1

    @property
    def devices(self) -> set[str]:
        """All devices that ever sent."""
        return {device for device, _ in self._next}
