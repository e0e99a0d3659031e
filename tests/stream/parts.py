"""What the tests of streams share: sources of a log, and streams whose pieces are taken one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from gateway.clock import Clock
from gateway.config import Http
from gateway.counters import Counters
from gateway.devices.registry import Registry
from gateway.log import Log
from gateway.selection import ALL
from gateway.stream.crowd import Crowds, Line
from gateway.stream.cursor import Cursor
from gateway.stream.plan import Plan
from gateway.stream.readiness import Readiness
from gateway.stream.sources import Sources
from gateway.stream.stream import Stream

EVERYTHING = Plan(ALL)


def sources_of(log: Log, registry: Registry | None = None, readiness: Readiness | None = None) -> Sources:
    registry = Registry() if registry is None else registry  # an empty one is false
    return Sources(log, registry, readiness or Readiness(), Counters(), Clock())


class Taken:
    """A connection whose reader takes pieces one by one; the stream goes on when the next one is asked for."""

    def __init__(self, line: Line | None = None) -> None:
        self.line = line
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._wanted = asyncio.Event()

    async def put(self, blocks: bytes) -> None:
        self._pieces.put_nowait(blocks)
        await self._wanted.wait()
        self._wanted.clear()

    def cut(self) -> bool:
        return False

    async def pieces(self, stream: Stream) -> AsyncGenerator[bytes, None]:
        """Runs the stream, and leaves it when this is closed."""
        running = asyncio.ensure_future(stream.run())
        taking: asyncio.Future[bytes] | None = None
        try:
            while True:
                taking = asyncio.ensure_future(self._pieces.get())
                await asyncio.wait([taking, running], return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    break
                yield taking.result()
                self._wanted.set()
            await running
        finally:
            for task in filter(None, (taking, running)):
                task.cancel()
            await asyncio.wait(filter(None, (taking, running)))


def stream_of(
    log_or_sources: Log | Sources,
    plan: Plan = EVERYTHING,
    settings: Http | None = None,
    crowds: Crowds | None = None,
    line: Line | None = None,
) -> Stream:
    """A stream that starts at the position that ``plan`` names, or at the head. Take its pieces with `blocks_of`."""
    sources = log_or_sources if isinstance(log_or_sources, Sources) else sources_of(log_or_sources)
    settings = settings or Http()
    assert plan.start is None or isinstance(plan.start, int)
    cursor = Cursor(sources, plan, plan.start, settings.page_entries)
    return Stream(sources, settings, cursor, crowds or Crowds(sources, settings, bytes), Taken(line))


def blocks_of(stream: Stream) -> AsyncGenerator[bytes, None]:
    """Its pieces, one by one; close it to leave."""
    connection = stream._connection
    assert isinstance(connection, Taken)
    return connection.pieces(stream)
