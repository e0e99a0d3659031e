from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from simulators.address import Broker
from simulators.counters import Counters
from simulators.device import Device, Publication, line_up
from simulators.session import RETRY_FIRST_S, RETRY_MAX_S, UNACKNOWLEDGED_MAX, Session, _retry_s

CONNACK, CONNACK_NOT_AUTHORISED = b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"


@asynccontextmanager
async def broker_that_only_says(answer: bytes) -> AsyncIterator[Broker]:
    """A broker that answers CONNECT and then reads without ever acknowledging."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        writer.close()
        closed.set()

    closed = asyncio.Event()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Broker.parse(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()
        await asyncio.wait_for(closed.wait(), 5)
        await asyncio.sleep(0)


@asynccontextmanager
async def session_at(broker: Broker, device: Device) -> AsyncIterator[Session]:
    session = Session(device, broker, None, "3.1.1", Counters())
    keeping = asyncio.create_task(session.keep(asyncio.Semaphore(1)))
    try:
        yield session
    finally:
        keeping.cancel()
        session.disconnect()
        await asyncio.gather(keeping, return_exceptions=True)
        await until(lambda: not session.online)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not done():  # noqa: ASYNC110  counters have no event to wait for
            await asyncio.sleep(0.01)


def publication(device: Device) -> Publication:
    return next(device.reports(1_795_335_752_000))


async def test_a_session_announces_its_device_as_soon_as_it_is_connected() -> None:
    (device,) = line_up(1)
    async with broker_that_only_says(CONNACK) as broker, session_at(broker, device) as session:
        await until(lambda: session.online)
        assert (2, 0) == (session.counters.published_total, session.counters.acknowledged_total)


async def test_a_device_skips_and_counts_when_the_broker_does_not_acknowledge() -> None:
    (device,) = line_up(1)
    async with broker_that_only_says(CONNACK) as broker, session_at(broker, device) as session:
        await until(lambda: session.online)
        for _ in range(UNACKNOWLEDGED_MAX + 5):
            session.publish(publication(device))
        assert UNACKNOWLEDGED_MAX == session.counters.published_total
        assert 2 + 5 == session.counters.skipped_unacknowledged_total
        assert UNACKNOWLEDGED_MAX - 2 == session.counters.readings_total


async def test_at_qos_0_taken_by_the_socket_is_enough() -> None:
    (device,) = line_up(1, qos=0)
    async with broker_that_only_says(CONNACK) as broker, session_at(broker, device) as session:
        await until(lambda: session.online)
        for _ in range(50):
            session.publish(publication(device))
        await until(lambda: session.unacknowledged == 0)
        assert 52 == session.counters.published_total


async def test_a_device_that_is_not_connected_skips_and_counts() -> None:
    (device,) = line_up(1)
    session = Session(device, Broker.parse("mqtt://127.0.0.1:1"), None, "3.1.1", Counters())
    session.publish(publication(device))
    assert (0, 1) == (session.counters.published_total, session.counters.skipped_disconnected_total)


async def test_a_refusal_by_the_broker_is_the_reason() -> None:
    (device,) = line_up(1)
    async with broker_that_only_says(CONNACK_NOT_AUTHORISED) as broker, session_at(broker, device) as session:
        await until(lambda: "refused" in session.reason)
        assert ("the broker refused: Not authorized", False) == (session.reason, session.online)


async def test_a_port_where_nobody_listens_is_the_reason() -> None:
    (device,) = line_up(1)
    async with session_at(Broker.parse("mqtt://127.0.0.1:1"), device) as session:
        await until(lambda: session.reason != "no answer")
        assert "connection refused" == session.reason


async def test_a_session_that_has_said_goodbye_lets_no_later_connection_count() -> None:
    (device,) = line_up(1)
    async with broker_that_only_says(CONNACK) as broker:
        session = Session(device, broker, None, "3.1.1", Counters())
        session.say_goodbye()
        keeping = asyncio.create_task(session.keep(asyncio.Semaphore(1)))
        await asyncio.sleep(0.2)
        assert (0, 0) == (session.counters.connected, session.counters.published_total)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_waits_between_attempts_grow_differ_and_are_bounded() -> None:
    one, two = line_up(2)
    waits_s = [_retry_s(one, attempt) for attempt in range(40)]
    assert waits_s[0] <= RETRY_FIRST_S
    assert RETRY_MAX_S / 2 <= min(waits_s[10:])
    assert max(waits_s) <= RETRY_MAX_S
    assert waits_s != [_retry_s(two, attempt) for attempt in range(40)]
