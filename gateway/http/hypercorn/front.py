"""What stands before Quart: it serves the streams itself and hands everything else over.

A stream through Quart keeps a request with its contexts, tasks and generators as long as it is open, and through Hypercorn all
that read it: 33 KB, where here it is 6 (docs/decisions/0013 and 0014). What is no plain GET of a stream (another method, a
foreign name in Host, a bad parameter) goes to Quart's routes of the same address, which answer it as they answer all others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from urllib.parse import parse_qsl, urlparse

from quart import Quart
from werkzeug.datastructures import MultiDict

from gateway.config import Http
from gateway.http.hypercorn.connection import Connection, Headers, head
from gateway.http.hypercorn.transport import Way, release, take, way_of
from gateway.http.parameters import BadParameterError, StreamParameters
from gateway.http.security import added_headers, allowed_origin, host_problem
from gateway.http.streams import HEADERS, Streams

_log = logging.getLogger(__name__)

DEVICES, STREAM = "/api/devices/", "/stream"


class Front:
    """The ASGI app that is served: at most ``max_streams`` streams by itself, all else by ``app``."""

    def __init__(self, app: Quart, streams: Streams, settings: Http) -> None:
        self._app, self._streams, self._settings = app, streams, settings
        self._in_use: set[Way | None] = set()
        self._taken: dict[Connection, asyncio.Task[None]] = {}
        self._by_origin: dict[str | None, Headers] = {}
        self._lost = self._forget  # one for all: each connection keeps it

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI calls it."""
        way = way_of(send)
        self._in_use.add(way)
        try:
            asked = self._asked(scope) if scope["type"] == "http" else None
            if asked is None:
                await self._app(scope, receive, send)
            elif way is not None and (connection := take(way)) is not None:
                self._begin(asked, connection, self._headers(scope))
            else:
                await self._serve_through_server(asked, way, scope, receive, send)
        finally:
            self._in_use.discard(way)
            if way is not None:
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

    def _asked(self, scope: Any) -> StreamParameters | None:
        """What stream is asked for; None when the request is Quart's."""
        path = scope["path"] = _path(scope["path"])
        device = path.removeprefix(DEVICES).removesuffix(STREAM)
        is_one = path == f"{DEVICES}{device}{STREAM}" and device and "//" not in path
        if scope["method"] != "GET" or not (is_one or path == "/api/stream"):
            return None
        host = _header(scope, b"host")
        if host and host_problem(host, self._settings):
            return None
        try:
            # As Quart does, with what werkzeug does about bytes that are no UTF-8.
            pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True, errors="werkzeug.url_quote")
            return self._streams.asked(MultiDict(pairs), device if is_one else None, _header(scope, b"last-event-id"))
        except (BadParameterError, UnicodeDecodeError):
            return None

    def _headers(self, scope: Any) -> Headers:
        """How a response starts: made once for each configured origin."""
        allowed = allowed_origin(_header(scope, b"origin"), self._settings)
        if allowed not in self._by_origin:
            headers = HEADERS | added_headers(allowed, self._settings)
            self._by_origin[allowed] = tuple((k.lower().encode(), v.encode("latin1")) for k, v in headers.items())
        return self._by_origin[allowed]

    def _begin(self, asked: StreamParameters, connection: Connection, headers: Headers) -> None:
        self._taken[connection] = asyncio.create_task(self._serve_alone(asked, connection))
        connection.begin(head(headers, int(time.time())), self._lost)

    async def _serve_alone(self, asked: StreamParameters, connection: Connection) -> None:
        """Cancelled when the connection is lost: the reader has left, or the end of the response has gone."""
        try:
            await self._streams.serve(asked, connection.put, connection.transport, connection)
            await connection.end()
        except OSError as error:
            _log.debug("a connection broke: %r", error)
        finally:
            # One that is closing may be lost already, and would stumble over it.
            if not connection.transport.is_closing():
                connection.transport.abort()

    def _forget(self, connection: Connection) -> None:
        """Not left to the stream's task, which may be cancelled before it has begun."""
        self._taken.pop(connection).cancel()

    async def _serve_through_server(
        self, asked: StreamParameters, way: Way | None, scope: Any, receive: Any, send: Any
    ) -> None:
        leaving = asyncio.create_task(_cancel_when_left(receive, asyncio.current_task()))

        async def put(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        try:
            await send({"type": "http.response.start", "status": 200, "headers": self._headers(scope)})
            await self._streams.serve(asked, put, way and way.transport, None)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError as error:
            # Hypercorn sees to a ConnectionError, but not to the ETIMEDOUT of a reader that vanished.
            _log.debug("a connection broke: %r", error)
        finally:
            leaving.cancel()


def _path(target: str) -> str:
    """The path of a request in any form (RFC 9112, 3.2); Quart stumbles over those that have none."""
    try:
        return (target if target.startswith("/") else urlparse(target).path) or "/"
    except ValueError:
        return "/"


def _header(scope: Any, wanted: bytes) -> str | None:
    """The first header of that name, which ASGI gives in lower case."""
    return next((value.decode("latin1") for name, value in scope["headers"] if name == wanted), None)


async def _cancel_when_left(receive: Any, task: asyncio.Task[None] | None) -> None:
    """Wait until the client has left; what it sends meanwhile is no matter."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if task is not None:
        task.cancel()
