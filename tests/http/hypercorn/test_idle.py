from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio
from quart import Quart

from gateway.clock import Clock
from gateway.config import Http
from gateway.http.hypercorn import idle
from gateway.http.hypercorn.front import Front
from gateway.http.hypercorn.server import hypercorn_config, listen, serve_until
from tests.reader import get

KEPT_S = 0.3


class House(NamedTuple):
    """A server with one route, that ends idle connections soon; ``stop`` ends it, ``serving`` is its task."""

    port: int
    stop: asyncio.Event
    serving: asyncio.Task[None]

    async def say(self, words: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(words)
        return reader, writer


@pytest_asyncio.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(idle, "LOOK_S", 0.05)
    app, settings, stop = Quart("tests"), Http(port=0), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(3 * KEPT_S)
        return "slow"

    @app.get("/fast")
    async def fast() -> str:
        return "fast"

    listening = listen(settings)
    port, config = listening.getsockname()[1], hypercorn_config(listening, settings)
    config.keep_alive_timeout = KEPT_S
    serving = asyncio.create_task(serve_until(Front(app, Clock()), config, stop.wait))
    yield House(port, stop, serving)
    stop.set()
    await serving
    assert {} == idle._since


async def seconds_to_end(reader: asyncio.StreamReader) -> float:
    began = time.monotonic()
    await asyncio.wait_for(reader.read(), 5)
    return time.monotonic() - began


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\nHost: localh"], ids=["nothing", "half a request"])
async def test_a_client_that_never_asks_is_cut(house: House, words: bytes) -> None:
    reader, writer = await house.say(words)
    assert KEPT_S - 0.1 < await seconds_to_end(reader) < KEPT_S + 1
    writer.close()


async def test_a_client_may_ask_again_until_it_is_silent_for_long(house: House) -> None:
    reader, writer = await house.say(b"")
    for _ in range(3):
        writer.write(get("/none", house.port))
        assert b" 404 " in await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(KEPT_S / 2)
    assert await seconds_to_end(reader) < KEPT_S + 1
    writer.close()


async def test_whoever_waits_for_an_answer_is_not_idle(house: House) -> None:
    reader, writer = await house.say(get("/slow", house.port, {"Connection": "close"}))
    assert b"slow" in await reader.read()
    writer.close()


async def test_nobody_idle_holds_up_the_end(house: House) -> None:
    silent, writer = await house.say(b"")
    asked, beside = await house.say(get("/fast", house.port))
    await asked.readuntil(b"fast")
    house.stop.set()
    began = time.monotonic()
    await house.serving
    assert time.monotonic() - began < KEPT_S / 2
    assert [b"", b""] == [await silent.read(), await asked.read()]
    for each in (writer, beside):
        each.close()
