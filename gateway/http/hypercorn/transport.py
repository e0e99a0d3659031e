"""The connection under an ASGI request: to cut it, and to take it over for a stream that stays open for hours.

A stream needs nothing more of the server once its request is read; yet all that was made to read it would stay as long as
the stream, and be three quarters of what it holds. So its connection is taken over: to the server its reader seems to have
left, and the stream writes to it by itself (docs/decisions/0014). TLS, if any, lies below and stays.

ASGI has no word for either. The way goes through attributes of Hypercorn 0.18 and asyncio, so each step is checked by type.
Where one fails nothing is taken over and the stream is sent through the server; without its transport, only the cutting is
lost (``TCP_USER_TIMEOUT`` on the listening socket is the second line). A test holds that the way is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from gateway.http.hypercorn.connection import Connection
from gateway.http.hypercorn.patches import stop_reading


class _Gone(asyncio.Transport):
    """What the writer of a connection that was taken over is left with: it may close that, and the garbage collector too."""

    def is_closing(self) -> bool:
        return True

    def write(self, data: Any) -> None: ...

    def write_eof(self) -> None: ...

    def close(self) -> None: ...


_GONE = _Gone()


class Way(NamedTuple):
    """What lies under an ASGI request, from above."""

    stream: HTTPStream
    protocol: H11Protocol
    server: TCPServer
    transport: asyncio.Transport


def way_of(send: Any) -> Way | None:
    """The way down from ``send``, an ASGI send callable of an HTTP/1.1 request; None where it is not known."""
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
    return Way(stream, protocol, server, transport) if isinstance(transport, asyncio.Transport) else None


def take(way: Way, lost: Callable[[Connection], object]) -> Connection | None:
    """Take over the connection of a GET in HTTP/1.1 whose answer has not begun; None where that cannot be."""
    stream, protocol, server, transport = way
    before = transport.get_protocol()
    if not (isinstance(before, asyncio.StreamReaderProtocol) and _may_take(way)):
        return None
    connection = Connection(transport, lost)
    transport.set_protocol(connection)
    # The server pauses where much of a body waits to be read.
    transport.resume_reading()
    server.writer._transport = _GONE  # type: ignore[attr-defined] # noqa: SLF001
    # For the server the answer is over and its reader has left; a body or a request that is still to come is nobody's.
    stream.closed = True
    before.connection_lost(None)
    stop_reading(server)
    # Circles, which would be left to the garbage collector: a tenth of what a stream costs to open.
    del server.protocol
    protocol.stream = None
    return connection


def release(way: Way) -> None:
    """To be called when a request has been answered."""
    if way.transport.is_closing():
        stop_reading(way.server)


def _may_take(way: Way) -> bool:
    """Whether the body of the answer has no length, so that it comes in chunks; and nobody has left yet, who would be lost."""
    stream, _, server, transport = way
    is_chunked = stream.scope["http_version"] == "1.1" and stream.scope["method"] == "GET"
    has_left = stream.closed or transport.is_closing() or server.reader.at_eof()
    return is_chunked and not has_left and hasattr(server.writer, "_transport") and hasattr(server, "reading")
