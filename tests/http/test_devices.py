from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.conftest import Pair, wait_until
from tests.reader import Reader

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def known(pair: Pair) -> Pair:
    """Two devices: one that described itself and went offline, one that only reported."""
    pair.broker.publish("sensors/boiler/info", '{"label": "Boiler", "metrics": {"temperature": {"unit": "Cel"}}}')
    pair.broker.publish("sensors/boiler/temperature", "61.5")
    pair.broker.publish("sensors/boiler/availability", "offline")
    pair.broker.publish("sensors/kitchen/fridge/temperature", "4")
    wait_until(lambda: len(pair.gateway.get("/api/devices").json()["devices"]) == 2)
    wait_until(lambda: pair.gateway.get("/api/devices/boiler").json().get("status") == "offline")
    return pair


def test_all_devices_come_by_name_with_their_newest_values(known: Pair) -> None:
    body = known.gateway.get("/api/devices").json()
    assert ["boiler", "kitchen/fridge"] == [device["device"] for device in body["devices"]]
    boiler, fridge = body["devices"]
    assert ("Boiler", "offline") == (boiler["label"], boiler["status"])
    assert (61.5, "Cel") == (boiler["values"]["temperature"]["value"], boiler["values"]["temperature"]["unit"])
    assert ("online", 4) == (fridge["status"], fridge["values"]["temperature"]["value"])
    assert abs(time.time() * 1000 - body["time"]) < 60_000


def test_one_device_is_that_object_with_position_and_time(known: Pair) -> None:
    one, every = known.gateway.get("/api/devices/kitchen/fridge").json(), known.gateway.get("/api/devices").json()
    assert one["position"] == every["position"]
    assert every["devices"][1] == {key: value for key, value in one.items() if key not in ("position", "time")}


def test_an_unknown_device_is_a_404_that_names_it(known: Pair) -> None:
    answer = known.gateway.get("/api/devices/nobody")
    assert (404, {"error": "unknown device", "device": "nobody"}) == (answer.status_code, answer.json())


def test_a_parameter_is_refused(known: Pair) -> None:
    assert [400, 400] == [known.gateway.get(f"/api/devices{path}", metric="a").status_code for path in ("", "/boiler")]


def test_a_device_joins_a_stream_at_its_position(known: Pair, read: Callable[..., Reader]) -> None:
    one = known.gateway.get("/api/devices/boiler").json()
    known.broker.publish("sensors/boiler/temperature", "62")
    reader = read(known.gateway, f"/api/devices/boiler/stream?after={one['position']}").wait(lambda each: each.readings)
    assert [62] == reader.values("temperature")


def test_a_stream_begins_with_what_is_known(known: Pair, read: Callable[..., Reader]) -> None:
    reader = read(known.gateway, "/api/stream?device=kitchen/*").live()
    assert [known.gateway.get("/api/devices").json()["devices"][1]] == [block.data for block in reader.of("latest")]


def test_what_is_known_outlives_a_kill(known: Pair) -> None:
    before = known.gateway.get("/api/devices").json()["devices"]
    known.gateway.kill()
    known.gateway.start()
    assert before == known.gateway.get("/api/devices").json()["devices"]
