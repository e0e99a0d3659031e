"""What the log holds of one device: where to read, which readings, and whether they are all that was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from gateway.frame import entry_content
from gateway.log import Log
from gateway.reading import Gap, Place, Wanted, project
from gateway.selection import Selection

PAGE_ENTRIES = 1000

Reading = dict[str, Any]
"""A reading as the stream has it, with its ``id`` in front."""


class HistoryPlan(NamedTuple):
    """Which readings are asked for. Times are of arrival, in Unix ms; None: no bound.

    Of more than ``limit`` readings the newest are meant; with ``buckets``, all are.
    """

    since_ms: int | None
    until_ms: int | None
    after: int | None
    metrics: frozenset[str]
    limit: int
    buckets: int | None


class History:
    """The readings of ``selection`` after ``start``, up to and including ``end``, with ``metrics`` only (none: all).

    Make it with `find`. ``complete`` is whether all that was asked for is held; it is certain once `pages` has ended.
    """

    def __init__(
        self, log: Log, selection: Selection, metrics: frozenset[str], span: tuple[int, int], complete: bool
    ) -> None:
        self._log, self._selection, self._metrics = log, selection, metrics
        self.start, self.end = span
        self.complete = complete

    @classmethod
    async def find(cls, log: Log, selection: Selection, plan: HistoryPlan) -> History:
        """Where to read: from the latest of what was asked for, but no more than ``limit`` readings back from the end."""
        until = None if plan.until_ms is None else await log.position_at(plan.until_ms + 1)
        since = None if plan.since_ms is None else await log.position_at(plan.since_ms)
        end = log.head if until is None else until.position
        start, complete = _start(plan, since, log.floor, end)
        if complete and until is not None and not until.is_whole:
            # What arrived before ``until`` may have been lost just there, where no read comes any more.
            complete = not isinstance(await log.read(end, selection, 1), Gap)
        if not plan.buckets:
            wanted = Wanted("reading", plan.metrics)
            one_more = await log.oldest_of(selection, plan.limit + 1, end, wanted, start)
            if one_more is not None:
                start, complete = one_more, False
        return cls(log, selection, plan.metrics, (start, end), complete)

    @property
    def floor(self) -> int:
        """The log's floor now."""
        return self._log.floor

    async def pages(self) -> AsyncIterator[list[Reading]]:
        """The readings in order, page by page; a page may be empty."""
        position = self.start
        while position < self.end:
            found = await self._log.read(position, self._selection, PAGE_ENTRIES)
            if isinstance(found, Gap):
                self.complete = False
                position = max(found.floor, position + 1)
                continue
            position = found.position
            # A page from the tail comes without waiting, and a send may too: others must have their turn.
            await asyncio.sleep(0)
            entries = [entry for entry in found.entries if entry.kind == "reading" and entry.seq <= self.end]
            yield [reading for entry in entries if (reading := self._wanted(entry.seq, entry_content(entry)))]

    def _wanted(self, seq: int, data: dict[str, Any]) -> Reading | None:
        if self._metrics:
            data["values"] = project(data["values"], self._metrics)
        return {"id": seq, **data} if data["values"] else None


def _start(plan: HistoryPlan, since: Place | None, floor: int, end: int) -> tuple[int, bool]:
    """The position to begin at, and whether all that was asked for lies after the floor.

    Asked for is what came both after ``plan.after`` and since ``since``, so it is held when either of them is; without
    both it is everything held. What is missing above the floor is found by reading.
    """
    positions = [floor]
    bounds = []
    if since is not None:
        positions.append(since.position)
        bounds.append(since.position > floor or (since.position == floor and since.is_whole))
    if plan.after is not None:
        positions.append(min(plan.after, end))
        bounds.append(plan.after >= floor)
    return max(positions), not bounds or any(bounds)
