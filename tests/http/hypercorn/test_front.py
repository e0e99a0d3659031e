from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from quart import Quart

from gateway.config import Http
from gateway.counters import Counters
from gateway.devices.registry import Registry
from gateway.http.hypercorn.front import Front
from gateway.http.streams import Streams
from gateway.log import Log
from gateway.stream.readiness import Readiness
from tests.conftest import Pair
from tests.reader import Reader

pytestmark = pytest.mark.broker
Read = Callable[..., Reader]
OPTIONS = ["--set", "http.cors_origins=https://page.example"]


def first_line(pair: Pair, request: str) -> str:
    with socket.create_connection(("127.0.0.1", pair.gateway.port), timeout=5) as sock:
        sock.sendall(f"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return sock.recv(4096).decode("latin1")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("GET http://localhost/api/stream", "200 "),
        ("GET /api/devices/kitchen/fridge/stream?last=2", "200 "),
        ("GET /api/devices/a/stream/stream", "200 "),
        ("GET /api/devices/stream", "404 "),
        ("GET /api/devices//stream", "404 "),
        ("GET /api/stream/", "404 "),
        ("GET /api/stream?device=%ff", "200 "),
        ("GET /api/stream?last=%ff", "400 "),
        ("POST /api/stream", "405 "),
        ("DELETE /api/devices/a/stream", "405 "),
    ],
)
def test_streams_are_found_where_the_routes_say(pair: Pair, request_: str, answer: str) -> None:
    found = first_line(pair, request_)
    assert f"HTTP/1.1 {answer}" == found[: 9 + len(answer)]
    assert ("event: hello" in found or "text/event-stream" in found) == (answer == "200 ")


def test_a_stream_carries_the_headers_of_all_other_answers(pair: Pair, read: Read) -> None:
    asked = {"Origin": "https://page.example"}
    of_others = httpx.get(f"{pair.gateway.url}/api/devices", headers=asked).headers
    head = read(pair.gateway, headers=asked).live().body.head.lower()
    for name in ("access-control-allow-origin", "access-control-expose-headers", "vary", "referrer-policy",
                 "x-content-type-options"):  # fmt: skip
        assert f"\r\n{name}: {of_others[name].lower()}" in head
    assert 1 == head.count("cache-control")


def test_a_foreign_page_gets_a_stream_without_leave_to_read_it(pair: Pair, read: Read) -> None:
    head = read(pair.gateway, headers={"Origin": "https://other.example"}).live().body.head.lower()
    assert "access-control-allow-origin" not in head
    assert "vary: origin" in head


def test_a_foreign_name_gets_no_stream(pair: Pair) -> None:
    answer = httpx.get(f"{pair.gateway.url}/api/stream", headers={"Host": "evil.example"})
    assert 403 == answer.status_code


def test_a_stream_of_http_1_0_without_a_host_is_served(pair: Pair) -> None:
    with socket.create_connection(("127.0.0.1", pair.gateway.port), timeout=5) as sock:
        sock.sendall(b"GET /api/stream HTTP/1.0\r\n\r\n")
        assert b" 200 " in sock.recv(4096)


async def test_a_connection_that_broke_is_no_fault_of_the_server(log: Log) -> None:
    counters, readiness = Counters(), Readiness()
    streams = Streams(log, Registry(), counters, Http(), readiness)

    async def receive() -> None:
        await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    scope = {"type": "http", "method": "GET", "path": "/api/stream", "query_string": b"", "headers": []}
    await Front(Quart("tests"), streams, Http())(scope, receive, send)
    assert 0 == len(streams)


class _Flushed(asyncio.Transport):
    """One that was closed, and lost when all had gone: to abort it fails in asyncio's own code."""

    def is_closing(self) -> bool:
        return True

    def abort(self) -> None:
        raise AttributeError("'NoneType' object has no attribute 'call_soon'")


async def test_a_connection_that_is_over_is_not_cut_again() -> None:
    class Ended:
        transport = _Flushed()
        put = None

        async def end(self) -> None: ...

    class Served:
        async def serve(self, *_: object) -> None: ...

    front = Front(Quart("tests"), Served(), Http())  # type: ignore[arg-type] # nothing else of it is called
    await front._serve_alone(None, Ended())  # type: ignore[arg-type] # as above
