"""The newest entries in memory, shared by all streams; a cursor behind it reads from segments. Pure, and one thread's."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from heapq import merge
from operator import attrgetter

from gateway.reading import Entry, Page
from gateway.selection import Selection

ENTRY_OVERHEAD_BYTES = 320
"""What CPython keeps for an entry beside its frame's text: objects, list places and their slack, measured on 3.11."""

MERGE_DEVICES = 16
"""The runs of up to this number of named devices are merged; for more devices the whole tail is looked through."""

SCAN_ENTRIES = 10_000
"""Entries looked at by one read: about 1 ms of the event loop, then other streams have their turn."""

_seq = attrgetter("seq")
_DROPPED = Entry(0, "reading", "", 0, b"")


def bytes_of(entry: Entry) -> int:
    """What an entry takes in memory."""
    return len(entry.frame) + ENTRY_OVERHEAD_BYTES


class _Run:
    """Entries in order of seq, with cheap removal at the old end: a list and the place where it begins."""

    __slots__ = ("entries", "start")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.start = 0

    def drop(self, count: int) -> None:
        """Let the oldest ``count`` entries go."""
        # Their places are kept for a while, what was in them is not: else twice ``max_bytes`` would be held.
        self.entries[self.start : self.start + count] = [_DROPPED] * count
        self.start += count
        if self.start > 64 and self.start * 2 > len(self.entries):
            del self.entries[: self.start]
            self.start = 0

    def place_after(self, position: int) -> int:
        return bisect_right(self.entries, position, lo=self.start, key=_seq)


class Tail:
    """Holds every entry with ``floor < seq <= head``, at most ``max_bytes`` of them; the oldest go first.

    Beside that it keeps one number for each device that lost an entry, so at most ``limits.max_devices``.
    """

    def __init__(self, floor: int, max_bytes: int) -> None:
        self.floor = floor
        self.bytes = 0
        self._begin = floor
        self._gone: dict[str, int] = {}
        self._max_bytes = max_bytes
        self._all = _Run()
        self._by_device: dict[str, _Run] = {}

    def __len__(self) -> int:
        return len(self._all.entries) - self._all.start

    def add(self, entries: Sequence[Entry]) -> None:
        """Take entries that were committed, with rising numbers above all that are here."""
        runs = self._by_device
        self._all.entries += entries
        for entry in entries:
            run = runs.get(entry.device)
            if run is None:
                run = runs[entry.device] = _Run()
            run.entries.append(entry)
        self.bytes += sum(map(bytes_of, entries))
        if self.bytes > self._max_bytes:
            self._drop(self.bytes - self._max_bytes)

    def _drop(self, bytes_: int) -> None:
        """Let the oldest entries go until ``bytes_`` are free, or none is left."""
        freed, entries, end = 0, self._all.entries, self._all.start
        while freed < bytes_ and end < len(entries):
            freed += bytes_of(entries[end])
            end += 1
        dropped = entries[self._all.start : end]
        self._all.drop(len(dropped))
        self._gone |= {entry.device: entry.seq for entry in dropped}
        for device, count in Counter([entry.device for entry in dropped]).items():
            run = self._by_device[device]
            run.drop(count)
            if run.start == len(run.entries):
                del self._by_device[device]
        self.bytes -= freed
        self.floor = dropped[-1].seq

    def floor_of(self, selection: Selection) -> int:
        """The position after which everything of ``selection`` is here; for few named devices it may lie below the floor.

        So the stream of a quiet device needs no disk, however much others send.
        """
        if selection.globs or len(selection.names) > MERGE_DEVICES:
            return self.floor
        return max((self._gone.get(name, self._begin) for name in selection.names), default=self._begin)

    def read(self, after: int, selection: Selection, limit: int, head: int) -> Page:
        """The next entries of ``selection``; ``after`` must not lie below their floor."""
        if after >= head:
            return Page([], after)
        if selection.globs or len(selection.names) > MERGE_DEVICES:
            return self._scan(after, selection, limit, head)
        runs = [self._after(run, after, limit) for name in selection.names if (run := self._by_device.get(name))]
        found = runs[0] if len(runs) == 1 else list(merge(*runs, key=_seq))[:limit]
        return Page(found, found[-1].seq if len(found) == limit else head)

    @staticmethod
    def _after(run: _Run, after: int, limit: int) -> list[Entry]:
        place = run.place_after(after)
        return run.entries[place : place + limit]

    def _scan(self, after: int, selection: Selection, limit: int, head: int) -> Page:
        if selection.is_all:
            found = self._after(self._all, after, limit)
            return Page(found, found[-1].seq if len(found) == limit else head)
        seen = self._after(self._all, after, SCAN_ENTRIES)
        found = [entry for entry in seen if entry.device in selection][:limit]
        if len(found) == limit:
            return Page(found, found[-1].seq)
        return Page(found, seen[-1].seq if len(seen) == SCAN_ENTRIES else head)
