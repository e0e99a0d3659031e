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
from gateway.log import segment
from gateway.log.faults import DamagedError
from gateway.log.files import Facts
from gateway.log.shelf import Shelf
from gateway.reading import Kind, Page
from gateway.selection import Selection

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

THREADS = 2
"""Replays beyond that wait in line, so that many at once cannot starve the loop of the GIL."""

RETRY_S = 0.5
"""Pause of a stream whose segment could not be opened."""


class Reader:
    """What proves damaged is handed to ``discard``; afterwards the shelf tells what is missing."""

    def __init__(self, shelf: Shelf, counters: Counters, discard: Callable[[Facts], Awaitable[None]]) -> None:
        self._shelf, self._counters, self._discard = shelf, counters, discard
        self._threads = ThreadPoolExecutor(THREADS, "log-reader")

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
        work = partial(segment.read, facts.path, after, facts.last, selection, limit)
        found = await self._ask(facts, work)
        if not self._shelf.holds(facts):
            # Retention or damage came between: what was found may have holes (law 7).
            return None
        if found is None:
            # The file cannot be opened (permissions, too many open files): the stream waits, it loses nothing.
            await asyncio.sleep(RETRY_S)
            return Page([], after)
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

    async def position_at(self, received_at_ms: int) -> int:
        """The position after which lies everything that arrived at that time or later."""
        for facts in reversed(self._shelf.segments):
            if not facts.is_empty and facts.first_received_at_ms < received_at_ms:
                if facts.last_received_at_ms < received_at_ms:
                    return facts.last
                found = await self._ask(facts, partial(segment.position_before, facts.path, received_at_ms))
                return found if found is not None else facts.first - 1
        return self._shelf.floor

    async def oldest_of(self, selection: Selection, count: int, end: int, kind: Kind | None) -> int | None:
        """The number of the oldest of the newest ``count`` entries up to ``end``; None when fewer are held."""
        for facts in reversed(self._shelf.segments):
            if facts.first <= end and not facts.is_empty:
                work = partial(segment.count_back, facts.path, min(facts.last, end), selection, count, kind)
                found, oldest = await self._ask(facts, work) or (0, 0)
                count -= found
                if count <= 0:
                    return oldest
        return None

    def close(self) -> None:
        """Reads that wait in line are given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
