from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.intake.fair import MAX_TOLD, Fair, share
from tests.conftest import GatewayProcess, Mosquitto, settings, wait_until
from tests.reader import Reader

Make = Callable[..., GatewayProcess]
Read = Callable[..., Reader]


@given(st.lists(st.integers(1, 1000), max_size=20), st.integers(0, 2000))
def test_a_share_divides_what_there_is_and_takes_from_the_greatest_only(asked: list[int], capacity: int) -> None:
    each = share(asked, capacity)
    granted = [min(count, each) for count in asked]
    assert each >= 1
    if capacity >= len(asked):
        assert sum(granted) <= capacity + 1e-6
    if sum(asked) <= capacity:
        assert asked == granted
    elif capacity >= len(asked):
        assert sum(granted) >= capacity - 1e-6, "nothing of what can be kept is given away"


def pressed(*, asked: dict[str, int], epochs: int) -> dict[str, int]:
    """How much of each device is admitted in the last of ``epochs``, when 100 are committed in each."""
    fair = Fair(1000)
    admitted: dict[str, int] = {}
    for epoch in range(epochs):
        assert fair.begin(600, 100 * epoch, is_behind=False)
        admitted = {device: sum(fair.admits(device, 0) for _ in range(count)) for device, count in asked.items()}
    return admitted


def test_a_device_that_floods_loses_its_own_and_quiet_ones_lose_nothing() -> None:
    quiet = {f"quiet{number}": 5 for number in range(10)}
    assert {**quiet, "flood": 50} == pressed(asked={"flood": 10_000, **quiet}, epochs=3)


def test_two_floods_get_the_same() -> None:
    assert {"a": 50, "b": 50} == pressed(asked={"a": 10_000, "b": 3000}, epochs=3)


def test_without_pressure_nobody_is_asked() -> None:
    fair = Fair(1000)
    assert not fair.begin(500, 0, is_behind=False)
    assert fair.begin(501, 0, is_behind=False)
    assert fair.begin(0, 0, is_behind=True)


def test_what_was_dropped_is_told_once_the_most_first_and_bounded() -> None:
    fair = Fair(2)
    fair.begin(2, 0, is_behind=False)
    for number in range(MAX_TOLD + 10):
        for _ in range(2 + number):
            fair.admits(f"d{number}", 1000 + number)
    first, second = fair.overflows(), fair.overflows()
    assert (f"d{MAX_TOLD + 9}", MAX_TOLD + 10, 1000 + MAX_TOLD + 9) == first[0]
    assert (MAX_TOLD, 10, 0) == (len(first), len(second), len(fair.overflows()))


@pytest.mark.broker
@pytest.mark.slow
def test_a_flood_at_qos_0_costs_the_device_that_floods_and_streams_are_told(
    mosquitto: Mosquitto, make_gateway: Make, read: Read
) -> None:
    gateway = make_gateway("--broker", mosquitto.url, *settings(log__max_waiting_messages=2000)).start()
    for device in ("flood", "quiet"):
        mosquitto.publish(f"sensors/{device}/temperature", "-1")
    reader = read(gateway).live()
    wait_until(lambda: [-1] == gateway.logged("flood") == gateway.logged("quiet"))
    total = 20_000
    flood = threading.Thread(
        target=mosquitto.publish_lines, args=["sensors/flood/temperature", range(total), "-q", "0"]
    )
    with gateway.not_committing():
        flood.start()
        for number in range(20):
            mosquitto.publish("sensors/quiet/temperature", str(number), "-q", "0")
            time.sleep(0.05)
        flood.join()
        wait_until(lambda: gateway.counter("messages_total") == total + 22, what="all of them")
    mosquitto.publish("sensors/flood/temperature", str(total))
    wait_until(lambda: gateway.newest("flood") == total, 20)
    reader.wait(lambda reader: any(block.data["values"] == {"temperature": total} for block in reader.readings))
    assert [-1, *range(20)] == gateway.logged("quiet")
    dropped = gateway.counter('dropped_total{device="flood"}')
    assert total + 2 == len(gateway.logged("flood")) + dropped
    assert dropped > 0
    told = reader.of("alert")
    assert {"flood"} == {block.data["device"] for block in told}
    assert dropped == sum(block.data["dropped"] for block in told)
    assert all(block.id for block in told)
    assert 0 == gateway.counter("ingest_pauses_total")
