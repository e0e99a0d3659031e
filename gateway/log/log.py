"""The log as the other stations see it: append, read, watch, trim; floor and head. Lives on the event loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.config import LogSection
from gateway.counters import Counters
from gateway.log.group_commit import Deposit, GroupCommit
from gateway.log.store import Batch, Opened, Size, Span
from gateway.log.tail import Tail
from gateway.log.watch import Watch, Watches
from gateway.reading import ANY, Draft, Entry, Gap, Page, Place, Wanted
from gateway.selection import Selection

Listener = Callable[[Sequence[Entry], Sequence[Draft]], None]
"""Called with the entries of each commit before any stream wakes, and with the drafts that they were, where those are at
hand; else with none. Must not block."""


class Log:
    """What is visible of a store: what it calls visible has been committed (law 2).

    ``listeners`` hear of each commit; ``commits`` gathers what is appended, and says whether it can be kept.
    """

    def __init__(self, opened: Opened, settings: LogSection, counters: Counters) -> None:
        self._store, self._counters = opened.store, counters
        self._span = opened.span
        # Positions from here on are of this opening, so none of them lies in a hole.
        self._began = opened.span.head
        self._tail = Tail(opened.recent.after, settings.tail_bytes)
        self._tail.add(opened.recent.entries)
        self._watches = Watches()
        self._batch = Batch(0, ())
        self.listeners: list[Listener] = []
        self.commits = GroupCommit(settings, counters, self._commit, self._store.make_room)
        self._store.follow(self)

    @property
    def head(self) -> int:
        """The position of the newest entry."""
        return self._span.head

    @property
    def floor(self) -> int:
        """The position after which everything that is not told to be missing is held."""
        return self._span.floor

    # --- append ------------------------------------------------------------------------------------------------------

    def append(self, deposit: Deposit) -> None:
        """Take what messages brought; it is committed together with what others bring, see `GroupCommit`. Never blocks."""
        self.commits.append(deposit)

    async def _commit(self, batch: Batch) -> None:
        self._batch = batch
        await self._store.commit(batch)
        # What the drafts were made of is of no use any more, and may be many megabytes.
        self._batch = Batch(batch.id, ())
        self.commits.set_interval(self._store.commit_interval_s)

    # --- what the store tells ----------------------------------------------------------------------------------------

    def committed(self, entries: Sequence[Entry], span: Span, batch: int | None) -> None:
        """As `Feed.committed`: make entries visible. The one place where the head moves."""
        self._span = span
        if not entries:
            return
        self._tail.add(entries)
        self._counters.entries_total.update([entry.kind for entry in entries])
        drafts = self._batch.drafts if batch == self._batch.id else ()
        for listener in self.listeners:
            listener(entries, drafts)
        self._watches.wake({entry.device for entry in entries})

    def changed(self, span: Span) -> None:
        """As `Feed.changed`."""
        self._span = span

    # --- read and watch ----------------------------------------------------------------------------------------------

    def watch(self, selection: Selection, wake: Callable[[], object]) -> Watch:
        """Have ``wake`` called when something of ``selection`` was appended, until the watch is closed."""
        return self._watches.open(selection, wake)

    def read_tail(self, after: int, selection: Selection, limit: int) -> Page | None:
        """As `read`, without waiting; None where the tail does not reach back to the position, or a gap must be told."""
        span = self._span
        if after >= self._tail.floor_of(selection) and span.floor <= after <= span.head:
            if after < self._began and span.gap_at(after) is not None:
                return None
            self._counters.reads_total["tail"] += 1
            return self._tail.read(after, selection, limit, span.head)
        return None

    async def read(self, after: int, selection: Selection, limit: int) -> Page | Gap:
        """The next entries of ``selection`` after a position, at most ``limit``, or the gap that lies there.

        The page's position may lie before the head although it is empty: then read again from there. Reading holds no
        file and no lock when it returns (law 6), and comes back without waiting where the tail has the entries.
        """
        return self.read_tail(after, selection, limit) or await self._store.read(after, selection, limit)

    async def position_at(self, wall_ms: int) -> Place:
        """Where a time lies: the position after which lies everything that arrived at that time or later."""
        return await self._store.position_at(wall_ms)

    async def oldest_of(
        self, selection: Selection, count: int, end: int, wanted: Wanted = ANY, after: int = 0
    ) -> int | None:
        """The number of the oldest of the newest ``count`` entries up to ``end`` that count by ``wanted``.

        None when fewer are held above ``after``: then it takes longer the longer the log is.
        """
        return await self._store.oldest_of(selection, count, end, wanted, after)

    # --- what goes, and what it takes --------------------------------------------------------------------------------

    async def trim(self) -> None:
        """Let go of what retention by age and bytes no longer keeps."""
        await self._store.trim()

    @property
    def tail_bytes(self) -> int:
        """Bytes that the newest entries take in memory; at most ``tail_bytes`` of the settings."""
        return self._tail.bytes

    def size(self) -> Size:
        """What the store takes on its disk."""
        return self._store.size()

    async def close(self) -> None:
        """Commit what waits, unless the store refuses it, and close the store."""
        await self.commits.close()
        await self._store.close()
