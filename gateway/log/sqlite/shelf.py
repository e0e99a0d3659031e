"""Which segments are held, and what is missing between them. Pure: knows files by their `Facts` alone.

Each segment begins with seams and goes on with its entries. So a walk along the segments finds all that is missing:

* inside a seam lie numbers of an opening whose last entries did not survive: whoever stands there is told ``lost``;
* where a seam begins above the end of what is held before it, entries are missing (a damaged or deleted segment): whoever
  stands at that end, or comes to it, is told ``corrupt``.
"""

from __future__ import annotations

from bisect import bisect_right

from gateway.log.sqlite.files import Facts
from gateway.log.store import Hole, Span
from gateway.reading import GapReason


class Shelf:
    """The held segments in order, at least one, the newest last; and the holes between them."""

    def __init__(self, segments: list[Facts], floor_reason: GapReason = "expired") -> None:
        self.segments = segments
        self._floor_reason = floor_reason
        self._holes = _holes(segments)

    @property
    def span(self) -> Span:
        """What is held, as it is told; the end of the newest segment is the head."""
        return Span(self.segments[0].seams[0].after, self.newest.last, self._floor_reason, self._holes)

    @property
    def newest(self) -> Facts:
        """The segment that takes the next entries."""
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
            self._holes = _holes(self.segments)

    def remove(self, facts: Facts, reason: GapReason) -> None:
        """Forget a segment, never the only one; the floor rises when it was the oldest, else its range becomes a hole."""
        kept = [held for held in self.segments if held.path != facts.path]
        if not kept or len(kept) == len(self.segments):
            return
        if kept[0] is not self.segments[0]:
            self._floor_reason = reason
        self.segments = kept
        self._holes = _holes(kept)

    def next_hole(self, position: int) -> int | None:
        """Where the first hole behind ``position`` begins that hides entries: nobody may read past it without being told."""
        return next((hole.low for hole in self._holes if hole.low > position and hole.reason == "corrupt"), None)

    def first_after(self, position: int) -> Facts | None:
        """The oldest segment that may hold entries after ``position``."""
        place = bisect_right(self.segments, position, key=lambda facts: facts.last)
        return self.segments[place] if place < len(self.segments) else None

    def expired(self, max_bytes: int, oldest_ms: int, now_ms: int) -> list[Facts]:
        """The segments that retention removes now: never the newest, and always from the old end.

        Those above ``max_bytes`` in all, and those whose newest entry arrived before ``oldest_ms``. A segment that ended
        later than ``now_ms`` was written while the wall clock was ahead, so its time says nothing: it goes when the next
        one does whose time can be true.
        """
        total, gone, doubtful = self.bytes, list[Facts](), list[Facts]()
        for facts in self.segments[:-1]:
            if total > max_bytes or facts.last_received_at_ms < oldest_ms:
                gone += [*doubtful, facts]
                doubtful.clear()
            elif facts.last_received_at_ms > now_ms:
                doubtful.append(facts)
            else:
                break
            total -= facts.bytes
        return gone


def _holes(segments: list[Facts]) -> tuple[Hole, ...]:
    """In order and without overlap."""
    holes: list[Hole] = []
    end = segments[0].seams[0].after
    for facts in segments:
        for seam in facts.seams:
            if seam.after > end:
                holes.append(Hole(end, seam.next - 2, "corrupt"))
            else:
                holes.append(Hole(max(seam.after, end) + 1, seam.next - 2, "lost"))
            end = max(end, seam.next - 1)
        end = max(end, facts.last)
    return tuple(hole for hole in holes if hole.low <= hole.high)
