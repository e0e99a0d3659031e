"""The stream routes, and what all open streams share: their limit, one timer, and the end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from quart import Blueprint, Quart, Response, request

from gateway import frame
from gateway.config import Http
from gateway.counters import Counters
from gateway.devices.registry import Registry
from gateway.http.hypercorn.connection import chunk
from gateway.http.parameters import EARLIEST, Args, Last, Since, Start, StreamParameters, stream_parameters
from gateway.log import Log
from gateway.reading import ByeReason
from gateway.selection import Selection
from gateway.stream.crowd import Crowds, Line
from gateway.stream.cursor import Cursor, Pace, Plan
from gateway.stream.readiness import Readiness

HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""nginx buffers without the last one."""

Put = Callable[[bytes], Awaitable[None]]
"""Sends a piece; back when the reader can take the next."""

TICK_S = 1.0
"""How often the one timer looks whose heartbeat is due and who takes nothing: heartbeats may be late by this much."""

CLOSE_S = 1.2
"""The end of all streams takes no longer: SIGTERM is to end the process in under 2 s."""

BUSY_RETRY_MS = (30_000, 60_000)
"""An EventSource gives up for good on 429 and 503, so too many streams are told to come back later instead."""


class Streams:
    """All open streams: at most ``settings.max_streams``; above, a stream is told `bye` and to come back later."""

    def __init__(self, log: Log, registry: Registry, counters: Counters, settings: Http, readiness: Readiness) -> None:
        self._log, self._registry, self._counters, self._settings = log, registry, counters, settings
        self._readiness, self._told_version = readiness, readiness.version
        self._pace = Pace(settings.page_entries, settings.heartbeat_s, settings.retry_min_ms, settings.retry_max_ms)
        self._crowds = Crowds(log, counters, settings.page_entries, settings.heartbeat_s, chunk)
        self._open: dict[Cursor, asyncio.Transport | None] = {}
        self._closing = False

    def __len__(self) -> int:
        return len(self._open)

    def max_lag(self) -> int:
        """How far the slowest stream is behind the head, in numbers."""
        return max((self._log.head - cursor.position for cursor in self._open), default=0)

    def asked(self, args: Args, device: str | None, last_event_id: str | None) -> StreamParameters:
        """What a request asks for; ``device`` is that of the path. Raises BadParameterError."""
        return stream_parameters(args, device, last_event_id, self._log.now_ms())

    async def _position(self, start: Start, selection: Selection) -> int | None:
        if isinstance(start, Since):
            return await self._log.position_at(start.ms)
        if isinstance(start, Last):
            return await self._log.position_back(selection, start.entries)
        return self._log.floor if start == EARLIEST else start

    async def serve(
        self, asked: StreamParameters, put: Put, transport: asyncio.Transport | None, line: Line | None
    ) -> None:
        """One stream, until its end: each piece goes to ``put``. Cancelled when the reader has left."""
        position = await self._position(asked.start, asked.selection)
        plan = Plan(asked.selection, position, asked.mode, asked.interval_s, asked.metrics, asked.snapshot)
        # Nothing is awaited between the check and the entry: a thousand that come at once are counted one by one.
        if self._closing or len(self._open) >= self._settings.max_streams:
            await put(self._busy())
            return
        cursor = Cursor(
            self._log, self._registry, self._counters, plan, self._pace, self._readiness, self._crowds, line
        )
        self._open[cursor] = transport
        self._counters.streams_opened_total += 1
        try:
            # Closed here and now when the reader leaves, not when the garbage collector finds it.
            async with aclosing(cursor.blocks()) as blocks:
                async for piece in blocks:
                    await put(piece)
        finally:
            del self._open[cursor]

    def _busy(self) -> bytes:
        self._counters.streams_refused_total += 1
        busy_ms = random.randint(*BUSY_RETRY_MS)  # noqa: S311 - spreads clients, guards nothing
        reason: ByeReason = "stopping" if self._closing else "busy"
        retry_ms = self._pace.retry_ms() if self._closing else busy_ms
        return frame.retry(retry_ms) + frame.bye(reason, retry_ms)

    async def run(self) -> None:
        """What all streams share: one timer, and the crowds. Until cancelled."""
        await asyncio.gather(self._tick_forever(), self._crowds.serve_forever())

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now, told = time.monotonic(), self._told_version
            self._told_version = self._readiness.look()
            self._crowds.beat(now)
            for cursor, transport in self._open.items():
                if self._told_version != told:
                    cursor.wake()
                if cursor.in_crowd:
                    continue
                cursor.wake_if_due(now)
                if cursor.sending_since is not None and now - cursor.sending_since > self._settings.send_timeout_s:
                    self._cut(transport)

    def _cut(self, transport: asyncio.Transport | None) -> None:
        if transport is not None and not transport.is_closing():
            self._counters.streams_cut_total += 1
            transport.abort()

    async def close(self, patience_s: float) -> None:
        """Have all streams end themselves with `bye`.

        Those left when none has ended for ``patience_s``, or after `CLOSE_S` in all, are cut: their readers take nothing.
        """
        self._closing = True
        for cursor in list(self._open):
            cursor.close()
        now = time.monotonic()
        end, deadline, left = now + CLOSE_S, now + patience_s, len(self._open)
        while self._open and time.monotonic() < min(end, deadline):
            await asyncio.sleep(0.01)
            if len(self._open) < left:
                left, deadline = len(self._open), time.monotonic() + patience_s
        for transport in list(self._open.values()):
            if transport is not None:
                transport.abort()


def add_routes(app: Quart, streams: Streams) -> None:
    """Mount the two stream routes, for what is no stream: HEAD, OPTIONS, and parameters that are refused."""
    blueprint = Blueprint("streams", __name__)

    @blueprint.get("/api/stream")
    async def stream_many() -> Response:
        return answer(None)

    @blueprint.get("/api/devices/<path:device>/stream")
    async def stream_one(device: str) -> Response:
        return answer(device)

    def answer(device: str | None) -> Response:
        streams.asked(request.args, device, request.headers.get("Last-Event-ID"))
        return Response(b"", headers=HEADERS)

    app.register_blueprint(blueprint)
