from __future__ import annotations

import asyncio
from typing import Any

import h11
import pytest

from gateway.http.hypercorn.connection import MAX_TALK_BYTES, Connection, chunk, head
from tests.log.parts import until


class Unread(asyncio.Transport):
    """A transport with so many bytes that wait."""

    def __init__(self, waiting: int = 0) -> None:
        super().__init__()
        self.waiting, self.written, self.closed, self.reads = waiting, b"", False, True

    def write(self, data: Any) -> None:
        self.waiting += len(data)
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def pause_reading(self) -> None:
        self.reads = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def test_chunks_are_those_of_http_1_1() -> None:
    assert b"1a\r\n" + b"-" * 26 + b"\r\n" == chunk(b"-" * 26)


def test_what_it_sends_is_a_whole_response_of_http_1_1() -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "-")]))
    client.send(h11.EndOfMessage())
    client.receive_data(head(((b"vary", b"Origin"),), 784111777) + chunk(b"data: 1\n\n") + chunk(b""))
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert 200 == response.status_code
    assert {
        b"vary": b"Origin",
        b"date": b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"connection": b"close",
        b"transfer-encoding": b"chunked",
    } == dict(response.headers)
    body = client.next_event()
    assert isinstance(body, h11.Data)
    assert b"data: 1\n\n" == body.data
    assert isinstance(client.next_event(), h11.EndOfMessage)


async def test_the_head_goes_at_once_and_with_what_comes_first() -> None:
    sent: list[bytes] = []
    connection = Connection(transport := Unread(), id)
    transport.write = sent.append  # type: ignore[method-assign]
    connection.begin(b"head ")
    await connection.put(b"first")
    await asyncio.sleep(0)
    assert [b"head 5\r\nfirst\r\n", b""] == sent
    sent.clear()
    connection.begin(b"head")
    await asyncio.sleep(0)
    assert [b"head"] == sent


def test_it_holds_at_most_64_kib_and_a_piece() -> None:
    connection = Connection(transport := Unread(), id)
    assert [True, True, False] == [connection.write(b"-" * size) for size in (40_000, 25_536, 1)]
    assert (65_536, 16_384) == transport.limits
    transport.waiting = 16_384
    assert True is connection.is_clear()
    transport.waiting += 1
    assert False is connection.is_clear()


async def test_a_piece_is_put_when_the_reader_has_room() -> None:
    connection = Connection(Unread(), id)
    connection.pause_writing()
    putting = asyncio.create_task(connection.put(b"-"))
    await asyncio.sleep(0.01)
    assert False is putting.done()
    connection.resume_writing()
    await putting


async def test_whoever_waits_for_a_reader_that_is_cut_is_told() -> None:
    connection = Connection(transport := Unread(), id)
    transport.abort()
    assert [False, False] == [connection.is_clear(), connection.write(b"-")]
    with pytest.raises(ConnectionError):
        await connection.drain()


def test_a_client_that_talks_without_end_is_cut() -> None:
    connection = Connection(transport := Unread(), id)
    connection.data_received(b"-" * MAX_TALK_BYTES)
    assert False is transport.closed
    connection.data_received(b"-")
    assert True is transport.closed


async def test_its_end_is_the_last_chunk_and_over_when_that_has_gone() -> None:
    connection = Connection(transport := Unread(), lambda lost: lost is connection and ending.cancel())
    ending = asyncio.create_task(connection.end())
    connection.begin(b"head ")
    await asyncio.sleep(0)
    connection.pause_writing()
    connection.resume_writing()
    await asyncio.sleep(0.01)
    assert (b"head 0\r\n\r\n", True, False) == (transport.written, transport.closed, ending.done())
    connection.connection_lost(None)
    await until(ending.cancelled)


def test_half_a_goodbye_is_one_and_talk_is_not_listened_to() -> None:
    connection = Connection(transport := Unread(), id)
    connection.data_received(b"GET / HTTP/1.1\r\n")
    assert (True, False) == (transport.reads, transport.closed)
    connection.eof_received()
    assert True is transport.closed


def test_one_that_is_closing_is_not_cut_again() -> None:
    connection = Connection(Unread(), id)
    assert [True, False] == [connection.cut(), connection.cut()]
