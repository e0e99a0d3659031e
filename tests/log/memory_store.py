"""A store that keeps its entries in memory: small enough to be seen to be right, and proof that the protocol is enough.

`Disk` is what outlives an opening. Retention is by entries, in blocks of a few, as a store trims whole segments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.clock import Clock
from gateway.frame import entry_data, numbered
from gateway.log.store import RECEIPT_BYTES, RECEIPTS_KEPT, Batch, Feed, FullError, Hole, Opened, Recent, Size, Span
from gateway.reading import Entry, Gap, Page, Place, Wanted
from gateway.selection import Selection

JUMP = 1_000_000
BLOCK = 4
LOOK = 50
"""Entries that one read looks at."""


@dataclass
class Disk:
    """What is kept over openings: entries, receipts, how far the numbers were given, and where entries are gone."""

    entries: list[Entry] = field(default_factory=list)
    receipts: bytes = b""
    next: int = 0
    floor: int = 0
    before_ms: int = 0
    holes: tuple[Hole, ...] = ()
    room: int = 10**9


def open_memory(disk: Disk, keep_entries: int, clock: Clock, known_position: int = 0) -> Opened:
    """Open what is on ``disk``: numbers jump ahead, and what was skipped is told as lost to who stands in it."""
    is_new = disk.next == 0
    last = disk.entries[-1].seq if disk.entries else disk.floor
    reached = max(disk.next - 1, known_position, last)
    after_holes = max([0, *(hole.high + 1 for hole in disk.holes)])
    disk.next = max(reached + JUMP, clock.wall_ms() * 1000)
    if is_new:
        disk.floor = disk.next - 1
    elif known_position > last:
        disk.holes += (Hole(max(last, after_holes), disk.next - 2, "corrupt"),)
    else:
        disk.holes += (Hole(max(last + 1, after_holes), disk.next - 2, "lost"),)
    store = MemoryStore(disk, keep_entries, clock)
    span = store.span
    recent = [entry for entry in disk.entries if entry.seq > span.whole_from]
    kept = RECEIPTS_KEPT * RECEIPT_BYTES
    return Opened(store, span, Recent(span.whole_from, recent), disk.receipts[-kept:])


class MemoryStore:
    """Keeps about ``keep_entries`` of them when trimmed."""

    def __init__(self, disk: Disk, keep_entries: int, clock: Clock) -> None:
        self._disk, self._keep, self._clock = disk, keep_entries, clock
        self._feeds: list[Feed] = []
        self._batch = 0
        self._head = disk.next - 1

    @property
    def span(self) -> Span:
        return Span(
            self._disk.floor, self._head, "expired", tuple(h for h in self._disk.holes if h.high > self._disk.floor)
        )

    def follow(self, feed: Feed) -> None:
        self._feeds.append(feed)

    async def commit(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        if batch.id == self._batch:
            return
        if len(self._disk.entries) + len(batch.drafts) > self._disk.room:
            raise FullError("the memory store is full")
        entries = numbered(batch.drafts, self._disk.next)
        self._batch = batch.id
        self._keep_entries(entries, batch.receipts)
        self._tell(entries, batch.id)

    def commit_of_another_node(self, batch: Batch) -> None:
        """Somebody else commits to what this store shows."""
        entries = numbered(batch.drafts, self._disk.next)
        self._keep_entries(entries, batch.receipts)
        self._tell(entries, None)

    def _keep_entries(self, entries: list[Entry], receipts: bytes) -> None:
        self._disk.entries += entries
        self._disk.next += len(entries)
        self._disk.receipts += receipts
        self._head = entries[-1].seq if entries else self._head

    def _tell(self, entries: Sequence[Entry], batch: int | None) -> None:
        for feed in self._feeds:
            feed.committed(entries, self.span, batch)

    async def read(self, after: int, selection: Selection, limit: int) -> Page | Gap:
        await asyncio.sleep(0)
        if (gap := self.span.gap_at(after)) is not None:
            return gap
        end = min([hole.low for hole in self.span.holes if hole.low > after and hole.reason == "corrupt"], default=None)
        looked = [e for e in self._disk.entries if e.seq > after and (end is None or e.seq <= end)]
        found = [e for e in looked[:LOOK] if e.device in selection][:limit]
        if len(found) == limit or len(looked) > LOOK:
            return Page(found, found[-1].seq if len(found) == limit else looked[LOOK - 1].seq)
        return Page(found, self._head if end is None else end)

    async def oldest_of(self, selection: Selection, count: int, end: int, wanted: Wanted, after: int) -> int | None:
        await asyncio.sleep(0)
        found = [
            e.seq for e in self._disk.entries if after < e.seq <= end and e.device in selection and _counts(e, wanted)
        ]
        return found[-count] if len(found) >= count else None

    async def position_at(self, wall_ms: int) -> Place:
        await asyncio.sleep(0)
        before = [entry.seq for entry in self._disk.entries if entry.received_at_ms < wall_ms]
        return Place(before[-1], True) if before else Place(self._disk.floor, self._disk.before_ms < wall_ms)

    async def trim(self) -> None:
        over = len(self._disk.entries) - self._keep
        await self._remove(over // BLOCK * BLOCK)

    async def make_room(self) -> bool:
        is_there = len(self._disk.entries) > BLOCK
        await self._remove(BLOCK if is_there else 0)
        return is_there

    async def _remove(self, count: int) -> None:
        if count <= 0:
            return
        gone, self._disk.entries = self._disk.entries[:count], self._disk.entries[count:]
        self._disk.floor, self._disk.before_ms = gone[-1].seq, gone[-1].received_at_ms
        for feed in self._feeds:
            feed.changed(self.span)
        await asyncio.sleep(0)

    @property
    def commit_interval_s(self) -> float:
        return 0.001

    def size(self) -> Size:
        return Size(sum(len(entry.frame) for entry in self._disk.entries), 1)

    async def close(self) -> None:
        self._feeds.clear()


def _counts(entry: Entry, wanted: Wanted) -> bool:
    if wanted.kind not in (None, entry.kind):
        return False
    if not wanted.metrics or entry.kind != "reading":
        return True
    return not wanted.metrics.isdisjoint(msgspec.json.decode(entry_data(entry))["values"])
