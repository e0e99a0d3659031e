from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import httpx
import pytest

from gateway.clock import Clock
from gateway.http.hypercorn.connection import Connection
from gateway.http.hypercorn.front import Front
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


class _Flushed(asyncio.Transport):
    """One that was closed, and lost when all had gone: to abort it fails in asyncio's own code."""

    def is_closing(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def abort(self) -> None:
        raise AttributeError("'NoneType' object has no attribute 'call_soon'")


async def test_a_connection_that_is_over_is_not_cut_again() -> None:
    class Ended(Connection):
        async def end(self) -> None: ...

    async def serve(*_: object) -> None: ...

    ended = Ended(_Flushed(), id)
    await Front(serve, Clock())._serve_alone(serve, None, ended)  # type: ignore[arg-type] # nothing else of it is called
