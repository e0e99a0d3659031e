"""Which segments are held, and what a position can still ask of them. Pure: knows files by their `Facts` alone.

Each segment begins with seams and goes on with its entries. So a walk along the shelf finds all that is missing:

* inside a seam lie numbers of a life whose last entries did not survive: whoever stands there is told ``lost``;
* where a seam begins above the end of what is held before it, entries are missing (a damaged or deleted segment): whoever
  stands at that end, or comes to it, is told ``corrupt``.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from gateway.log.sqlite.files import Facts
from gateway.reading import Gap, GapReason


class _Zone(NamedTuple):
    """Positions from ``low`` to ``high`` that miss entries which are gone; reading goes on at ``high + 1``."""

    low: int
    high: int
    reason: GapReason


class Shelf:
    """The held segments in order, at least one, the newest last; and the zones between them that are missing."""

    def __init__(self, segments: list[Facts], floor_reason: GapReason = "expired") -> None:
        self.segments = segments
        self.floor_reason = floor_reason
        self._zones = _zones(segments)

    @property
    def floor(self) -> int:
        """The position after which everything that lies in no zone is held."""
        return self.segments[0].seams[0].after

    @property
    def whole_from(self) -> int:
        """The position after which everything is held: the end of the newest hole, or the floor."""
        return max([self.floor, *(zone.high + 1 for zone in self._zones if zone.reason == "corrupt")])

    @property
    def newest(self) -> Facts:
        """The segment that takes the next entries; its last number is the head."""
        return self.segments[-1]

    @property
    def bytes(self) -> int:
        """Bytes on disk of all held segments, as of their last commit."""
        return sum(facts.bytes for facts in self.segments)

    def holds(self, facts: Facts) -> bool:
        """Whether this segment is still to be read."""
        return any(held.path == facts.path for held in self.segments)

    def put(self, facts: Facts) -> None:
        """Take new facts of a held segment, or a segment newer than all; what was set aside meanwhile stays away."""
        for place in range(len(self.segments) - 1, -1, -1):
            if self.segments[place].path == facts.path:
                self.segments[place] = facts
                return
        if facts.first > self.newest.first:
            self.segments.append(facts)
            self._zones = _zones(self.segments)

    def take(self, facts: Facts, reason: GapReason) -> None:
        """Forget a segment, never the only one; the floor rises when it was the oldest, else its range becomes a zone."""
        kept = [held for held in self.segments if held.path != facts.path]
        if not kept or len(kept) == len(self.segments):
            return
        if kept[0] is not self.segments[0]:
            self.floor_reason = reason
        self.segments = kept
        self._zones = _zones(kept)

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

    def next_hole(self, position: int) -> int | None:
        """Where the first hole behind ``position`` begins: nobody may read past it without a word."""
        return next((zone.low for zone in self._zones if zone.low > position and zone.reason == "corrupt"), None)

    def first_after(self, position: int) -> Facts | None:
        """The oldest segment that may hold entries after ``position``."""
        place = bisect_right(self.segments, position, key=lambda facts: facts.last)
        return self.segments[place] if place < len(self.segments) else None

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
    """In order and without overlap."""
    zones: list[_Zone] = []
    end = segments[0].seams[0].after
    for facts in segments:
        for seam in facts.seams:
            if seam.after > end:
                zones.append(_Zone(end, seam.next - 2, "corrupt"))
            else:
                zones.append(_Zone(max(seam.after, end) + 1, seam.next - 2, "lost"))
            end = max(end, seam.next - 1)
        end = max(end, facts.last)
    return [zone for zone in zones if zone.low <= zone.high]
