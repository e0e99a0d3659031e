"""A stream's own connection, taken over from the server (`transport.py`) to answer one request with chunks.

It holds a transport and one bit. What waits for a slow reader is bounded by asyncio's own pause, and a reader that leaves,
even by half (it closes only its own direction), ends the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache

import h11

from gateway.http.carry import Headers
from gateway.stream.bit import Bit

WAITING_BYTES = 65_536
"""While more of what was written straight to a connection waits in this process for its reader, nothing more is written."""

CLEAR_BYTES = 16_384
"""A reader for which no more than this waits has caught up; asyncio goes on at this level after a pause."""

MAX_TALK_BYTES = 2**20
"""A client may send this much behind its request, a body or other requests: nothing of it is kept, but it costs to read."""


def chunk(blocks: bytes) -> bytes:
    """A chunk of an HTTP/1.1 body (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(blocks), blocks)


@lru_cache(maxsize=16)
def head(headers: Headers, unix_s: int) -> bytes:
    """The head of a response in chunks after which the connection ends, as h11 writes it; made once a second for all."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nHost: -\r\n\r\n")
    server.next_event()
    added = (b"date", formatdate(unix_s, usegmt=True).encode()), (b"connection", b"close")
    return server.send(h11.Response(status_code=200, headers=[*headers, *added])) or b""


class Connection(asyncio.Protocol):
    """A connection that was taken over after its one request: `begin`, chunks, `end`.

    ``lost`` is called with it when it is lost, once.
    """

    __slots__ = ("_has_room", "_head", "_lost", "_talk_bytes", "transport")

    def __init__(self, transport: asyncio.Transport, lost: Callable[[Connection], object]) -> None:
        self.transport, self._lost = transport, lost
        self._head = b""
        self._talk_bytes = 0
        self._has_room = Bit()
        self._has_room.set()
        transport.set_write_buffer_limits(WAITING_BYTES, CLEAR_BYTES)

    @property
    def line(self) -> Connection:
        """A crowd may write to it."""
        return self

    def begin(self, head: bytes) -> None:
        """Send the head within this turn of the loop."""
        self._head = head
        # One write, and not two, for a stream that knows by then what comes first.
        asyncio.get_running_loop().call_soon(self.write, b"")

    def write(self, chunk: bytes) -> bool:
        """Write; false when more than `WAITING_BYTES` wait now, or the reader has left."""
        transport = self.transport
        if self._head:
            chunk, self._head = self._head + chunk, b""
        transport.write(chunk)
        return transport.get_write_buffer_size() <= WAITING_BYTES and not transport.is_closing()

    def is_clear(self) -> bool:
        """Whether the reader is there, and at most `CLEAR_BYTES` wait."""
        return not self.transport.is_closing() and self.transport.get_write_buffer_size() <= CLEAR_BYTES

    async def put(self, blocks: bytes) -> None:
        """Write a chunk of SSE blocks, and wait as `drain` does."""
        self.write(chunk(blocks))
        await self.drain()

    async def drain(self) -> None:
        """While much waits, until it is `CLEAR_BYTES`; raises ConnectionError when the reader has left."""
        await self._has_room.wait()
        if self.transport.is_closing():
            raise ConnectionResetError("the reader has left")

    async def end(self) -> None:
        """End the response. It does not return: when all has gone the connection is lost, and ``lost`` is called."""
        self.write(chunk(b""))
        self.transport.close()
        await asyncio.get_running_loop().create_future()

    def cut(self) -> bool:
        """End it at once, whatever still waits; false when it is closing already."""
        if self.transport.is_closing():
            return False
        self.transport.abort()
        return True

    # --- what asyncio calls ------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """More than `WAITING_BYTES` wait."""
        self._has_room.clear()

    def resume_writing(self) -> None:
        """At most `CLEAR_BYTES` wait."""
        self._has_room.set()

    def data_received(self, data: bytes) -> None:
        """A client that goes on talking is not listened to, and cut above `MAX_TALK_BYTES`.

        Reading is never paused: TLS then forgets to say that the client has left (asyncio, 3.11 to 3.13).
        """
        self._talk_bytes += len(data)
        if self._talk_bytes > MAX_TALK_BYTES:
            self.transport.abort()

    def eof_received(self) -> None:
        """A client that says no more has left."""
        self.transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Either side has closed it."""
        self._lost(self)
