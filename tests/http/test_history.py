from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import GatewayProcess, Mosquitto, Pair, wait_until
from tests.reader import Reader

pytestmark = pytest.mark.broker
PUBLISHED = [{"temperature": number, "humidity": number / 2} for number in range(300)]
PATH = "/api/devices/boiler/readings"


@pytest.fixture(scope="module")
def gateway(pair: Pair) -> GatewayProcess:
    """A gateway with ``PUBLISHED`` in its log, between readings of another device."""
    pair.broker.publish_lines("sensors/other", ['{"temperature": -1}'] * 50)
    pair.broker.publish_lines("sensors/boiler", map(json.dumps, PUBLISHED))
    pair.broker.publish_lines("sensors/other", ['{"temperature": -1}'] * 50)
    wait_until(lambda: pair.gateway.counter('entries_total{kind="reading"}') == 400)
    return pair.gateway


def test_json_holds_what_was_published(gateway: GatewayProcess) -> None:
    answer = gateway.get(PATH)
    body = answer.json()
    assert PUBLISHED == [reading["values"] for reading in body["readings"]]
    assert {"boiler"} == {body["device"], *(reading["device"] for reading in body["readings"])}
    assert True is body["complete"]
    assert str(body["position"]) == answer.headers["X-Position"]
    assert "application/json" == answer.headers["Content-Type"]
    ids = [reading["id"] for reading in body["readings"]]
    assert sorted(set(ids)) == ids
    assert body["floor"] < ids[0] <= ids[-1] <= body["position"]


def test_ndjson_has_one_reading_a_line(gateway: GatewayProcess) -> None:
    answer = gateway.get(PATH, format="ndjson")
    assert gateway.get(PATH).json()["readings"] == [json.loads(line) for line in answer.text.splitlines()]
    assert "application/x-ndjson" == answer.headers["Content-Type"]
    assert answer.headers["X-Position"].isdigit()


def test_csv_has_a_column_for_each_metric(gateway: GatewayProcess) -> None:
    answer = gateway.get(PATH, format="csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert ["id", "at", "received_at", "humidity", "temperature"] == list(rows[0])
    found = [{"temperature": int(row["temperature"]), "humidity": float(row["humidity"])} for row in rows]
    assert PUBLISHED == found
    assert "text/csv; charset=utf-8" == answer.headers["Content-Type"]


def test_csv_disarms_text_that_a_spreadsheet_would_run(pair: Pair, gateway: GatewayProcess) -> None:
    pair.broker.publish("sensors/bad", '{"mode": "=HYPERLINK(\\"http://evil\\")", "on": true}')
    wait_until(lambda: gateway.get("/api/devices/bad").status_code == 200)
    rows = list(csv.DictReader(io.StringIO(gateway.get("/api/devices/bad/readings", format="csv").text)))
    assert [('\'=HYPERLINK("http://evil")', "true")] == [(row["mode"], row["on"]) for row in rows]


def test_the_accept_header_chooses_unless_format_does(gateway: GatewayProcess) -> None:
    def kind(accept: str, **parameters: str) -> str:
        answer = httpx.get(f"{gateway.url}{PATH}", params={"limit": 1, **parameters}, headers={"Accept": accept})
        return answer.headers["Content-Type"]

    assert "text/csv; charset=utf-8" == kind("text/csv")
    assert "application/x-ndjson" == kind("application/x-ndjson")
    assert "application/json" == kind("text/csv", format="json")


def test_the_limit_keeps_the_newest_and_says_so(gateway: GatewayProcess) -> None:
    body = gateway.get(PATH, limit=10).json()
    assert PUBLISHED[-10:] == [reading["values"] for reading in body["readings"]]
    assert False is body["complete"]
    assert True is gateway.get(PATH, limit=300).json()["complete"]
    assert PUBLISHED[1:] == [reading["values"] for reading in gateway.get(PATH, limit=299).json()["readings"]]


def test_metric_leaves_out_the_others(gateway: GatewayProcess) -> None:
    readings = gateway.get(PATH, metric="humidity", limit=5).json()["readings"]
    assert [{"humidity": each["humidity"]} for each in PUBLISHED[-5:]] == [reading["values"] for reading in readings]
    assert [] == gateway.get(PATH, metric="pressure").json()["readings"]


def test_after_continues_where_a_client_was(gateway: GatewayProcess) -> None:
    readings = gateway.get(PATH).json()["readings"]
    body = gateway.get(PATH, after=readings[249]["id"]).json()
    assert readings[250:] == body["readings"]
    assert True is body["complete"]
    assert False is gateway.get(PATH, after=1).json()["complete"]


def test_since_and_until_bound_the_time_of_arrival(pair: Pair, gateway: GatewayProcess) -> None:
    times = []
    for number in range(3):
        pair.broker.publish("sensors/timed/temperature", str(number))
        wait_until(lambda wanted=number: gateway.get("/api/devices/timed/readings").json()["readings"][wanted:])
        time.sleep(0.05)
        times.append(int(time.time() * 1000))
        time.sleep(0.05)

    def values(**parameters: Any) -> list[int]:
        readings = gateway.get("/api/devices/timed/readings", **parameters).json()["readings"]
        return [reading["values"]["temperature"] for reading in readings]

    assert [0, 1, 2] == values()
    assert [1, 2] == values(since=times[0])
    assert [0, 1] == values(until=times[1])
    assert [1] == values(since=times[0], until=times[1])
    assert [0, 1, 2] == values(since="10m")
    assert [] == values(until=times[0] - 60_000)


def test_buckets_sum_up_what_was_published(gateway: GatewayProcess) -> None:
    body = gateway.get(PATH, buckets=1).json()
    (bucket,) = body["buckets"]
    expected = {"min": 0, "mean": 149.5, "max": 299, "count": 300}
    assert expected == bucket["values"]["temperature"]
    assert {"min": 0, "mean": 74.75, "max": 149.5, "count": 300} == bucket["values"]["humidity"]
    assert "readings" not in body
    many = gateway.get(PATH, buckets=1000, since="1m").json()["buckets"]
    assert 300 == sum(bucket["values"]["temperature"]["count"] for bucket in many)
    assert all(bucket["at"] < bucket["until"] for bucket in many)


def test_an_unknown_device_has_no_readings(gateway: GatewayProcess) -> None:
    body = gateway.get("/api/devices/nobody/readings").json()
    assert ([], True) == (body["readings"], body["complete"])
    assert 1 == len(gateway.get("/api/devices/nobody/readings", format="csv").text.splitlines())
    assert [] == gateway.get("/api/devices/nobody/readings", buckets=5).json()["buckets"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("limit=0", "limit"), ("buckets=99999", "buckets"), ("format=xml", "format"), ("buckets=5&limit=5", "limit"),
     ("since=5m&until=10m", "until"), ("devices=a", "devices"), ("buckets=5&format=csv", "buckets")],
)  # fmt: skip
def test_a_bad_parameter_is_a_400_that_names_it(gateway: GatewayProcess, query: str, parameter: str) -> None:
    answer = gateway.get(f"{PATH}?{query}")
    assert (400, parameter) == (answer.status_code, answer.json()["parameter"])


