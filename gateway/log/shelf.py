"""Which segments are held, and what a position can still ask of them. Pure: knows files by their `Facts` alone."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from gateway.log.segment import Facts
from gateway.reading import Gap, GapReason


class _Zone(NamedTuple):
    """Positions from ``low`` to ``high`` that miss entries which are gone; reading goes on at ``high + 1``.

    ``bars`` when even a reader that comes from before must be told; else the zone matters only to whoever starts in it.
    """

    low: int
    high: int
    reason: GapReason
    bars: bool


class Shelf:
    """The held segments in order, at least one, the newest last; and the zones between them that are missing."""

    def __init__(self, segments: list[Facts]) -> None:
        self.segments = segments
        self.floor = segments[0].first - 1
        self.floor_reason: GapReason = "expired"
        self._zones = _zones(segments)

    @property
    def bytes(self) -> int:
        """Bytes on disk of all held segments, as of their last commit."""
        return sum(facts.bytes for facts in self.segments)

    def put(self, facts: Facts) -> None:
        """Take new facts of a held segment, or a segment newer than all; what was set aside meanwhile stays away."""
        for place in range(len(self.segments) - 1, -1, -1):
            if self.segments[place].path == facts.path:
                self.segments[place] = facts
                return
        if facts.first > self.segments[-1].first:
            self.segments.append(facts)
            self._zones = _zones(self.segments)

    def take(self, facts: Facts, reason: GapReason) -> None:
        """Forget a segment; the floor rises when it was the oldest, else its range becomes a zone."""
        place = next((at for at, held in enumerate(self.segments) if held.path == facts.path), None)
        if place is None or len(self.segments) == 1:
            return
        del self.segments[place]
        if place == 0:
            self.floor = self.segments[0].first - 1
            self.floor_reason = reason
        self._zones = _zones(self.segments)

    def gap_at(self, position: int, head: int) -> Gap | None:
        """What a stream at ``position`` must be told before it may read on, or None."""
        if position > head:
            return Gap(position, self.floor, head, "ahead")
        if position < self.floor:
            return Gap(position, self.floor, head, self.floor_reason)
        place = bisect_right(self._zones, position, key=lambda zone: zone.low) - 1
        if place >= 0 and position <= self._zones[place].high:
            return Gap(position, self._zones[place].high + 1, head, self._zones[place].reason)
        return None

    def after(self, position: int) -> list[Facts]:
        """The segments that may hold entries after ``position``, oldest first."""
        return [facts for facts in self.segments if facts.last > position]

    def reach(self, position: int, facts: Facts) -> int:
        """How far a read from ``position`` may go in a segment without stepping over something that must be told."""
        return min([facts.last, *(zone.low for zone in self._zones if zone.bars and zone.low > position)])

    def expired(self, max_bytes: int, oldest_ms: int) -> list[Facts]:
        """The segments that retention takes now: never the newest, and always from the old end."""
        total, gone = self.bytes, []
        for facts in self.segments[:-1]:
            if total <= max_bytes and facts.last_received_at_ms >= oldest_ms:
                break
            total -= facts.bytes
            gone.append(facts)
        return gone


def _zones(segments: list[Facts]) -> list[_Zone]:
    zones = []
    for at, facts in enumerate(segments):
        for seam in facts.seams:
            low = seam.after if seam.lossy else seam.after + 1
            zones.append(_Zone(low, seam.next - 2, "lost", seam.lossy))
        if at and facts.seams and facts.seams[0].after > segments[at - 1].last and not facts.seams[0].lossy:
            zones.append(_Zone(segments[at - 1].last, facts.first - 2, "corrupt", bars=True))
    return _without_overlap([zone for zone in zones if zone.low <= zone.high])


def _without_overlap(zones: list[_Zone]) -> list[_Zone]:
    """In order; where a hole and a seam describe the same numbers, the wider zone stays."""
    kept: list[_Zone] = []
    for zone in sorted(zones, key=lambda each: (each.low, -each.high)):
        if not kept or zone.high > kept[-1].high:
            kept.append(zone)
    return kept
