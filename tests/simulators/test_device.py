from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.device import RATE_MAX, RATE_MIN, Device, Publication, line_up, schedule
from simulators.profile import Shape
from simulators.profiles import PROFILES

START_MS = 1_795_335_752_000
starts = st.integers(1_577_836_800_000, 4_102_444_799_999)
devices = st.builds(
    Device, st.sampled_from(list(PROFILES.values())), st.integers(0, 9999), st.integers(1, 9999),
    st.floats(RATE_MIN, RATE_MAX), st.integers(0, 2**63 - 1),
)  # fmt: skip


def first(count: int, publications: Iterable[Publication]) -> list[Publication]:
    return list(itertools.islice(publications, count))


def of(name: str, count: int = 1) -> list[Publication]:
    return first(count, line_up(1, profiles=[name])[0].reports(START_MS))


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


@given(devices, starts)
@settings(max_examples=50)
def test_the_same_seed_and_start_give_the_same_bytes(device: Device, start_ms: int) -> None:
    assert first(30, device.reports(start_ms)) == first(30, device.reports(start_ms))


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    command = [sys.executable, "-m", "simulators", "--print", "--start", str(START_MS), "--devices", "20"]
    printed = [
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("0", "1", "4242")
    ]
    assert len(printed[0]) > 10_000
    assert 1 == len(set(printed))


def test_another_seed_gives_other_bytes() -> None:
    one, two = (first(50, schedule(line_up(5, seed=seed), START_MS)) for seed in (1, 2))
    assert [p.due_ms for p in one] == [p.due_ms for p in two]
    assert [p.payload for p in one] != [p.payload for p in two]


def test_a_devices_bytes_do_not_depend_on_how_many_others_there_are() -> None:
    few, many = line_up(3), line_up(30)
    for alone, among in zip(few, many, strict=False):
        assert first(20, alone.reports(START_MS)) == first(20, among.reports(START_MS))


def test_two_devices_of_one_profile_see_different_things() -> None:
    one, two = line_up(2, profiles=["greenhouse"])
    assert first(1, one.reports(START_MS))[0].payload != first(1, two.reports(START_MS))[0].payload


@given(devices, starts, st.integers(0, 10**6))
def test_due_times_follow_the_schedule_and_never_drift(device: Device, start_ms: int, k: int) -> None:
    interval_ms = 1000 / device.rate
    due_ms = device.due_ms(start_ms, k)
    assert start_ms <= device.due_ms(start_ms, 0) <= start_ms + interval_ms
    assert abs(due_ms - device.due_ms(start_ms, 0) - k * interval_ms) <= 1 + 1e-9 * k * interval_ms
    assert device.due_ms(start_ms, k + 1) > due_ms


@given(devices, starts)
@settings(max_examples=50)
def test_every_publication_is_due_when_a_report_is(device: Device, start_ms: int) -> None:
    due_ms = [device.due_ms(start_ms, k) for k in range(3000)]
    for publication in first(20, itertools.takewhile(lambda p: p.due_ms <= due_ms[-1], device.reports(start_ms))):
        assert publication.due_ms in due_ms


def test_devices_are_spread_over_the_interval() -> None:
    due_ms = sorted(device.due_ms(0, 0) for device in line_up(100))
    widest_ms = max(after - before for before, after in itertools.pairwise([*due_ms, due_ms[0] + 1000]))
    assert widest_ms <= 3 * 1000 / 100


def test_the_schedule_is_in_order_of_due_times() -> None:
    due_ms = [p.due_ms for p in first(500, schedule(line_up(25), START_MS))]
    assert sorted(due_ms) == due_ms


@given(devices, starts)
@settings(max_examples=100)
def test_every_payload_is_valid_json_or_a_word(device: Device, start_ms: int) -> None:
    for publication in first(12, device.reports(start_ms)):
        if publication.payload in {b"running", b"idle", b"starting", b"stopping"}:
            continue
        json.loads(publication.payload, parse_constant=refuse)


def test_a_flat_report_is_one_object_of_all_metrics_on_the_devices_topic() -> None:
    (report,) = of("greenhouse")
    assert "sensors/greenhouse-1" == report.topic
    assert ["temperature", "humidity", "soil_moisture", "illuminance"] == list(json.loads(report.payload))
    assert (1, False, 1) == (report.qos, report.retain, report.readings)


def test_a_nested_report_has_objects_inside() -> None:
    report = json.loads(of("machine")[0].payload)
    assert {"spindle": ["rpm", "vibration"], "bearing": ["temperature"]} == {
        key: list(inner) for key, inner in report.items() if isinstance(inner, dict)
    }
    assert report["state"] in {"idle", "starting", "running", "stopping"}


