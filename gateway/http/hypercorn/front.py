"""The ASGI app that Hypercorn serves: the gate, and a way for its streams past the server.

A stream that is served through Hypercorn keeps all that was made to read its request while it is open: 33 KB, where a
connection of its own takes 6 (docs/decisions/0013 and 0014). So `Front` leaves a `Carry` in each request's scope which takes
the connection over; where that cannot be (HTTP/1.0, another version of the server) the stream goes through the server.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from gateway.clock import Clock
from gateway.http import carry as plain
from gateway.http.carry import Exchange, Headers, Receive, Send, Serve
from gateway.http.gate import App
from gateway.http.hypercorn.connection import Connection, head
from gateway.http.hypercorn.transport import Way, release, take, way_of
from gateway.stream.plan import Plan

_log = logging.getLogger(__name__)


class Front:
    """Around ``app``: knows the connections of all requests that are being answered, so that they can be cut."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app, self._clock = app, clock
        self._in_use: set[Way | None] = set()
        self._taken: dict[Connection, asyncio.Task[None]] = {}
        self._lost = self._forget  # one for all: each connection keeps it

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        way = way_of(send)
        self._in_use.add(way)
        if way is not None:
            scope[plain.KEY] = partial(self._carry, way)
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_use.discard(way)
            if way is not None:
                # The way leads to the scope: a circle, which would be left to the garbage collector.
                del scope[plain.KEY]
                release(way)

    @property
    def taken(self) -> list[asyncio.Task[None]]:
        """The streams that are served past the server, which does not wait for them when it ends."""
        return list(self._taken.values())

    def cut_all(self) -> None:
        """Cut every request that is still being answered."""
        for each in [*self._in_use, *self._taken]:
            if each is not None:
                each.transport.abort()

    async def _carry(self, way: Way, exchange: Exchange, headers: Headers, serve: Serve, plan: Plan) -> None:
        connection = take(way, self._lost)
        if connection is None:
            await plain.carry(exchange, headers, serve, plan, partial(_cut, way))
            return
        self._taken[connection] = asyncio.create_task(self._serve_alone(serve, plan, connection))
        connection.begin(head(headers, self._clock.wall_ms() // 1000))

    async def _serve_alone(self, serve: Serve, plan: Plan, connection: Connection) -> None:
        """Cancelled when the connection is lost: the reader has left, or the end of the response has gone."""
        try:
            await serve(plan, connection)
            await connection.end()
        except OSError as error:
            _log.debug("a connection broke: %r", error)
        finally:
            # One that is closing may be lost already, and would stumble over it.
            connection.cut()

    def _forget(self, connection: Connection) -> None:
        """Not left to the stream's task, which may be cancelled before it has begun."""
        self._taken.pop(connection).cancel()


def _cut(way: Way) -> bool:
    if way.transport.is_closing():
        return False
    way.transport.abort()
    return True
