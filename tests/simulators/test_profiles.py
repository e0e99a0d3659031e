from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.profile import Clock, Metric, Profile, Shape
from simulators.profiles import INSTALLED_S, PROFILES, _energy_ws, _power_w

# RFC 8428 section 12.1 and RFC 8798 section 4; `deg` is in neither and is written as everybody writes it.
UNITS = {"Cel", "%RH", "%EL", "%", "lx", "hPa", "W", "V", "A", "kWh", "ppm", "ug/m3", "m/s", "m/s2", "mm/h", "1/min"}
UNITS |= {"deg"}

METRICS = [(profile, metric) for profile in PROFILES.values() for metric in profile.metrics]
seeds = st.integers(0, 2**64 - 1)
times = st.floats(INSTALLED_S, 4.1e9)


@given(seeds, times, st.sampled_from(METRICS))
def test_every_value_is_within_the_sensors_range_and_resolution(
    seed: int, t_s: float, what: tuple[Profile, Metric]
) -> None:
    _, metric = what
    value = metric.read(seed, t_s)
    if not isinstance(value, bool | str):
        assert metric.low <= value <= metric.high
        assert 0 == Decimal(str(value)) % Decimal(str(metric.resolution))


@pytest.mark.parametrize(("profile", "metric"), METRICS, ids=lambda named: named.name)
def test_every_metric_moves_within_a_day(profile: Profile, metric: Metric) -> None:
    span_s = 400 * 86_400 if metric.name == "battery" else 86_400
    values = {metric.read(seed, 1_795_300_000 + k * span_s / 400) for seed in (1, 2, 3) for k in range(400)}
    assert len(values) > 1, profile.name


@pytest.mark.parametrize(("profile", "metric"), METRICS, ids=lambda named: named.name)
def test_no_sensor_rests_at_the_end_of_its_range(profile: Profile, metric: Metric) -> None:
    values = [metric.read(1, 1_795_300_000 + 400 * k) for k in range(400)]
    numbers = [value for value in values if not isinstance(value, bool | str)]
    at_the_end = sum(value == metric.high or (value == metric.low and metric.low != 0) for value in numbers)
    assert at_the_end <= len(numbers) / 20, profile.name


def test_units_are_senml_codes() -> None:
    used = {metric.unit for _, metric in METRICS if metric.unit}
    assert set() == used - UNITS


def test_metric_names_and_device_names_are_unique() -> None:
    for profile in PROFILES.values():
        names = [metric.name for metric in profile.metrics]
        assert sorted(set(names)) == sorted(names)
    assert len(PROFILES) == len({profile.device for profile in PROFILES.values()})


def test_all_shapes_and_clocks_occur() -> None:
    assert set(Shape) == {profile.shape for profile in PROFILES.values()}
    assert set(Clock) == {profile.clock for profile in PROFILES.values()}


def test_batches_are_of_several_reports_and_only_batches_are() -> None:
    for profile in PROFILES.values():
        assert (profile.shape is Shape.BATCH) == (profile.batch > 1)


@given(seeds, times, st.floats(0, 1e6))
def test_an_energy_counter_never_falls(seed: int, t_s: float, later_s: float) -> None:
    energy = next(metric for metric in PROFILES["power_meter"].metrics if metric.name == "energy")
    before, after = energy.read(seed, t_s), energy.read(seed, t_s + later_s)
    assert isinstance(before, float)
    assert isinstance(after, float)
    assert before <= after


def test_energy_is_the_integral_of_power() -> None:
    t_s = 1_795_335_752.0
    summed_ws = sum(_power_w(4, t_s + k) for k in range(7200))
    counted_ws = _energy_ws(4, t_s + 7200) - _energy_ws(4, t_s)
    assert abs(summed_ws / counted_ws - 1) < 0.01


def test_a_burner_that_is_on_heats_the_flow() -> None:
    flow, _, _, burner, mode = PROFILES["boiler"].metrics
    on = [k for k in range(3000) if burner.read(1, 1_795_335_752.0 + k)]
    warmer = sum(flow.signal(1, 1_795_335_752.0 + k + 5) > flow.signal(1, 1_795_335_752.0 + k) for k in on)  # type: ignore[operator]
    assert warmer > 0.7 * len(on)
    assert {"heating", "hot water"} >= {mode.read(1, 1_795_335_752.0 + k) for k in on}
