"""The table of counters, and what Prometheus reads."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.counters import GAUGES, PREFIX, Counters, Exposition
from gateway.reading import Reason

NO_GAUGES = dict.fromkeys(GAUGES, lambda: 0.0)


def exposed(counters: Counters, **gauges) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    registry = CollectorRegistry()
    registry.register(Exposition(counters, {**NO_GAUGES, **gauges}))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def test_every_counter_is_exposed_from_the_first_moment_and_ends_in_total():
    plain = {entry.name for entry in fields(Counters) if "label" not in entry.metadata}
    assert {PREFIX + name for name in [*plain, *GAUGES]} == {name for name, _ in exposed(Counters())}
    assert all(entry.name.endswith("_total") for entry in fields(Counters))


def test_every_counter_and_gauge_says_what_it_counts():
    assert [] == [entry.name for entry in fields(Counters) if not entry.metadata["meaning"]]
    assert [] == [name for name, meaning in GAUGES.items() if not meaning]


def test_counts_are_read_when_asked():
    counters = Counters()
    counters.messages_total += 3
    counters.commit_seconds_total += 0.25
    assert 3 == exposed(counters)["sensor_gateway_messages_total", ()]
    assert 0.25 == exposed(counters)["sensor_gateway_commit_seconds_total", ()]


def test_each_reason_is_a_label():
    counters = Counters()
    for reason in get_args(Reason):
        counters.rejected_total[reason] += 1
    found = exposed(counters)
    assert [1] * len(get_args(Reason)) == [
        found["sensor_gateway_rejected_total", (("reason", reason),)] for reason in get_args(Reason)
    ]


def test_gauges_are_read_when_asked():
    assert 7 == exposed(Counters(), streams=lambda: 7.0)["sensor_gateway_streams", ()]
    assert 8 == exposed(Counters(), streams=lambda: 8.0)["sensor_gateway_streams", ()]


def test_two_gateways_in_one_process_count_apart():
    one, other = Counters(), Counters()
    one.rejected_total["empty"] += 1
    assert 0 == other.rejected_total["empty"]
