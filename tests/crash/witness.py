"""What anybody ever saw: entries by id, gaps, and each watcher's track through them. Pure."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.crash.ledger import Key, key_in

_DEVICE = re.compile(rb'^\{"device":"((?:[^"\\]|\\.)*)"')


class Seen(NamedTuple):
    """One entry as it was on the wire; ``key`` is None for what is no reading of the ledger's."""

    event: bytes
    data: bytes
    device: str
    key: Key | None


class Told(NamedTuple):
    """A gap that was told: nothing between ``asked`` and ``floor`` (inclusive) was to be had."""

    asked: int
    floor: int
    reason: str


class Witness:
    """Every entry that ever reached anybody, by id; a second content under one id is noted in ``torn``."""

    def __init__(self) -> None:
        self.entries: dict[int, Seen] = {}
        self.ids: dict[Key, list[int]] = {}
        self.torn: list[str] = []

    def take(self, seq: int, event: bytes, data: bytes) -> Seen:
        """An entry came to somebody."""
        seen = self.entries.get(seq)
        if seen is None:
            seen = self.entries[seq] = self._first(seq, event, data)
        elif seen.data != data or seen.event != event:
            self.torn.append(f"number {seq} was given twice, or changed: {seen.data[:120]!r} and {data[:120]!r}")
        return seen

    def _first(self, seq: int, event: bytes, data: bytes) -> Seen:
        found = _DEVICE.match(data)
        device = found[1].decode(errors="replace") if found else ""
        key = key_in(device, data) if event == b"message" else None
        if key is not None:
            self.ids.setdefault(key, []).append(seq)
        return Seen(event, data, device, key)


Wanted = Callable[[str], bool]
"""Whether a device is among those that a watcher asked for."""


@dataclass
class Track:
    """What one watcher saw: ``ids`` in the order of arrival, between where it started and where it stands.

    ``faults`` are what it noticed by itself while it went.
    """

    name: str
    wanted: Wanted
    start: int = -1
    position: int = -1
    ids: array[int] = field(default_factory=lambda: array("q"))
    gaps: list[Told] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    connections: int = 0

    def begin(self, position: int) -> None:
        """The first `hello`, or one of a later connection, which must stand where this track does."""
        if self.start < 0:
            self.start = self.position = position
        elif position != self.position:
            self.faults.append(f"came back at {self.position}, was put at {position}")

    def entry(self, seq: int, device: str) -> None:
        """An entry came."""
        if seq <= self.position:
            kind = "repeated" if seq in self.ids[-2000:] else "out of order"
            self.faults.append(f"{kind}: {seq} after {self.position}")
            return
        if not self.wanted(device):
            self.faults.append(f"{seq} is of {device!r}, which was not asked for")
        self.ids.append(seq)
        self.position = seq

    def moved(self, position: int) -> None:
        """A heartbeat, or the end of replay: everything up to there has come."""
        if position < self.position:
            self.faults.append(f"sent back from {self.position} to {position}")
        self.position = max(self.position, position)

    def gap(self, told: Told) -> None:
        """A gap came."""
        if told.reason == "ahead":
            # The log is not the one that this watcher knew: it begins anew at the floor.
            self.position = min(self.position, told.floor)
        if told.asked < self.position:
            # Above it is right: entries of other devices move a stream on without a word.
            self.faults.append(f"asked for {told.asked} in the gap, but stood at {self.position}")
        if told.floor < self.position:
            self.faults.append(f"a gap back from {self.position} to {told.floor}")
        self.gaps.append(told)
        self.position = told.floor

    def covers(self, seq: int) -> bool:
        """Whether a gap covers an entry."""
        return any(told.asked < seq <= told.floor for told in self.gaps)
