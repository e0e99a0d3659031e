"""Finds the transport under an ASGI connection: to cut a reader that takes nothing, which ASGI has no word for.

It goes through private attributes of Hypercorn 0.18, so each step is checked by type; where a step fails the answer is
None, and only the cutting is lost (``TCP_USER_TIMEOUT`` on the listening socket is the second line). A test holds that the
way is open with the pinned version.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState
from quart import Quart
from quart.asgi import ASGIHTTPConnection

_IN_USE = "transports in use"


class Connection(ASGIHTTPConnection):
    """Quart's connection, which leaves its transport in the request's scope, where a stream can find it."""

    async def __call__(self, receive: Any, send: Any) -> None:
        """As ASGI calls it."""
        transport = transport_of(send)
        self.scope.setdefault("state", ConnectionState({}))["transport"] = transport
        in_use: set[asyncio.Transport | None] = self.app.extensions[_IN_USE]
        in_use.add(transport)
        try:
            await super().__call__(receive, send)
        finally:
            in_use.discard(transport)


def keep_transports(app: Quart) -> None:
    """Have ``app`` know the transports of the requests that it is answering."""
    app.asgi_http_class = Connection
    app.extensions[_IN_USE] = set()


def cut_all(app: Quart) -> None:
    """Cut every request that is still being answered."""
    for transport in list(app.extensions[_IN_USE]):
        if transport is not None:
            transport.abort()


def transport_of(send: Any) -> asyncio.Transport | None:
    """The transport that ``send``, an ASGI send callable of an HTTP/1.1 request, writes to in the end."""
    stream = getattr(send, "__self__", None)
    if not isinstance(stream, HTTPStream):
        return None
    protocol = getattr(stream.send, "__self__", None)
    if not isinstance(protocol, H11Protocol):
        return None
    server = getattr(protocol.send, "__self__", None)
    if not isinstance(server, TCPServer):
        return None
    transport = server.writer.transport
    return transport if isinstance(transport, asyncio.Transport) else None
