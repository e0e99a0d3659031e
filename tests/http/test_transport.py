from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypercorn.protocol.http_stream import ASGIHTTPState
from quart import Quart, request

from gateway.config import Http
from gateway.http.server import hypercorn_config, listen, serve_until
from gateway.http.transport import DirectLine, chunk, cut_all, keep_transports, line_of, transport_of
from tests.reader import get


def make_app(seen: list[Any]) -> Quart:
    app = Quart("tests")
    keep_transports(app)

    @app.get("/")
    async def index() -> AsyncIterator[bytes]:
        seen.append(request.scope["state"]["transport"])
        seen.append(request.scope["state"]["line"])

        async def forever() -> AsyncIterator[bytes]:
            yield b"begun"
            await asyncio.Event().wait()

        return forever()

    return app


async def test_the_way_to_the_transport_is_open_and_a_request_can_be_cut() -> None:
    seen: list[Any] = []
    app, stop = make_app(seen), asyncio.Event()
    settings = Http(port=0)
    listening = listen(settings)
    port = listening.getsockname()[1]

    async def stopping() -> None:
        await stop.wait()

    serving = asyncio.create_task(serve_until(app, hypercorn_config(listening, settings), stopping))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(get("/", port))
    await reader.readuntil(b"begun")
    assert isinstance(seen[0], asyncio.Transport)
    assert True is seen[1].is_clear()
    assert writer.get_extra_info("sockname") == seen[0].get_extra_info("peername")
    cut_all(app)
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    assert [True, False, False] == [seen[0].is_closing(), seen[1].is_clear(), seen[1].write(b"-")]
    with pytest.raises(ConnectionError):
        await seen[1].drain()
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


def test_a_line_holds_at_most_64_kib_and_a_piece() -> None:
    stream = SimpleNamespace(state=ASGIHTTPState.RESPONSE, closed=False)
    line = DirectLine(stream, SimpleNamespace(), transport := Unread(0))  # type: ignore[arg-type]
    assert [True, True, False] == [line.write(b"-" * size) for size in (40_000, 25_536, 1)]
    assert (65_536, 16_384) == transport.limits
    transport.waiting = 16_384
    assert True is line.is_clear()
    transport.waiting += 1
    assert False is line.is_clear()
