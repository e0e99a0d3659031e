"""The log as the other stations see it: append, read, watch, trim; floor and head. Lives on the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from gateway.counters import Counters
from gateway.errors import LogError
from gateway.log import segment
from gateway.log.packets import MARK, PacketWindow
from gateway.log.segment import DamagedError, Durability, Facts, FullError, StorageError
from gateway.log.shelf import Shelf
from gateway.log.tail import Tail
from gateway.log.watch import Watch, Watches
from gateway.log.writer import Committed, Roll, Writer
from gateway.reading import Draft, Entry, Gap, Kind, Page
from gateway.selection import Selection

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

READERS = 2
"""Reader threads; replays beyond that wait in line, so that many at once cannot starve the loop of the GIL."""

RETRY_S = (0.1, 0.5, 2.0, 5.0)
"""Pauses after failed commits; the last one repeats for as long as the disk does."""


READ_RETRY_S = 0.5
"""Pause of a stream whose segment could not be opened."""


class LogSettings(NamedTuple):
    """Sizes and times of the log; the defaults and their reasons are in `config.toml`, sections `log` and `mqtt`."""

    folder: Path
    durability: Durability = "process"
    commit_interval_ms: int = 20
    commit_messages: int = 500
    segment_bytes: int = 64 * 2**20
    segment_age_s: float = 3600
    retention_bytes: int = 2**30
    retention_age_s: float = 86_400
    tail_bytes: int = 32 * 2**20
    max_waiting_messages: int = 20_000
    packet_window: int = 1000


class Deposit(NamedTuple):
    """What one message brought: committed as a whole, and `committed` called after that, on the event loop."""

    drafts: list[Draft]
    mark: bytes = b""
    committed: Callable[[], None] | None = None


class Log:
    """Make it with `Log.open`. What it calls visible has been committed (law 2).

    ``listeners`` are called with the entries of each commit, before any stream wakes; they must not block.
    """

    def __init__(self, settings: LogSettings, counters: Counters, writer: Writer, shelf: Shelf, head: int) -> None:
        self._settings, self._counters, self._writer, self._shelf = settings, counters, writer, shelf
        self.head = head
        self.listeners: list[Callable[[list[Entry]], None]] = []
        self.packets = PacketWindow(settings.packet_window)
        self._tail = Tail(head, settings.tail_bytes)
        self._watches = Watches()
        self._writing = ThreadPoolExecutor(1, "log-writer")
        self._reading = ThreadPoolExecutor(READERS, "log-reader")
        self._waiting: list[Deposit] = []
        self._timer: asyncio.TimerHandle | None = None
        self._committing: asyncio.Task[None] | None = None
        self._last_received_at_ms = 0
        self._was_full = False
        self.on_room: Callable[[], None] = lambda: None
        self.failing = ""

    @classmethod
    async def open(cls, settings: LogSettings, counters: Counters, known_position: int = 0) -> Log:
        """Open or create the log in ``settings.folder``; raises LogError when it cannot be used.

        ``known_position`` is the newest position known from elsewhere: numbers stay above it, and entries up to it that
        are missing are told as a gap.
        """
        writer = Writer(
            settings.folder, settings.durability, Roll(settings.segment_bytes, int(settings.segment_age_s * 1000))
        )
        packet_bytes = settings.packet_window * MARK.size
        opened = await asyncio.to_thread(writer.open, time.time_ns() // 1_000_000, known_position, packet_bytes)
        log = cls(settings, counters, writer, Shelf(opened.segments), opened.head)
        log.packets = PacketWindow(settings.packet_window, opened.packets)
        log._last_received_at_ms = opened.last_received_at_ms
        for name in opened.damaged:
            counters.segments_corrupt_total += 1
            _log.error("the segment %s is damaged: set aside, its entries are told as a gap", name)
        return log

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

    @property
    def waiting(self) -> int:
        """Messages that were appended but not committed yet."""
        return len(self._waiting)

    def now_ms(self) -> int:
        """Our clock in Unix ms; never behind an earlier answer, so that time finds its place in the log by bisection."""
        self._last_received_at_ms = max(self._last_received_at_ms, time.time_ns() // 1_000_000)
        return self._last_received_at_ms

    # --- append ------------------------------------------------------------------------------------------------------

    def append(self, deposit: Deposit) -> None:
        """Take what a message brought; it is committed with others after ``commit_interval_ms`` or enough messages.

        Never blocks. Above ``max_waiting_messages`` `is_full` is true: callers then stop until `on_room` is called.
        """
        self._waiting.append(deposit)
        self._was_full = self._was_full or self.is_full
        if self._committing is not None:
            return
        if len(self._waiting) >= self._settings.commit_messages:
            self._begin_commit()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._settings.commit_interval_ms / 1000, self._begin_commit)

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that ingest should stop reading from the broker."""
        return len(self._waiting) >= self._settings.max_waiting_messages

    def _begin_commit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._committing is None:
            batch, self._waiting = self._waiting, []
            self._committing = asyncio.create_task(self._commit(batch))

    async def _commit(self, batch: list[Deposit]) -> None:
        drafts = [draft for deposit in batch for draft in deposit.drafts]
        marks = b"".join(deposit.mark for deposit in batch)
        began = time.perf_counter()
        committed = await self._commit_until_done(drafts, marks)
        self._counters.commit_seconds_total += time.perf_counter() - began
        self._counters.commits_total += 1
        self._show(committed)
        self._committing = None
        for deposit in batch:
            if deposit.committed is not None:
                deposit.committed()
        if self._was_full and not self.is_full:
            self._was_full = False
            self.on_room()
        if len(self._waiting) >= self._settings.commit_messages:
            self._begin_commit()
        elif self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._settings.commit_interval_ms / 1000, self._begin_commit)

    async def _commit_until_done(self, drafts: list[Draft], marks: bytes) -> Committed:
        tries = 0
        while True:
            try:
                committed = await self._write(partial(self._writer.commit, drafts, marks))
            except LogError as error:
                await self._after_failure(error, RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
            else:
                if self.failing:
                    _log.warning("the log accepts entries again")
                    self.failing = ""
                return committed

    async def _after_failure(self, error: LogError, pause_s: float) -> None:
        """Nothing is lost: the batch waits here, unacknowledged, and the broker holds what follows."""
        self._counters.commit_failures_total += 1
        if not self.failing:
            _log.error("the log cannot be written, trying again: %s", error)
        self.failing = str(error)
        if isinstance(error, FullError) and len(self._shelf.segments) > 1:
            await self._drop([self._shelf.segments[0]])
        else:
            await asyncio.sleep(pause_s)

    def _show(self, committed: Committed) -> None:
        """Make a commit visible: the one place where the head moves."""
        for facts in committed.segments:
            self._shelf.put(facts)
        if committed.damaged:
            self._forget_damaged(committed.damaged)
        if not committed.entries:
            return
        self._tail.add(committed.entries)
        self.head = committed.entries[-1].seq
        for entry in committed.entries:
            self._counters.entries_total[entry.kind] += 1
        for listener in self.listeners:
            listener(committed.entries)
        self._watches.wake({entry.device for entry in committed.entries})

    async def _write(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._writing, work)

    async def in_writer(self, work: Callable[[], _T]) -> _T:
        """Run something that writes small files of ours on the writer's thread, between commits."""
        return await self._write(work)

    # --- read and watch ----------------------------------------------------------------------------------------------

    def watch(self, selection: Selection) -> Watch:
        """A bit that is set when something of ``selection`` was appended; hand it back with `unwatch`."""
        return self._watches.open(selection)

    def unwatch(self, watch: Watch) -> None:
        """The stream has ended."""
        self._watches.close(watch)

    def wake_all(self) -> None:
        """Set every stream's bit."""
        self._watches.wake_all()

    async def read(self, after: int, selection: Selection, limit: int) -> Page | Gap:
        """The next entries of ``selection`` after a position, at most ``limit``, or the gap that lies there.

        The page's position may lie before the head although it is empty: then read again from there. Reading holds no
        file and no lock when it returns (law 6), and comes back without waiting where the tail has the entries.
        """
        while True:
            if after >= self._tail.floor and self.floor <= after <= self.head:
                self._counters.reads_total["tail"] += 1
                return self._tail.read(after, selection, limit, self.head)
            gap = self._shelf.gap_at(after, self.head)
            if gap is not None:
                return gap
            page = await self._read_segments(after, selection, limit)
            # The floor may have risen while the read was under way: what it found may have holes then (law 7).
            if page is not None and self.floor <= after:
                return page

    async def _read_segments(self, after: int, selection: Selection, limit: int) -> Page | None:
        """One page from the first segment that has entries after the position; None when it proved damaged."""
        self._counters.reads_total["segments"] += 1
        facts = next(iter(self._shelf.after(after)), None)
        if facts is None:
            return Page([], self.head)
        until = self._shelf.reach(after, facts)
        work = partial(segment.read, facts.path, after, until, selection, limit)
        try:
            entries, position = await asyncio.get_running_loop().run_in_executor(self._reading, work)
        except DamagedError as error:
            await self._after_damage(facts, error)
            return None
        except StorageError as error:
            # The file is there but cannot be opened (permissions, too many open files): the stream waits, it loses nothing.
            self._counters.read_failures_total += 1
            _log.warning("reading the log failed, trying again: %s", error)
            await asyncio.sleep(READ_RETRY_S)
            return Page([], after)
        return Page(entries, position)

    async def _after_damage(self, facts: Facts, error: DamagedError) -> None:
        """A reader found a damaged segment: set it aside, once, and let what was in it become a gap."""
        if facts.path not in {held.path for held in self._shelf.segments}:
            return
        if facts.path == self._shelf.segments[-1].path:
            _log.error("the newest segment is damaged: %s", error)
            damaged, newest = await self._write(self._writer.replace_newest)
            self._shelf.put(newest)
            self._forget_damaged(damaged)
        else:
            self._forget_damaged(facts)
            await self._write(partial(self._writer.set_aside, facts.path))

    def _forget_damaged(self, facts: Facts) -> None:
        self._counters.segments_corrupt_total += 1
        _log.error("the segment %s is damaged: set aside, its entries are told as a gap", facts.path.name)
        self._shelf.take(facts, "corrupt")

    async def position_at(self, received_at_ms: int) -> int:
        """The position after which lies everything that arrived at that time or later."""
        for facts in reversed(self._shelf.segments):
            if facts.last >= facts.first and facts.first_received_at_ms < received_at_ms:
                if facts.last_received_at_ms < received_at_ms:
                    return facts.last
                found = await self._ask(facts, partial(segment.position_before, facts.path, received_at_ms))
                return found if found is not None else facts.first - 1
        return self.floor

    async def position_back(self, selection: Selection, count: int) -> int:
        """The position after which lie the newest ``count`` entries of ``selection``, or all that are held."""
        oldest = await self.oldest_of(selection, count, self.head)
        return self.floor if oldest is None else max(oldest - 1, self.floor)

    async def oldest_of(self, selection: Selection, count: int, end: int, kind: Kind | None = None) -> int | None:
        """The number of the oldest of the newest ``count`` entries up to ``end``; None when fewer are held."""
        for facts in reversed(self._shelf.segments):
            if facts.first > end:
                continue
            work = partial(segment.count_back, facts.path, min(facts.last, end), selection, count, kind)
            found, oldest = await self._ask(facts, work) or (0, 0)
            count -= found
            if count <= 0:
                return oldest
        return None

    async def _ask(self, facts: Facts, work: Callable[[], _T]) -> _T | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, work)
        except DamagedError as error:
            await self._after_damage(facts, error)
            return None

    # --- retention ---------------------------------------------------------------------------------------------------

    async def trim(self) -> None:
        """Let go of what retention (age and bytes) no longer holds. Whole segments, unlinked: it works on a full disk."""
        oldest_ms = self.now_ms() - int(self._settings.retention_age_s * 1000)
        newest = self._shelf.segments[-1]
        if newest.last >= newest.first and newest.last_received_at_ms < oldest_ms and self._committing is None:
            for facts in await self._write(self._writer.roll_over):
                self._shelf.put(facts)
        await self._drop(self._shelf.expired(self._settings.retention_bytes, oldest_ms))

    async def _drop(self, segments: list[Facts]) -> None:
        """The floor rises first, then the files go (law 7)."""
        for facts in segments:
            self._shelf.take(facts, "expired")
            self._counters.segments_removed_total += 1
        if segments:
            await self._write(partial(self._writer.remove, [facts.path for facts in segments]))

    # --- close -------------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Commit what waits. Comes back without it while the disk refuses: it stays unacknowledged at the broker."""
        self._begin_commit()
        while self._committing is not None and not self.failing:
            await asyncio.wait([self._committing], timeout=0.1)
            self._begin_commit()

    async def close(self) -> None:
        """`drain`, then let the files go."""
        await self.drain()
        if self._timer is not None:
            self._timer.cancel()
        if self._committing is not None:
            self._committing.cancel()
        await self._write(self._writer.close)
        self._writing.shutdown(wait=False)
        self._reading.shutdown(wait=False, cancel_futures=True)
