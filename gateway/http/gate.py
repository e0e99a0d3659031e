"""The gate: every request passes here once, on its way to the stream routes or to Quart.

It finds out who asks (`Caller`), brings the target to a path, checks the name in Host, decides what the origin may read,
and routes: stream routes are answered here (`gateway/http/streams.py`), everything else goes to Quart with the caller in
the scope. The headers that every answer carries are added here, to Quart's answers and to ours.

No body above `gateway.http.app.MAX_REQUEST_BYTES` is kept: Quart sees to it for its routes, and the stream routes read none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlparse

from gateway.config import Http
from gateway.http import carry as plain
from gateway.http import streams
from gateway.http.answers import Answer
from gateway.http.caller import KEY, Caller, CallerOf, anybody
from gateway.http.carry import Carry, Exchange, Headers, Receive, Send, Serve
from gateway.http.security import added_headers, allowed_origin, host_problem, preflight_headers
from gateway.stream.sources import Sources

App = Callable[[Any, Receive, Send], Awaitable[None]]
"""An ASGI app, such as Quart's."""


class Gate:
    """An ASGI app around ``app``, which answers all but streams; ``serve`` serves a stream."""

    def __init__(self, app: App, serve: Serve, settings: Http, sources: Sources, caller_of: CallerOf = anybody) -> None:
        self._app, self._serve, self._settings = app, serve, settings
        self._counters, self._clock, self._caller_of = sources.counters, sources.clock, caller_of
        # By what an origin is allowed: at most one more than there are configured origins.
        self._added: dict[str | None, Headers] = {}
        self._of_streams: dict[str | None, Headers] = {}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = _path(scope["path"])
        caller = scope[KEY] = self._caller_of(scope)
        allowed = allowed_origin(streams.header(scope, b"origin"), self._settings)
        exchange = Exchange(scope, receive, send)
        if (refusal := self._refusal(scope)) is not None:
            await self._answer(refusal, exchange, allowed)
        elif (target := streams.target_of(scope["path"])) is not None:
            await self._stream(target, caller, exchange, allowed)
        else:
            await self._app(scope, receive, self._adding(exchange, allowed))

    def _refusal(self, scope: Any) -> Answer | None:
        """403 for a foreign name in Host. HTTP/1.0 clients may send no Host at all; a browser always does."""
        host = streams.header(scope, b"host")
        problem = host_problem(host, self._settings) if host else None
        if problem is None:
            return None
        return Answer(403, {"Content-Type": "text/plain; charset=utf-8"}, f"{problem}\n".encode())

    async def _stream(self, target: streams.Target, caller: Caller, exchange: Exchange, allowed: str | None) -> None:
        found = streams.answer(target, exchange.scope, caller, self._clock.wall_ms())
        if isinstance(found, Answer):
            await self._answer(found, exchange, allowed)
            return
        headers = self._of_streams.get(allowed)
        if headers is None:
            headers = self._of_streams[allowed] = self._with_added(_encoded(streams.HEADERS), allowed)
        carry: Carry = exchange.scope.get(plain.KEY) or plain.carry
        await carry(exchange, headers, self._serve, found)

    async def _answer(self, answer: Answer, exchange: Exchange, allowed: str | None) -> None:
        self._counters.bad_requests_total += answer.status in (400, 403)
        headers = _encoded(answer.headers | {"Content-Length": str(len(answer.body))})
        send = self._adding(exchange, allowed)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if exchange.scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body, "more_body": False})

    # --- what every answer carries -----------------------------------------------------------------------------------

    def _adding(self, exchange: Exchange, allowed: str | None) -> Send:
        """A ``send`` that adds to an answer what every answer carries."""
        scope, _, send = exchange
        is_preflight = scope["method"] == "OPTIONS" and allowed is not None

        async def send_with_added(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = self._with_added(message["headers"], allowed)
                more = _encoded(preflight_headers()) if is_preflight else ()
                message = {**message, "headers": [*headers, *more]}
            await send(message)

        return send_with_added

    def _with_added(self, headers: Any, allowed: str | None) -> Headers:
        """``headers`` and those of the added ones that are not among them; Vary is added to what is there."""
        added = self._added.get(allowed)
        if added is None:
            added = self._added[allowed] = _encoded(added_headers(allowed, self._settings))
        own = {name.lower() for name, _ in headers}
        return (*headers, *((name, value) for name, value in added if name not in own or name == b"vary"))


def _encoded(headers: dict[str, str]) -> Headers:
    return tuple((name.lower().encode(), value.encode("latin1")) for name, value in headers.items())


def _path(target: str) -> str:
    """The path of a request in any form (RFC 9112, 3.2); Quart stumbles over those that have none."""
    try:
        return (target if target.startswith("/") else urlparse(target).path) or "/"
    except ValueError:
        return "/"
