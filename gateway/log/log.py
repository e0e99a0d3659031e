"""The log as the other stations see it: append, read, watch, trim; floor and head. Lives on the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from gateway.counters import Counters
from gateway.errors import LogError
from gateway.intake.repeats.receipts import PacketWindow
from gateway.log.budget import Wear
from gateway.log.group_commit import Appender, Deposit
from gateway.log.meter import Meter
from gateway.log.settings import LogSettings
from gateway.log.sqlite.files import Facts
from gateway.log.sqlite.opening import Life, begin
from gateway.log.sqlite.reader import Reader
from gateway.log.sqlite.writer import Change
from gateway.log.watch import Watch, Watches
from gateway.reading import Draft, Entry, Gap, Page, Place, Wanted
from gateway.selection import Selection

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_ANY = Wanted()


class Log:
    """Make it with `Log.open`. What it calls visible has been committed (law 2).

    ``listeners`` are called with the entries of each commit, and the drafts that they were, before any stream wakes; they
    must not block.
    """

    def __init__(self, settings: LogSettings, counters: Counters, life: Life) -> None:
        self._settings, self._counters = settings, counters
        self._writer, self._written = life.writer, life.written
        self.listeners: list[Callable[[list[Entry], list[Draft]], None]] = []
        self.packets = PacketWindow(life.opened.packets)
        self._last_received_at_ms = life.opened.last_received_at_ms
        self._shelf, self._tail = life.shelf, life.tail
        # Positions from here on are of this life, so none of them lies in a seam.
        self._began = self.head
        self._watches = Watches()
        self._writing = ThreadPoolExecutor(1, "log-writer")
        self._reader = Reader(self._shelf, counters, self._discard)
        self._appender = Appender(settings, counters, self._commit, self._make_room)
        self._meter = Meter(settings, counters, life.written, self._appender)
        self._checkpointing: asyncio.Task[None] | None = None
        self._is_checkpoint_failing = False

    @classmethod
    async def open(cls, settings: LogSettings, counters: Counters, known_position: int = 0) -> Log:
        """Open or create the log in ``settings.folder``; raises LogError when it cannot be used.

        ``known_position`` is the newest position known from elsewhere: numbers stay above it, and entries up to it that
        are missing are told as a gap.
        """
        life = await asyncio.to_thread(begin, settings, known_position)
        for name in life.opened.damaged:
            counters.segments_corrupt_total += 1
            _log.error("the segment %s is damaged: set aside, its entries are told as a gap", name)
        return cls(settings, counters, life)

    @property
    def head(self) -> int:
        """The position of the newest entry."""
        return self._shelf.newest.last

    @property
    def floor(self) -> int:
        """The position after which everything that is not declared missing is held."""
        return self._shelf.floor

    @property
    def disk_bytes(self) -> int:
        """Bytes of all segments on disk."""
        return self._shelf.bytes

    @property
    def segments(self) -> int:
        """How many segments are held."""
        return len(self._shelf.segments)

    @property
    def tail_bytes(self) -> int:
        """Bytes that the tail takes in memory; at most ``tail_bytes`` of the settings."""
        return self._tail.bytes

    def now_ms(self) -> int:
        """Our clock in Unix ms; never behind an earlier answer, so that time finds its place in the log by bisection."""
        self._last_received_at_ms = max(self._last_received_at_ms, time.time_ns() // 1_000_000)
        return self._last_received_at_ms

    # --- append ------------------------------------------------------------------------------------------------------

    def append(self, deposit: Deposit) -> None:
        """Take what a message brought; it is committed with others after ``commit_interval_ms`` or enough messages.

        Never blocks. Above ``max_waiting_messages`` `is_full` is true: callers then stop until `on_room` is called.
        """
        self._appender.append(deposit)

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that ingest should stop reading from the broker."""
        return self._appender.is_full

    @property
    def on_room(self) -> Callable[[], None]:
        """Called when the log was full and is no more."""
        return self._appender.on_room

    @on_room.setter
    def on_room(self, call: Callable[[], None]) -> None:
        self._appender.on_room = call

    @property
    def waiting(self) -> int:
        """Messages that were appended but not committed yet."""
        return self._appender.waiting

    @property
    def failing(self) -> str:
        """Why commits fail now; empty while they do not."""
        return self._appender.failing

    async def _commit(self, drafts: list[Draft], marks: bytes) -> None:
        change = await self._write(partial(self._writer.commit, drafts, marks))
        self._show(change, drafts)
        if change.wants_checkpoint:
            # The next commit waits for it, as it needs the same thread; this one is visible and acknowledged meanwhile.
            self._checkpointing = asyncio.create_task(self._checkpoint(), name="checkpoint")

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

    def _show(self, change: Change, drafts: list[Draft] | None = None) -> None:
        """Make a change visible: the one place where the head moves. ``drafts`` are what its entries were."""
        for facts in change.segments:
            self._shelf.put(facts)
        for facts in change.damaged:
            self._forget(facts)
        if not change.entries:
            return
        self._tail.add(change.entries)
        self._counters.entries_total.update([entry.kind for entry in change.entries])
        for listener in self.listeners:
            listener(change.entries, drafts or [])
        self._watches.wake({entry.device for entry in change.entries})

    async def _write(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writing, self._written.counted, work)
        finally:
            self._meter.look()

    async def in_writer(self, work: Callable[[], int | None]) -> None:
        """Run something that writes small files of ours on the writer's thread, between commits.

        It returns how many times it forced a file to the disk, if it did.
        """

        def counting() -> None:
            self._written.fsyncs += work() or 0

        await self._write(counting)

    def spent(self, written_bytes: int, fsyncs: int) -> None:
        """Another file of ours was written: it counts into what the gateway writes a day."""
        self._written.bytes += written_bytes
        self._written.fsyncs += fsyncs
        self._meter.look()

    @property
    def wear(self) -> Wear:
        """What is written a day, and the commit interval that follows from it."""
        return self._meter.look()

    # --- read and watch ----------------------------------------------------------------------------------------------

    def watch(self, selection: Selection, wake: Callable[[], object]) -> Watch:
        """Have ``wake`` called when something of ``selection`` was appended; hand the watch back with `unwatch`."""
        return self._watches.open(selection, wake)

    def unwatch(self, watch: Watch) -> None:
        """The stream has ended."""
        self._watches.close(watch)

    def read_tail(self, after: int, selection: Selection, limit: int) -> Page | None:
        """As `read`, without waiting; None where the tail does not reach back to the position, or a gap must be told."""
        if after >= self._tail.floor_of(selection) and self.floor <= after <= self.head:
            if after < self._began and self._shelf.gap_at(after, self.head) is not None:
                return None
            self._counters.reads_total["tail"] += 1
            return self._tail.read(after, selection, limit, self.head)
        return None

    async def read(self, after: int, selection: Selection, limit: int) -> Page | Gap:
        """The next entries of ``selection`` after a position, at most ``limit``, or the gap that lies there.

        The page's position may lie before the head although it is empty: then read again from there. Reading holds no
        file and no lock when it returns (law 6), and comes back without waiting where the tail has the entries.
        """
        while True:
            found = self.read_tail(after, selection, limit)
            if found is not None:
                return found
            gap = self._shelf.gap_at(after, self.head)
            if gap is not None:
                return gap
            page = await self._reader.page(after, selection, limit)
            if page is not None:
                return page

    async def position_at(self, received_at_ms: int) -> Place:
        """The position after which lies everything that arrived at that time or later, and whether all of it is held."""
        return await self._reader.position_at(received_at_ms)

    async def oldest_of(
        self, selection: Selection, count: int, end: int, wanted: Wanted = _ANY, after: int = 0
    ) -> int | None:
        """The number of the oldest of the newest ``count`` entries up to ``end``; None when fewer are held above ``after``.

        Only entries that are ``wanted`` count: a limit says how much is sent, so what is not sent must not use it up.
        Takes as long as the log is, 0.1 s for a million entries in memory, when there are fewer.
        """
        return await self._reader.oldest_of(selection, count, end, wanted, after)

    # --- what goes ---------------------------------------------------------------------------------------------------

    async def trim(self) -> None:
        """Let go of what retention (age and bytes) no longer holds. Whole segments, unlinked: it works on a full disk."""
        oldest_ms = self.now_ms() - int(self._settings.retention_age_s * 1000)
        newest = self._shelf.newest
        try:
            if not newest.is_empty and newest.last_received_at_ms < oldest_ms:
                self._show(await self._write(self._writer.roll_over))
        except LogError as error:
            _log.warning("the newest segment cannot be ended, trying again: %s", error)
        await self._drop(self._shelf.expired(self._settings.retention_bytes, oldest_ms))

    async def _make_room(self) -> bool:
        """The disk is full: the oldest segment goes, if there is another."""
        oldest, *others = self._shelf.segments
        if others:
            await self._drop([oldest])
        return bool(others)

    async def _drop(self, segments: list[Facts]) -> None:
        """The floor rises first, then the files go (law 7)."""
        for facts in segments:
            self._shelf.take(facts, "expired")
            self._counters.segments_removed_total += 1
        if segments:
            await self._write(partial(self._writer.remove, [facts.path for facts in segments]))

    async def _discard(self, facts: Facts) -> None:
        """A reader found a damaged segment: it is set aside, and what was in it becomes a gap."""
        if facts.path != self._shelf.newest.path:
            self._forget(facts)
        try:
            change = await self._write(partial(self._writer.discard, facts))
        except LogError as error:
            _log.warning("a damaged segment cannot be set aside, trying again: %s", error)
        else:
            self._show(change)
            self._forget(facts)

    def _forget(self, facts: Facts) -> None:
        if self._shelf.holds(facts):
            self._counters.segments_corrupt_total += 1
            _log.error("the segment %s is damaged: set aside, its entries are told as a gap", facts.path.name)
            self._shelf.take(facts, "corrupt")

    # --- close -------------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Commit what waits. Comes back without it while the disk refuses: it stays unacknowledged at the broker."""
        await self._appender.drain()

    async def close(self) -> None:
        """`drain`, then let the files go."""
        await self._appender.close()
        await self._write(self._writer.close)
        if self._checkpointing is not None:
            await self._checkpointing
        self._writing.shutdown(wait=False)
        self._reader.close()
