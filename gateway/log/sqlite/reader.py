"""Reads from segments on threads of its own: pages, and the positions of times and counts. Lives on the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from gateway.counters import Counters
from gateway.errors import LogError
from gateway.log.sqlite import query
from gateway.log.sqlite.faults import DamagedError
from gateway.log.sqlite.files import Facts
from gateway.log.sqlite.shelf import Shelf
from gateway.reading import Gap, Page, Place, Wanted
from gateway.remembered import Remembered
from gateway.selection import Selection

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

THREADS = 2
"""Threads that read. Further replays wait in line, so that many at once cannot keep the interpreter's lock from the loop."""

FIRST_LOOK, LOOK_GROWTH = 500, 2
"""A stream's first read searches `FIRST_LOOK` entries, which takes 0.1 ms: its first reading comes soon however long the log
is. Each read that goes on from there searches `LOOK_GROWTH` times as many as the one before, up to `query.SCAN_ENTRIES`.
A reader that leaves early has cost little."""

MAX_LOOKS = 4096
"""Places remembered where reads may go on; one that is forgotten begins with `FIRST_LOOK` again."""

RETRY_S = 0.5
"""Pause of a stream whose segment could not be opened."""


class Reader:
    """Reads what the shelf holds. What proves damaged goes to ``discard``; afterwards the shelf tells what is missing."""

    def __init__(self, shelf: Shelf, counters: Counters, discard: Callable[[Facts], Awaitable[None]]) -> None:
        self._shelf, self._counters, self._discard = shelf, counters, discard
        self._threads = ThreadPoolExecutor(THREADS, "log-reader")
        # How far to look, by where a read ended: so whoever reads need not know.
        self._looks: Remembered[tuple[Selection, int], int] = Remembered(MAX_LOOKS)

    async def read(self, after: int, selection: Selection, limit: int) -> Page | Gap:
        """One page, or the gap that lies at the position; as `Store.read`."""
        while True:
            gap = self._shelf.span.gap_at(after)
            if gap is not None:
                return gap
            page = await self._page(after, selection, limit)
            if page is not None:
                return page

    async def _page(self, after: int, selection: Selection, limit: int) -> Page | None:
        """One page from the first segment that has entries after the position; None when the shelf changed meanwhile."""
        facts = self._shelf.first_after(after)
        if facts is None:
            return Page([], after)
        hole = self._shelf.next_hole(after)
        if hole is not None and hole < facts.first:
            # Between here and the next segment entries are missing: the next read begins in the hole and is told.
            return Page([], hole)
        self._counters.reads_total["segments"] += 1
        look = self._looks.get((selection, after), FIRST_LOOK)
        # Numbers have no holes within a segment, so this many numbers are this many entries.
        until = facts.last if selection.is_all else min(facts.last, max(after, facts.first - 1) + look)
        found = await self._ask(facts, partial(query.read, facts.path, after, until, selection, limit))
        if not self._shelf.holds(facts):
            # Retention or damage came between: what was found may have holes (law 7).
            return None
        if found is None:
            # The file cannot be opened (permissions, too many open files): the stream waits, it loses nothing.
            await asyncio.sleep(RETRY_S)
            return Page([], after)
        self._counters.unknown_entries_total += found.unknown
        self._looks.remember((selection, found.position), min(look * LOOK_GROWTH, query.SCAN_ENTRIES))
        return Page(found.entries, found.position)

    async def _ask(self, facts: Facts, work: Callable[[], _T]) -> _T | None:
        """The answer of a segment, or None when it has none to give now."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except DamagedError as error:
            if self._shelf.holds(facts):
                _log.error("%s", error)
                await self._discard(facts)
        except LogError as error:
            self._counters.read_failures_total += 1
            _log.warning("reading the log failed, trying again: %s", error)
        return None

    async def position_at(self, received_at_ms: int) -> Place:
        """Where a time lies; as `Store.position_at`."""
        for facts in reversed(self._shelf.segments):
            if facts.is_empty:
                continue
            if facts.is_ordered and facts.last_received_at_ms < received_at_ms:
                return Place(facts.last, is_whole=True)
            if facts.is_ordered and facts.first_received_at_ms >= received_at_ms:
                continue
            found = await self._ask(facts, partial(query.position_before, facts.path, received_at_ms))
            if found is not None:
                return Place(found, is_whole=True)
            if facts.is_ordered:
                return Place(facts.first - 1, is_whole=False)  # it cannot be read: its first entry arrived before
        before_ms = self._shelf.segments[0].before_ms
        return Place(self._shelf.span.floor, before_ms is not None and before_ms < received_at_ms)

    async def oldest_of(self, selection: Selection, count: int, end: int, wanted: Wanted, after: int) -> int | None:
        """The number of the oldest of the newest ``count`` entries up to ``end``; None when fewer are held above ``after``.

        Only entries that are ``wanted`` count. A long log is searched in short looks, between which others have their turn.
        """
        look = FIRST_LOOK
        for facts in reversed(self._shelf.segments):
            upper = min(facts.last, end)
            while upper > (bottom := max(facts.first - 1, after)):
                lower = max(bottom, upper - look)
                found = await self._ask(facts, partial(query.numbers, facts.path, lower, upper, selection, wanted))
                if found is None:
                    break
                if len(found) >= count:
                    return found[-count]
                count, upper, look = count - len(found), lower, min(look * LOOK_GROWTH, query.SCAN_ENTRIES)
        return None

    def close(self) -> None:
        """Reads that wait in line are given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
