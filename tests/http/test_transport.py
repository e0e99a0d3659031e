from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, request

from gateway.config import Http
from gateway.http.server import hypercorn_config, listen, serve_until
from gateway.http.transport import cut_all, keep_transports, transport_of
from tests.reader import get


def make_app(seen: list[Any]) -> Quart:
    app = Quart("tests")
    keep_transports(app)

    @app.get("/")
    async def index() -> AsyncIterator[bytes]:
        seen.append(request.scope["state"]["transport"])

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
    assert writer.get_extra_info("sockname") == seen[0].get_extra_info("peername")
    cut_all(app)
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    assert True is seen[0].is_closing()
    stop.set()
    await serving


async def test_where_the_way_is_not_known_there_is_no_transport() -> None:
    async def send(_: object) -> None: ...

    assert None is transport_of(send)
    assert None is transport_of(socket.socket)
