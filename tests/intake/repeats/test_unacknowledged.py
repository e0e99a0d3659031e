from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterable

import iotcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.intake.repeats.unacknowledged import Unacknowledged
from gateway.reading import Message
from tests.conftest import GatewayProcess, free_port, need, wait_until
from tests.crash.proxy import Proxy

Make = Callable[..., GatewayProcess]


def message(text: str, packet_id: int = 1, qos: int = 1, *, retain: bool = False, dup: bool = False) -> Message:
    return Message("sensors/boiler/temperature", text.encode(), qos, retain, dup, packet_id, 0)


def test_what_was_not_acknowledged_is_expected_again_in_its_order() -> None:
    unacknowledged = Unacknowledged()
    first = unacknowledged.delivered([message("1"), message("2")])
    unacknowledged.delivered([message("3"), message("4")])
    unacknowledged.acknowledged(first)
    unacknowledged.connection_began(resumed=True)
    assert [True, True, False] == [unacknowledged.is_expected(message(text)) for text in "343"]


def test_the_first_that_differs_ends_it() -> None:
    unacknowledged = Unacknowledged()
    unacknowledged.delivered([message("1"), message("2")])
    unacknowledged.connection_began(resumed=True)
    assert [False, False, False] == [unacknowledged.is_expected(message(text)) for text in "512"]
    assert not unacknowledged.is_expecting


def test_nothing_is_expected_of_a_new_session() -> None:
    unacknowledged = Unacknowledged()
    unacknowledged.delivered([message("1")])
    unacknowledged.connection_began(resumed=False)
    assert not unacknowledged.is_expected(message("1"))


def test_retained_messages_and_those_at_qos_0_may_come_between() -> None:
    unacknowledged = Unacknowledged()
    unacknowledged.delivered([message("1"), message("2")])
    unacknowledged.connection_began(resumed=True)
    assert unacknowledged.is_expected(message("1"))
    assert not unacknowledged.is_expected(message("2", retain=True))
    assert not unacknowledged.is_expected(message("2", qos=0))
    assert unacknowledged.is_expected(message("2"))


@pytest.mark.parametrize("comes", ["R12", "12", "r12"])
def test_a_retained_message_that_was_not_acknowledged_does_not_hide_the_others(comes: str) -> None:
    """It comes again without its flag, not at all, or (``r``) as it was; then `retained.py` knows it."""
    unacknowledged = Unacknowledged()
    unacknowledged.delivered([message("R", retain=True), message("1"), message("2")])
    unacknowledged.connection_began(resumed=True)
    known = [unacknowledged.is_expected(message(text.upper(), retain=text == "r")) for text in comes + "3"]
    assert [*(text != "r" for text in comes), False] == known


def test_what_equals_a_retained_message_that_has_come_again_is_news() -> None:
    unacknowledged = Unacknowledged()
    unacknowledged.delivered([message("on", retain=True)])
    unacknowledged.connection_began(resumed=True)
    assert [False, False] == [unacknowledged.is_expected(message("on", retain=flag)) for flag in (True, False)]


def test_a_connection_that_breaks_while_they_come_again() -> None:
    unacknowledged = Unacknowledged()
    unacknowledged.delivered([message("1"), message("2"), message("3")])
    unacknowledged.connection_began(resumed=True)
    assert unacknowledged.is_expected(message("1"))
    unacknowledged.delivered([message("1")])
    unacknowledged.connection_began(resumed=True)
    assert [True, True, True, False] == [unacknowledged.is_expected(message(text)) for text in "1231"]


TEXTS = st.lists(st.sampled_from("ab"), max_size=6)


@given(TEXTS, st.integers(0, 6), TEXTS)
def test_of_any_messages_exactly_the_unacknowledged_ones_are_recognised(
    delivered: list[str], acknowledged: int, news: list[str]
) -> None:
    """As [MQTT-4.4.0-1] and 4.6 have it: all that is unacknowledged comes again first, then what is new."""
    unacknowledged = Unacknowledged()
    numbers = [unacknowledged.delivered([message(text)]) for text in delivered]
    for number in numbers[:acknowledged]:
        unacknowledged.acknowledged(number)
    unacknowledged.connection_began(resumed=True)
    again = delivered[acknowledged:]
    assert [True] * len(again) + [False] * len(news) == [
        unacknowledged.is_expected(message(text)) for text in again + news
    ]


@pytest.mark.broker
async def test_what_the_embedded_broker_sends_again_without_dup_is_logged_once(make_gateway: Make) -> None:
    """The disk does not take it, the connection is cut: all comes again under new packet ids, and DUP is not set."""
    broker = iotcore.Broker(port=free_port(), listen="127.0.0.1")
    await asyncio.to_thread(broker.start, 10)
    proxy = Proxy(broker.port)
    proxy.start()
    gateway = make_gateway("--broker", f"mqtt://127.0.0.1:{proxy.port}").start(wait_ready=False)

    async def until(condition: Callable[[], bool]) -> None:
        await asyncio.to_thread(wait_until, condition)

    try:
        await asyncio.to_thread(gateway.wait_ready)
        await asyncio.to_thread(publish, broker.port, range(10))
        await until(lambda: gateway.newest() == 9)
        with gateway.not_committing():
            await asyncio.to_thread(publish, broker.port, range(10, 60))
            await until(lambda: gateway.counter("messages_total") == 60)
            proxy.cut()
            # On a busy machine the next connection may break too; then they come once more.
            await until(lambda: gateway.counter("messages_total") >= 110)
        await asyncio.to_thread(publish, broker.port, [60])
        await until(lambda: gateway.newest() == 60)
        assert list(range(61)) == await asyncio.to_thread(gateway.logged)
        came = await asyncio.to_thread(gateway.counter, "messages_total")
        assert 50 <= await asyncio.to_thread(gateway.counter, "redelivered_total") == came - 61
    finally:
        await proxy.close()
        await asyncio.to_thread(broker.stop)


def publish(port: int, payloads: Iterable[int]) -> None:
    program = need("mosquitto_pub", "mosquitto-clients")
    command = [program, "-p", str(port), "-q", "1", "-t", "sensors/boiler/temperature", "-l"]
    subprocess.run(command, input="".join(f"{each}\n" for each in payloads).encode(), check=True, timeout=30)
