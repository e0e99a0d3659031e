from __future__ import annotations

import re

import pytest

from gateway.counters import GAUGES, PREFIX, Counters
from tests.conftest import Pair, wait_until

pytestmark = pytest.mark.broker


def test_healthz_says_ok(pair: Pair) -> None:
    answer = pair.gateway.get("/healthz")
    assert (200, {"status": "ok"}) == (answer.status_code, answer.json())


def test_metrics_show_every_counter_and_gauge(pair: Pair) -> None:
    text = pair.gateway.get("/metrics").text
    families = set(re.findall(rf"^# TYPE {PREFIX}(\w+) ", text, re.MULTILINE))
    assert {*Counters.__dataclass_fields__, *GAUGES} == families
    assert 1 == pair.gateway.counter("ready") == pair.gateway.counter("broker_connected")


def test_readyz_names_what_stands_in_the_way(pair: Pair) -> None:
    ready = pair.gateway.get("/readyz")
    assert (200, {"status": "ready", "faults": {}, "warnings": {}}) == (ready.status_code, ready.json())
    pair.broker.stop()
    try:
        wait_until(lambda: pair.gateway.get("/readyz").status_code == 503)
        faults = pair.gateway.get("/readyz").json()["faults"]
        assert f"127.0.0.1:{pair.broker.port}" in faults["ingest"]
        assert 0 == pair.gateway.counter("ready") == pair.gateway.counter("broker_connected")
        assert 200 == pair.gateway.get("/healthz").status_code
    finally:
        pair.broker.start()
    pair.gateway.wait_ready()
