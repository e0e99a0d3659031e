"""The transport under an ASGI connection: to cut a reader that takes nothing, and to write to many what was made once.

ASGI has no word for either. It goes through private attributes of Hypercorn 0.18, so each step is checked by type. Where a
step fails the answer is None: then streams send only through the server, and the cutting is lost (``TCP_USER_TIMEOUT`` on
the listening socket is the second line). A test holds that the way is open with the pinned version.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream

WAITING_BYTES = 65_536
"""While more of what was written straight to a connection waits in this process for its reader, nothing more is written."""

CLEAR_BYTES = 16_384
"""With no more than this waiting a reader counts as having caught up; the level at which asyncio goes on after a pause."""


def chunk(blocks: bytes) -> bytes:
    """A chunk of an HTTP/1.1 body (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(blocks), blocks)


class DirectLine:
    """Writes whole chunks of a response past its server, which has sent the head and is told nothing of them.

    Only while the response's own task sends nothing; then the order on the connection is that of the calls.
    """

    __slots__ = ("_server", "_stream", "_transport")

    def __init__(self, stream: HTTPStream, server: TCPServer, transport: asyncio.Transport) -> None:
        self._stream, self._server, self._transport = stream, server, transport
        transport.set_write_buffer_limits(WAITING_BYTES, CLEAR_BYTES)

    def write(self, chunk: bytes) -> bool:
        """Write; false when more than `WAITING_BYTES` wait now, or the reader has left."""
        transport = self._transport
        try:
            transport.write(chunk)
        except RuntimeError:
            return False  # the server has ended the connection, as after a request's body that is none
        return transport.get_write_buffer_size() <= WAITING_BYTES and not transport.is_closing()

    def is_clear(self) -> bool:
        """Whether the head has gone, the end has not, and at most `CLEAR_BYTES` wait."""
        stream, transport = self._stream, self._transport
        is_open = stream.state is ASGIHTTPState.RESPONSE and not stream.closed and not transport.is_closing()
        return is_open and transport.get_write_buffer_size() <= CLEAR_BYTES

    async def drain(self) -> None:
        """Wait until at most `CLEAR_BYTES` wait; raises ConnectionError when the reader has left."""
        try:
            await self._server.writer.drain()
        except OSError as error:  # ETIMEDOUT of a reader that vanished is no ConnectionError
            raise ConnectionResetError("the reader has left") from error
        if self._transport.is_closing():
            raise ConnectionResetError("the reader has left")


def transport_of(send: Any) -> asyncio.Transport | None:
    """The transport that ``send``, an ASGI send callable of an HTTP/1.1 request, writes to in the end."""
    found = _below(send)
    return found and found[2]


def line_of(send: Any) -> DirectLine | None:
    """A line for the response to a GET in HTTP/1.1: its body is chunked when it has no length, so chunks may be written."""
    found = _below(send)
    if found is None:
        return None
    scope = found[0].scope
    is_chunked = scope["http_version"] == "1.1" and scope["method"] == "GET"
    return DirectLine(*found) if is_chunked else None


def _below(send: Any) -> tuple[HTTPStream, TCPServer, asyncio.Transport] | None:
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
    return (stream, server, transport) if isinstance(transport, asyncio.Transport) else None
