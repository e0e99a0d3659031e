"""What is changed in Hypercorn 0.18, where there is no setting; `tests/http/hypercorn/` holds each change.

It turns a connection into HTTP/2 (`Upgrade: h2c`, or a client that simply begins with it), which has no backpressure there:
one stalled stream grew the server by 40 MB a second.

It keeps the connection of a client that has left until ``keep_alive_timeout`` is over, so a few hundred requests a second
would use up all files that may be open.

It waits for ever to go on with a request that came behind another whose response was cut. So the task that reads a
connection is kept at hand, and whoever closes the connection cancels it.

And it makes two tasks for each connection that only guard against one that never asks: see `gateway/http/hypercorn/idle.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.asyncio import tcp_server
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.h11 import H11Protocol

from gateway.errors import ServeError
from gateway.http.hypercorn.idle import Idle


def patch_hypercorn() -> None:
    """Change it, once or again; raises ServeError when it is another."""
    changed = (H11Protocol, "_check_protocol"), (TCPServer, "_read_data"), (tcp_server, "AsyncioSingleTask")
    if not all(hasattr(where, name) for where, name in changed):
        raise ServeError("this version of Hypercorn is not known, and cannot be served with: take 0.18")
    H11Protocol._check_protocol = _stay_with_http_1  # type: ignore[method-assign,assignment] # noqa: SLF001
    TCPServer._read_data = _read_and_leave  # type: ignore[method-assign,assignment] # noqa: SLF001
    tcp_server.AsyncioSingleTask = Idle  # type: ignore[attr-defined,assignment]


def stop_reading(server: TCPServer) -> None:
    """Nothing more comes on a connection that is closed now; its server ends then, whatever it waited for."""
    reading: asyncio.Task[None] | None = getattr(server, "reading", None)
    if reading is not None:
        server.reading = None  # type: ignore[attr-defined]
        reading.cancel()


async def _stay_with_http_1(_protocol: H11Protocol, _request: Any) -> None:
    """In place of the check that switches."""


_read_data = TCPServer._read_data  # noqa: SLF001


async def _read_and_leave(server: TCPServer) -> None:
    """Read until the client has left, or `stop_reading`; nobody is waited for then."""
    reading = server.reading = asyncio.current_task()  # type: ignore[attr-defined]
    try:
        await _read_data(server)
    except asyncio.CancelledError:
        if reading is None or not server.writer.is_closing():
            raise
        reading.uncancel()
    finally:
        server.reading = None  # type: ignore[attr-defined]
    await server.idle_task.stop()
