"""All open streams: their limit, the one timer that they share, and their end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from gateway import frame
from gateway.config import Http
from gateway.stream.crowd import Crowds
from gateway.stream.cursor import Cursor
from gateway.stream.plan import Plan
from gateway.stream.sources import Sources
from gateway.stream.start import position_of
from gateway.stream.stream import Connection, Stream, retry_ms

TICK_S = 1.0
"""How often the one timer looks whose heartbeat is due and who takes nothing: heartbeats may be late by this much."""

CLOSE_S = 1.2
"""The end of all streams takes no longer: SIGTERM is to end the process in under 2 s."""

BUSY_RETRY_MS = (30_000, 60_000)
"""An EventSource gives up for good on 429 and 503, so a stream above the limit is told to come back later instead."""


class Streams:
    """All open streams: at most ``settings.max_streams``; above, a stream is told `bye` and to come back later.

    ``framed`` makes of SSE blocks what a connection's line writes.
    """

    def __init__(self, sources: Sources, settings: Http, framed: Callable[[bytes], bytes]) -> None:
        self._sources, self._settings = sources, settings
        self._told_version = sources.readiness.version
        self._crowds = Crowds(sources, settings, framed)
        self._open: set[Stream] = set()
        self._closing = False

    def __len__(self) -> int:
        return len(self._open)

    def max_lag(self) -> int:
        """How far the slowest stream is behind the head, in numbers."""
        head = self._sources.log.head
        return max((head - stream.cursor.position for stream in self._open), default=0)

    async def serve(self, plan: Plan, connection: Connection) -> None:
        """One stream, until its end. Cancelled when the reader has left."""
        position = await position_of(plan, self._sources.log)
        # Nothing is awaited between the check and the entry: a thousand that come at once are counted one by one.
        if self._closing or len(self._open) >= self._settings.max_streams:
            await connection.put(self._refusal())
            return
        cursor = Cursor(self._sources, plan, position, self._settings.page_entries)
        stream = Stream(self._sources, self._settings, cursor, self._crowds, connection)
        self._open.add(stream)
        self._sources.counters.streams_opened_total += 1
        try:
            await stream.run()
        finally:
            self._open.discard(stream)

    def _refusal(self) -> bytes:
        self._sources.counters.streams_refused_total += 1
        if self._closing:
            wait_ms = retry_ms(self._settings)
            return frame.retry(wait_ms) + frame.bye("stopping", wait_ms)
        busy_ms = random.randint(*BUSY_RETRY_MS)  # noqa: S311 - spreads clients, guards nothing
        return frame.retry(busy_ms) + frame.bye("busy", busy_ms)

    async def run(self) -> None:
        """What all streams share: one timer, and the crowds. Until cancelled."""
        await asyncio.gather(self._tick_forever(), self._crowds.serve_forever())

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._tick(self._sources.clock.elapsed_s())

    def _tick(self, now_s: float) -> None:
        told, self._told_version = self._told_version, self._sources.readiness.look()
        self._crowds.beat(now_s)
        for stream in self._open:
            if self._told_version != told:
                stream.wake()
            if stream.in_crowd:
                continue
            stream.wake_if_due(now_s)
            if stream.sending_since is not None and now_s - stream.sending_since > self._settings.send_timeout_s:
                self._sources.counters.streams_cut_total += stream.cut()

    async def close(self, patience_s: float) -> None:
        """Have all streams end themselves with `bye`.

        Those left when none has ended for ``patience_s``, or after `CLOSE_S` in all, are cut: their readers take nothing.
        """
        self._closing = True
        for stream in self._open:
            stream.close()
        elapsed_s = self._sources.clock.elapsed_s
        now_s = elapsed_s()
        end_s, deadline_s, left = now_s + CLOSE_S, now_s + patience_s, len(self._open)
        while self._open and elapsed_s() < min(end_s, deadline_s):
            await asyncio.sleep(0.01)
            if len(self._open) < left:
                left, deadline_s = len(self._open), elapsed_s() + patience_s
        for stream in list(self._open):
            stream.cut()
