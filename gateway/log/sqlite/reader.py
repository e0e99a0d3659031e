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
from gateway.reading import Page, Place, Wanted
from gateway.remembered import Remembered
from gateway.selection import Selection

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

THREADS = 2
"""Replays beyond that wait in line, so that many at once cannot starve the loop of the GIL."""

FIRST_LOOK, LOOK_GROWTH = 500, 2
"""Entries that a stream's first read looks at, 0.1 ms, so that its first reading comes soon however long the log is; the
reads that go on from there look at so many times more each, up to `query.SCAN_ENTRIES`. A reader that has left by then
costs no more than it got."""

MAX_LOOKS = 4096
"""Places remembered where reads may go on; one that is forgotten begins with a small look again."""

RETRY_S = 0.5
"""Pause of a stream whose segment could not be opened."""


class Reader:
    """What proves damaged is handed to ``discard``; afterwards the shelf tells what is missing."""

    def __init__(self, shelf: Shelf, counters: Counters, discard: Callable[[Facts], Awaitable[None]]) -> None:
        self._shelf, self._counters, self._discard = shelf, counters, discard
        self._threads = ThreadPoolExecutor(THREADS, "log-reader")
        # How far to look, by where a read ended: so nobody who reads needs to know.
        self._looks: Remembered[tuple[Selection, int], int] = Remembered(MAX_LOOKS)

    async def page(self, after: int, selection: Selection, limit: int) -> Page | None:
        """One page from the first segment that has entries after the position; None when the shelf changed meanwhile."""
        facts = self._shelf.first_after(after)
        if facts is None:
            return Page([], after)
        hole = self._shelf.next_hole(after)
        if hole is not None and hole < facts.first:
            # Behind a life that is there lies one that is not: the next read begins in the hole and is told.
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
        self._looks.remember((selection, found[1]), min(look * LOOK_GROWTH, query.SCAN_ENTRIES))
        return Page(*found)

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
        """The position after which lies everything that arrived at that time or later, and whether all of it is held."""
        position = await self._position_at(received_at_ms)
        return Place(position, position > self._shelf.floor)

    async def _position_at(self, received_at_ms: int) -> int:
        for facts in reversed(self._shelf.segments):
            if not facts.is_empty and facts.first_received_at_ms < received_at_ms:
                if facts.last_received_at_ms < received_at_ms:
                    return facts.last
                found = await self._ask(facts, partial(query.position_before, facts.path, received_at_ms))
                return found if found is not None else facts.first - 1
        return self._shelf.floor

    async def oldest_of(self, selection: Selection, count: int, end: int, wanted: Wanted, after: int = 0) -> int | None:
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
