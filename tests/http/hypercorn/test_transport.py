from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from hypercorn.asyncio.tcp_server import TCPServer
from quart import Quart

from gateway.clock import Clock
from gateway.config import Http
from gateway.http.gate import Gate
from gateway.http.hypercorn import front as front_module
from gateway.http.hypercorn.connection import chunk
from gateway.http.hypercorn.front import Front
from gateway.http.hypercorn.server import hypercorn_config, listen, serve_until
from gateway.http.hypercorn.transport import way_of
from gateway.log import Log
from gateway.stream import streams as streams_module
from gateway.stream.streams import Streams
from tests.log.parts import until
from tests.reader import Body, get
from tests.stream.parts import sources_of


async def test_the_way_to_the_transport_is_open_and_a_request_can_be_cut() -> None:
    seen: list[Any] = []
    app, stop, settings = Quart("tests"), asyncio.Event(), Http(port=0)

    async def looks(scope: Any, receive: Any, send: Any) -> None:
        seen[:] = [way_of(send)]
        await Quart.__call__(app, scope, receive, send)

    @app.get("/")
    async def index() -> AsyncIterator[bytes]:
        async def forever() -> AsyncIterator[bytes]:
            yield b"begun"
            await asyncio.Event().wait()

        return forever()

    listening = listen(settings)
    port = listening.getsockname()[1]
    front = Front(looks, Clock())
    serving = asyncio.create_task(serve_until(front, hypercorn_config(listening, settings), stop.wait))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(get("/", port))
    await reader.readuntil(b"begun")
    transport = seen[0].transport
    assert writer.get_extra_info("sockname") == transport.get_extra_info("peername")
    front.cut_all()
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    assert True is transport.is_closing()
    stop.set()
    await serving


async def test_where_the_way_is_not_known_there_is_no_transport() -> None:
    async def send(_: object) -> None: ...

    assert [None, None] == [way_of(send), way_of(socket.socket)]


class House(NamedTuple):
    """A server with nothing but streams; ``stop`` ends it."""

    front: Front
    streams: Streams
    port: int
    stop: asyncio.Event

    async def ask(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Body]:
        """A stream that has begun."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        body = Body()
        while "event: live" not in body.text:
            body.feed(await reader.read(65_536))
        return reader, writer, body


@pytest_asyncio.fixture
async def house(log: Log, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(streams_module, "TICK_S", 0.1)
    settings, stop = Http(port=0, heartbeat_s=0.5), asyncio.Event()
    sources = sources_of(log)
    streams = Streams(sources, settings, chunk)
    listening = listen(settings)
    app = Quart("tests")

    @app.get("/forever")
    async def forever() -> AsyncIterator[bytes]:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"on and on"
                await asyncio.sleep(0.1)

        return body()

    front = Front(Gate(app, streams.serve, settings, sources), sources.clock)
    made = House(front, streams, listening.getsockname()[1], stop)

    async def stopping() -> None:
        await stop.wait()
        await streams.close(1)

    serving = asyncio.create_task(serve_until(made.front, hypercorn_config(listening, settings), stopping))
    running = asyncio.create_task(streams.run())
    yield made
    stop.set()
    await serving
    running.cancel()


def alive(kind: type) -> int:
    gc.collect()
    return sum(1 for each in gc.get_objects() if type(each) is kind)


async def test_a_stream_takes_its_connection_over_and_the_server_keeps_nothing_of_it(house: House) -> None:
    before = alive(TCPServer)
    _, writer, body = await house.ask(get("/api/stream", house.port))
    assert "connection: close" in body.head.lower()
    await asyncio.sleep(0.05)
    assert (1, 1, before) == (len(house.streams), len(house.front.taken), alive(TCPServer))
    writer.close()
    await until(lambda: not house.streams and not house.front.taken)


MORE = {
    "a body that is there": ({"Content-Length": "2"}, b"{}"),
    "a body that never comes": ({"Content-Length": "2"}, b""),
    "a body in more pieces than the server keeps": (
        {"Transfer-Encoding": "chunked"},
        b"1\r\n-\r\n" * 50 + b"0\r\n\r\n",
    ),
    "a request behind it": ({}, get("/api/stream", 80)),
}


@pytest.mark.parametrize(("headers", "more"), MORE.values(), ids=MORE.keys())
async def test_whatever_comes_with_the_request_the_server_keeps_nothing(
    house: House, headers: dict[str, str], more: bytes
) -> None:
    before = alive(TCPServer)
    _, writer, _ = await house.ask(get("/api/stream", house.port, headers) + more)
    await asyncio.sleep(0.05)
    assert (1, 1, before) == (len(house.streams), len(house.front.taken), alive(TCPServer))
    writer.close()
    await until(lambda: not house.streams and not house.front.taken)


@pytest.mark.parametrize(("path", "version"), [("/api/stream", "1.0"), ("/forever", "1.1")])
async def test_an_answer_that_is_cut_leaves_nothing_behind_though_a_request_came_behind_its_own(
    house: House, path: str, version: str
) -> None:
    before = alive(TCPServer)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(get(path, house.port, {"Connection": "keep-alive"}, version) + get("/api/stream", house.port))
    assert await reader.readuntil(b"\r\n\r\n")
    assert [] == house.front.taken
    house.front.cut_all()
    await until(lambda: alive(TCPServer) == before)
    writer.close()


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_stream_is_whole_and_over_when_its_reader_leaves_also_with_a_server_that_is_not_known(
    house: House, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_known:
        monkeypatch.setattr(front_module, "take", lambda way, lost: None)
    _, leaving, _ = await house.ask(get("/api/stream", house.port))
    staying, writer, body = await house.ask(get("/api/stream", house.port))
    assert 2 * is_known == len(house.front.taken)
    leaving.write_eof()
    await until(lambda: len(house.streams) == 1)
    house.stop.set()
    while not body.complete:
        body.feed(await staying.read(65_536))
    assert "event: bye" in body.text
    for each in (leaving, writer):
        each.close()


async def test_a_client_that_leaves_by_half_with_its_request_leaves_nothing_behind(house: House) -> None:
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(get("/api/stream", house.port))
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
    await until(lambda: not house.streams and not house.front.taken)
