"""A gate in this process, with its routes, and clients that ask it without a server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from gateway.config import Http
from gateway.counters import Exposition
from gateway.http.app import make_app
from gateway.http.caller import Caller
from gateway.http.gate import Gate
from gateway.log import Log
from gateway.selection import ALL, Selection
from gateway.stream.sources import Sources
from gateway.stream.streams import Streams
from tests.event_source import EventSource
from tests.log.parts import until
from tests.stream.parts import sources_of


class House:
    """A gate before the real routes and streams of a log; every caller has ``rights``."""

    def __init__(self, log: Log, settings: Http | None = None, rights: Selection = ALL) -> None:
        settings = settings or Http()
        self.sources: Sources = sources_of(log)
        self.streams = Streams(self.sources, settings, bytes)
        self.app = make_app(self.sources, Exposition(self.sources.counters, {}))
        self.app.logger.disabled = True
        self.gate = self.with_rights(rights, settings)

    def with_rights(self, rights: Selection, settings: Http | None = None) -> Gate:
        """Another gate before the same house."""
        caller = Caller("192.0.2.7", rights, "somebody")
        return Gate(self.app, self.streams.serve, settings or Http(), self.sources, lambda scope: caller)


async def ask(
    gate: Gate, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, host: str = "localhost"
) -> httpx.Response:
    """A whole answer."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://localhost") as client:
        return await client.request(method, path, headers={"Host": host, **(headers or {})})


class Browser:
    """One open stream: what it was told so far."""

    def __init__(self) -> None:
        self.source = EventSource()
        self.start: dict[str, Any] = {}
        self.body = b""

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message["body"]
            self.source.feed(message["body"])

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.source.events]

    async def wait_for(self, event: str) -> Browser:
        await until(lambda: self.source.of(event))
        return self


@contextlib.asynccontextmanager
async def open_stream(gate: Gate, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Browser]:
    """A GET of a stream, by ASGI; the reader leaves at the end."""
    browser, left = Browser(), asyncio.Event()

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    target, _, query = path.partition("?")
    lines = {"host": "localhost", **(headers or {})}
    scope = {
        "type": "http", "method": "GET", "path": target, "query_string": quote(query, safe="=&*/").encode(),
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
    }  # fmt: skip
    serving = asyncio.ensure_future(gate(scope, receive, browser.send))
    try:
        yield browser
    finally:
        left.set()
        await asyncio.wait([serving])