def test_a_batch_is_several_reports_each_with_its_own_time() -> None:
    short, batch = of("weather", 2)
    times = [datetime.fromisoformat(report["time"]) for report in json.loads(batch.payload)]
    assert [1.0] * 4 == [(after - before).total_seconds() for before, after in itertools.pairwise(times)]
    assert batch.due_ms == round(times[-1].timestamp() * 1000)
    assert (1, 5) == (short.readings, batch.readings)


def test_own_times_are_the_due_times() -> None:
    (boiler,), (meter,) = of("boiler"), of("power_meter")
    assert boiler.due_ms == round(datetime.fromisoformat(json.loads(boiler.payload)["time"]).timestamp() * 1000)
    assert meter.due_ms == json.loads(meter.payload)["time"]


def test_plain_values_go_to_one_topic_for_each_metric() -> None:
    temperature, compressor = of("fridge", 2)
    assert "sensors/kitchen/fridge-1/temperature" == temperature.topic
    assert 0 < float(temperature.payload) < 12
    assert "sensors/kitchen/fridge-1/compressor" == compressor.topic
    assert compressor.payload in {b"true", b"false"}


def test_a_door_sleeps_until_something_changes_or_a_minute_is_over() -> None:
    reports = [p for p in of("door", 60) if p.topic.endswith("/open")]
    hours = (reports[-1].due_ms - reports[0].due_ms) / 3_600_000
    assert 60 < len(reports) / hours < 240
    for before, after in itertools.pairwise(reports):
        assert before.payload != after.payload or after.due_ms - before.due_ms <= 60_000


def test_a_metric_with_an_interval_factor_is_in_every_so_many_reports() -> None:
    with_energy = [k for k, p in enumerate(of("power_meter", 40)) if b"energy" in p.payload]
    assert [0, 9, 19, 29, 39] == with_energy


def test_like_devices_do_not_send_the_rare_metrics_together() -> None:
    meters = line_up(10, profiles=["power_meter"])
    second = [
        [k for k, p in enumerate(first(30, meter.reports(START_MS))) if b"energy" in p.payload][1] for meter in meters
    ]
    assert 9 <= len(set(second))


def test_a_device_announces_itself_retained() -> None:
    online, info = line_up(1)[0].announcement(START_MS)
    assert ("sensors/greenhouse-1/availability", b"online", True) == (online.topic, online.payload, online.retain)
    assert ("sensors/greenhouse-1/info", True) == (info.topic, info.retain)
    described = json.loads(info.payload)
    assert ("Greenhouse 1", "simulated greenhouse") == (described["label"], described["model"])
    assert {"unit": "Cel", "label": "Air temperature"} == described["metrics"]["temperature"]


def test_a_device_says_goodbye_retained() -> None:
    goodbye = line_up(1)[0].farewell(START_MS)
    assert ("sensors/greenhouse-1/availability", b"offline", True) == (goodbye.topic, goodbye.payload, goodbye.retain)


def test_what_a_device_describes_is_what_it_sends() -> None:
    for device in line_up(len(PROFILES)):
        described = device.description()["metrics"]
        assert isinstance(described, dict)
        assert {metric.name for metric in device.profile.metrics} == set(described)


def test_profiles_are_taken_in_turn_and_numbered() -> None:
    names = [device.name for device in line_up(4, profiles=["boiler", "fridge"])]
    assert ["boiler-1", "kitchen/fridge-1", "boiler-2", "kitchen/fridge-2"] == names


def test_a_profile_named_twice_counts_once() -> None:
    assert ["door-1", "door-2"] == [device.name for device in line_up(2, profiles=["door", "door"])]


def test_no_two_devices_of_a_fleet_share_a_name() -> None:
    assert 1000 == len({device.name for device in line_up(1000)})


def test_topics_fit_the_gateways_patterns() -> None:
    for publication in first(300, schedule(line_up(20), START_MS)):
        below = publication.topic.removeprefix(f"sensors/{publication.device}")
        plain = below.startswith("/") and "/" not in below[1:]
        assert plain or below == ""
        assert below == "" or next(d for d in line_up(20) if d.name == publication.device).profile.shape is Shape.PLAIN


@pytest.mark.parametrize("rate", [0, -1, RATE_MAX * 1.01, float("nan"), float("inf")])
def test_a_rate_out_of_bounds_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate: must be"):
        line_up(1, rate=rate)


def test_a_qos_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="qos: must be 0, 1 or 2"):
        line_up(1, qos=3)


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="got toaster"):
        line_up(1, profiles=["door", "toaster"])
