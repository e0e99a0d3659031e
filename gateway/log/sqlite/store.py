"""The log's entries in SQLite segments: `Store` as one machine has it. Lives on the event loop; what blocks has threads.

One thread writes: numbers, commits, rolls, unlinks. Reads have threads of their own and open a file for one page each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.clock import Clock
from gateway.config import LogSection
from gateway.counters import Counters
from gateway.errors import LogError
from gateway.log.sqlite.budget import DiskBudget
from gateway.log.sqlite.files import Facts
from gateway.log.sqlite.newest import Maker
from gateway.log.sqlite.opening import Start, begin
from gateway.log.sqlite.reader import Reader
from gateway.log.sqlite.writer import Change, Writer, remove
from gateway.log.store import Batch, Feed, Opened, Size, Span
from gateway.reading import Entry, Gap, Page, Place, Wanted
from gateway.selection import Selection

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


async def open_store(
    folder: Path, settings: LogSection, counters: Counters, clock: Clock, budget: DiskBudget, known_position: int = 0
) -> Opened:
    """Open or create the log in ``folder``; arguments and errors are those of `opening.begin`."""
    spent = budget.account()
    maker = Maker(folder, settings, clock, spent)
    beginning = await asyncio.to_thread(spent.counted, partial(begin, maker, known_position))
    for name in beginning.damaged:
        counters.segments_corrupt_total += 1
        _log.error("the segment %s is damaged: set aside, its entries are told as a gap", name)
    store = SqliteStore(maker, counters, budget, beginning)
    return Opened(store, beginning.shelf.span, beginning.recent, beginning.receipts, beginning.damaged)


class _Nobody:
    """The feed of a store that nobody follows yet."""

    def committed(self, entries: Sequence[Entry], span: Span, batch: int | None) -> None: ...

    def changed(self, span: Span) -> None: ...


class SqliteStore:
    """Make it with `open_store`."""

    def __init__(self, maker: Maker, counters: Counters, budget: DiskBudget, beginning: Start) -> None:
        self._settings, self._clock, self._spent = maker.settings, maker.clock, maker.spent
        self._counters, self._budget = counters, budget
        self._writer: Writer = beginning.writer
        self._shelf = beginning.shelf
        self._writing = ThreadPoolExecutor(1, "log-writer")
        self._reader = Reader(self._shelf, counters, self._discard)
        self._feed: Feed = _Nobody()
        self._fed_batch = 0
        self._checkpointing: asyncio.Task[None] | None = None
        self._is_checkpoint_failing = False

    def follow(self, feed: Feed) -> None:
        """As `Store.follow`."""
        self._feed = feed

    # --- what comes --------------------------------------------------------------------------------------------------

    async def commit(self, batch: Batch) -> None:
        """As `Store.commit`."""
        change = await self._write(partial(self._writer.commit, batch))
        self._show(change, batch.id)
        if change.wants_checkpoint:
            # The next commit waits for it, as it needs the same thread; this one is told and acknowledged meanwhile.
            self._checkpointing = asyncio.create_task(self._checkpoint(), name="checkpoint")

    @property
    def commit_interval_s(self) -> float:
        """As `Store.commit_interval_s`: what the settings say, or longer to keep the disk budget."""
        return self._budget.commit_interval_s

    async def _checkpoint(self) -> None:
        try:
            await self._write(self._writer.checkpoint)
        except LogError as error:
            self._counters.checkpoint_failures_total += 1
            if not self._is_checkpoint_failing:
                _log.error("a checkpoint failed, trying again with the next commits: %s", error)
            self._is_checkpoint_failing = True
        else:
            self._is_checkpoint_failing = False

    def _show(self, change: Change, batch: int | None = None) -> None:
        """Tell a change: the one place where the head moves."""
        for facts in change.segments:
            self._shelf.put(facts)
        for facts in change.damaged:
            self._forget(facts)
        if batch is None or batch == self._fed_batch:
            self._feed.changed(self._shelf.span)
        else:
            self._fed_batch = batch
            self._feed.committed(change.entries, self._shelf.span, batch)

    async def _write(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writing, self._spent.counted, work)
        finally:
            self._budget.look()

    # --- what is read ------------------------------------------------------------------------------------------------

    async def read(self, after: int, selection: Selection, limit: int) -> Page | Gap:
        """As `Store.read`."""
        return await self._reader.read(after, selection, limit)

    async def oldest_of(self, selection: Selection, count: int, end: int, wanted: Wanted, after: int) -> int | None:
        """As `Store.oldest_of`; 0.1 s for a million entries in memory, when there are fewer."""
        return await self._reader.oldest_of(selection, count, end, wanted, after)

    async def position_at(self, wall_ms: int) -> Place:
        """As `Store.position_at`."""
        return await self._reader.position_at(wall_ms)

    def size(self) -> Size:
        """As `Store.size`."""
        return Size(self._shelf.bytes, len(self._shelf.segments))

    # --- what goes ---------------------------------------------------------------------------------------------------

    async def trim(self) -> None:
        """As `Store.trim`. Whole segments are unlinked: it works on a full disk."""
        now_ms = self._clock.wall_ms()
        oldest_ms = now_ms - int(self._settings.retention_age_s * 1000)
        newest = self._shelf.newest
        try:
            if not newest.is_empty and newest.last_received_at_ms < oldest_ms:
                self._show(await self._write(self._writer.roll_over))
        except LogError as error:
            _log.warning("the newest segment cannot be ended, trying again: %s", error)
        await self._remove(self._shelf.expired(self._settings.retention_bytes, oldest_ms, now_ms))

    async def make_room(self) -> bool:
        """As `Store.make_room`: the oldest segment goes, if there is another."""
        oldest, *others = self._shelf.segments
        if others:
            await self._remove([oldest])
        return bool(others)

    async def _remove(self, segments: list[Facts]) -> None:
        """The floor rises first, then the files go (law 7)."""
        for facts in segments:
            self._shelf.remove(facts, "expired")
            self._counters.segments_removed_total += 1
        if segments:
            self._feed.changed(self._shelf.span)
            await self._write(partial(remove, [facts.path for facts in segments]))

    async def _discard(self, facts: Facts) -> None:
        """A reader found a damaged segment: it is set aside, and what was in it becomes a gap."""
        if facts.path != self._shelf.newest.path:
            self._forget(facts)
            self._feed.changed(self._shelf.span)
        try:
            change = await self._write(partial(self._writer.discard, facts))
        except LogError as error:
            _log.warning("a damaged segment cannot be set aside, trying again: %s", error)
        else:
            self._show(change)
            self._forget(facts)
            self._feed.changed(self._shelf.span)

    def _forget(self, facts: Facts) -> None:
        if self._shelf.holds(facts):
            self._counters.segments_corrupt_total += 1
            _log.error("the segment %s is damaged: set aside, its entries are told as a gap", facts.path.name)
        self._shelf.remove(facts, "corrupt")

    async def close(self) -> None:
        """As `Store.close`; reads that wait in line are given up."""
        self._reader.close()
        if self._checkpointing is not None:
            await self._checkpointing
        await asyncio.get_running_loop().run_in_executor(self._writing, self._spent.counted, self._writer.close)
        self._writing.shutdown(wait=False)