def test_history_and_stream_join_without_a_hole_or_a_double(
    pair: Pair, gateway: GatewayProcess, read: Callable[..., Reader]
) -> None:
    path = "/api/devices/joined"
    pair.broker.publish_lines("sensors/joined/temperature", range(100))
    wait_until(lambda: gateway.get(f"{path}/readings").json()["readings"][20:])
    body = gateway.get(f"{path}/readings").json()
    reader = read(gateway, f"{path}/stream?after={body['position']}")
    pair.broker.publish_lines("sensors/joined/temperature", range(100, 200))
    reader.wait(lambda reader: 199 in reader.values("temperature"))
    first = [reading["values"]["temperature"] for reading in body["readings"]]
    assert list(range(200)) == first + reader.values("temperature")


def test_a_reading_of_the_history_is_that_of_the_stream_with_its_id(
    gateway: GatewayProcess, read: Callable[..., Reader]
) -> None:
    reader = read(gateway, "/api/devices/boiler/stream?after=earliest").wait(lambda reader: len(reader.readings) >= 300)
    assert gateway.get(PATH).json()["readings"] == [{"id": int(block.id), **block.data} for block in reader.readings]


@pytest.mark.slow
def test_what_retention_took_is_not_called_complete(
    mosquitto: Mosquitto, make_gateway: Callable[..., GatewayProcess]
) -> None:
    sizes = {"segment_bytes": 65_536, "retention_bytes": 262_144, "tail_bytes": 65_536}
    options = [word for key, size in sizes.items() for word in ("--set", f"log.{key}={size}")]
    gateway = make_gateway("--broker", mosquitto.url, *options).start()
    mosquitto.publish_lines("sensors/boiler/temperature", range(20_000))
    wait_until(lambda: gateway.counter("segments_removed_total") > 0, 20, "retention")
    body = gateway.get(PATH, after=1).json()
    assert False is body["complete"]
    values = [reading["values"]["temperature"] for reading in body["readings"]]
    assert list(range(values[0], values[0] + len(values))) == values
