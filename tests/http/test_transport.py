from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypercorn.protocol.http_stream import ASGIHTTPState
from quart import Quart

from gateway.config import Http
from gateway.http.front import Front
from gateway.http.server import hypercorn_config, listen, serve_until
from gateway.http.transport import DirectLine, chunk, line_of, transport_of
from tests.reader import get


async def test_the_way_to_the_transport_is_open_and_a_request_can_be_cut() -> None:
    seen: list[Any] = []
    app, stop, settings = Quart("tests"), asyncio.Event(), Http(port=0)

    async def looks(scope: Any, receive: Any, send: Any) -> None:
        seen[:] = [transport_of(send), line_of(send)]
        await Quart.__call__(app, scope, receive, send)

    @app.get("/")
    async def index() -> AsyncIterator[bytes]:
        async def forever() -> AsyncIterator[bytes]:
            yield b"begun"
            await asyncio.Event().wait()

        return forever()

    listening = listen(settings)
    port = listening.getsockname()[1]
    front = Front(looks, None, settings)  # type: ignore[arg-type] # no stream is asked for
    serving = asyncio.create_task(serve_until(front, hypercorn_config(listening, settings), stop.wait))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(get("/", port))
    await reader.readuntil(b"begun")
    transport, line = seen
    assert isinstance(transport, asyncio.Transport)
    assert True is line.is_clear()
    assert writer.get_extra_info("sockname") == transport.get_extra_info("peername")
    front.cut_all()
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    assert [True, False, False] == [transport.is_closing(), line.is_clear(), line.write(b"-")]
    with pytest.raises(ConnectionError):
        await line.drain()
    stop.set()
    await serving


async def test_a_line_is_for_a_body_in_chunks_only() -> None:
    seen: list[bool] = []
    stop, settings = asyncio.Event(), Http(port=0)

    async def looks(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(line_of(send) is not None)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    listening = listen(settings)
    port = listening.getsockname()[1]
    front = Front(looks, None, settings)  # type: ignore[arg-type] # no stream is asked for
    serving = asyncio.create_task(serve_until(front, hypercorn_config(listening, settings), stop.wait))
    for method, version in (("GET", "1.1"), ("GET", "1.0"), ("HEAD", "1.1")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{method} / HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()
    assert [True, False, False] == seen
    stop.set()
    await serving


async def test_where_the_way_is_not_known_there_is_no_transport() -> None:
    async def send(_: object) -> None: ...

    assert [None, None] == [transport_of(send), line_of(send)]
    assert [None, None] == [transport_of(socket.socket), line_of(socket.socket)]


def test_chunks_are_those_of_http_1_1() -> None:
    assert b"1a\r\n" + b"-" * 26 + b"\r\n" == chunk(b"-" * 26)


class Unread:
    """A transport with so many bytes that wait."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting

    def write(self, data: bytes) -> None:
        self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self.limits = (high, low)

    def is_closing(self) -> bool:
        return False


def test_a_line_whose_server_has_ended_the_connection_is_no_fault() -> None:
    def write(data: bytes) -> None:
        raise RuntimeError("Cannot call write() after write_eof()")

    line = DirectLine(SimpleNamespace(), SimpleNamespace(), transport := Unread(0))  # type: ignore[arg-type]
    transport.write = write  # type: ignore[method-assign]
    assert False is line.write(b"-")


async def test_a_reader_that_vanished_has_left_for_its_line() -> None:
    async def drain() -> None:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    server = SimpleNamespace(writer=SimpleNamespace(drain=drain))
    with pytest.raises(ConnectionError):
        await DirectLine(SimpleNamespace(), server, Unread(0)).drain()  # type: ignore[arg-type]


def test_a_line_holds_at_most_64_kib_and_a_piece() -> None:
    stream = SimpleNamespace(state=ASGIHTTPState.RESPONSE, closed=False)
    line = DirectLine(stream, SimpleNamespace(), transport := Unread(0))  # type: ignore[arg-type]
    assert [True, True, False] == [line.write(b"-" * size) for size in (40_000, 25_536, 1)]
    assert (65_536, 16_384) == transport.limits
    transport.waiting = 16_384
    assert True is line.is_clear()
    transport.waiting += 1
    assert False is line.is_clear()
