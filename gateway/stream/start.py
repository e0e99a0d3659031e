"""Where a stream starts: times and counts become positions of the log."""

from __future__ import annotations

from gateway.log import Log
from gateway.reading import Wanted
from gateway.stream.plan import EARLIEST, Last, Plan, Since


async def position_of(plan: Plan, log: Log) -> int | None:
    """The position after which ``plan`` starts; None for the head at the moment the stream opens.

    It may lie below the floor: the stream then begins with a gap, because what was asked for is gone (law 7).
    """
    start = plan.start
    if isinstance(start, Since):
        return await _since(start, log)
    if isinstance(start, Last):
        wanted = Wanted(metrics=plan.metrics)
        oldest = await log.oldest_of(plan.selection, start.entries, log.head, wanted)
        return log.floor if oldest is None else max(oldest - 1, log.floor)
    return log.floor if start == EARLIEST else start


async def _since(start: Since, log: Log) -> int:
    """Where that time lies; below the floor when entries that arrived since then have been removed at the old end.

    What is missing further on needs no care here: the stream comes to it, and the log tells it there.
    """
    place = await log.position_at(start.ms)
    return place.position if place.is_whole or place.position > log.floor else log.floor - 1
