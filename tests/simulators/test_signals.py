from __future__ import annotations

import itertools
import math
import statistics
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from simulators import signals
from simulators.signals import DAY_S, Cycle

NOW_S = 1_795_335_752.114
seeds = st.integers(0, 2**64 - 1)
times = st.floats(1.5e9, 4.2e9)
cycles = st.builds(Cycle, st.sampled_from(["a", "b"]), st.floats(1, 1e5), st.floats(0.3, 0.7), st.floats(0, 0.25))


def test_salt_is_the_same_in_every_process() -> None:
    assert 0xE599D8E8D7B4DE02 == signals.salt("clouds")


@given(seeds, st.integers(-(2**40), 2**62))
def test_a_fraction_is_from_0_to_below_1(seed: int, index: int) -> None:
    assert 0 <= signals.fraction(seed, index) < 1


def test_fractions_are_spread_evenly() -> None:
    drawn = [signals.fraction(7, index) for index in range(10_000)]
    assert abs(statistics.fmean(drawn) - 0.5) < 0.01
    assert abs(statistics.pvariance(drawn) - 1 / 12) < 0.002


@given(seeds, times, st.floats(0, 100))
def test_jitter_stays_within_its_scale(seed: int, t_s: float, scale: float) -> None:
    assert abs(signals.jitter(seed, "x", t_s, scale)) <= scale


@given(seeds, times, st.floats(0.1, 1e6))
def test_a_wander_stays_within_five_scales(seed: int, t_s: float, tau_s: float) -> None:
    assert abs(signals.wander(seed, "x", t_s, 1.0, tau_s)) <= 5


def test_a_wander_has_mean_0_and_its_scale_as_deviation() -> None:
    seen = [signals.wander(3, "x", 25.0 * k, 2.0, 100) for k in range(20_000)]
    assert abs(statistics.fmean(seen)) < 0.1
    assert abs(statistics.pstdev(seen) - 2.0) < 0.1


def test_a_wander_forgets_as_ornstein_and_uhlenbeck_say() -> None:
    seen = [signals.wander(3, "x", 100.0 * k, 1.0, 100) for k in range(20_000)]
    assert abs(statistics.correlation(seen[:-1], seen[1:]) - math.exp(-1)) < 0.03
    assert abs(statistics.correlation(seen[:-6], seen[6:])) < 0.03


@given(seeds, times)
def test_a_wander_has_no_jumps(seed: int, t_s: float) -> None:
    before, after = (signals.wander(seed, "x", t, 1.0, 1000) for t in (t_s, t_s + 0.001))
    assert abs(after - before) < 1e-4


def test_two_courses_of_one_name_are_the_same_and_of_two_names_are_not() -> None:
    assert signals.wander(1, "clouds", NOW_S, 1, 60) == signals.wander(1, "clouds", NOW_S, 1, 60)
    assert signals.wander(1, "clouds", NOW_S, 1, 60) != signals.wander(1, "wind", NOW_S, 1, 60)


def test_a_daily_course_peaks_at_its_hour() -> None:
    warmest = max(range(24), key=lambda hour: signals.daily(20_000 * DAY_S + hour * 3600, 20, 5, 15))
    assert 15 == warmest


def test_it_is_dark_at_midnight_and_bright_at_noon() -> None:
    assert 0 == signals.daylight(20_000 * DAY_S)
    assert math.isclose(1, signals.daylight(20_000.5 * DAY_S))


@given(seeds, times)
def test_a_spike_is_from_0_to_1(seed: int, t_s: float) -> None:
    assert 0 <= signals.spikes(seed, "x", t_s, 60, 5) <= 1


def test_each_slot_has_one_spike() -> None:
    for slot in range(1000, 1050):
        seen = [signals.spikes(1, "x", 60 * slot + s, 60, 5) for s in range(60)]
        rises = sum(after > before for before, after in itertools.pairwise([0.0, *seen]))
        assert 1 == rises


def test_a_door_is_open_now_and_then() -> None:
    seen = [signals.visits(1, "door", float(t), 60, 20) for t in range(20_000)]
    assert 0.08 < statistics.fmean(seen) < 0.2


@given(seeds, times)
def test_a_battery_is_from_5_to_100_percent(seed: int, t_s: float) -> None:
    assert 5 <= signals.battery(seed, "cell", t_s, 700 * DAY_S) <= 100


def test_a_battery_only_falls_until_it_is_replaced() -> None:
    seen = [signals.battery(1, "cell", t * DAY_S, 700 * DAY_S) for t in range(20_000, 20_700)]
    rises = [after - before for before, after in itertools.pairwise(seen) if after > before]
    assert 1 == len(rises)
    assert rises[0] > 90


@given(st.floats(-1e6, 1e6), st.sampled_from([0.001, 0.01, 0.0625, 0.1, 0.2, 0.5, 1, 5, 10]))
def test_a_quantised_value_is_a_multiple_of_the_resolution_and_near(value: float, resolution: float) -> None:
    shown = signals.quantise(value, resolution)
    assert 0 == Decimal(str(shown)) % Decimal(str(resolution))
    assert abs(shown - value) <= resolution / 2 + 1e-9


def test_quantised_values_are_written_short() -> None:
    assert ("21.3", "0.0", "4.3125", "1480") == tuple(
        str(signals.quantise(value, resolution))
        for value, resolution in ((21.299, 0.1), (-0.04, 0.1), (4.31, 0.0625), (1478.0, 10))
    )


@given(cycles, seeds, times)
def test_a_thermostat_holds_between_0_and_1_without_jumps(cycle: Cycle, seed: int, t_s: float) -> None:
    here, there = (cycle.climb(seed, t) for t in (t_s, t_s + cycle.period_s * 1e-4))
    assert 0 <= here <= 1
    assert abs(there - here) < 0.1


@given(cycles, seeds, times, st.floats(0, 10))
def test_a_counter_of_on_time_never_falls_and_never_outruns_the_clock(
    cycle: Cycle, seed: int, t_s: float, periods: float
) -> None:
    span_s = periods * cycle.period_s
    counted_s = cycle.on_s(seed, t_s + span_s) - cycle.on_s(seed, t_s)
    assert -1e-4 <= counted_s <= span_s + 1e-4


def test_a_counter_of_on_time_is_the_integral_of_on() -> None:
    cycle = Cycle("heater", 300, 0.4, 0.2)
    counted_s = cycle.on_s(5, NOW_S + 20_000) - cycle.on_s(5, NOW_S)
    summed_s = sum(cycle.on(5, NOW_S + k) for k in range(20_000))
    assert abs(summed_s - counted_s) < 100


def test_a_thermostat_rises_while_on_and_falls_while_off() -> None:
    cycle = Cycle("heater", 300, 0.4, 0.2)
    for k in range(2000):
        t = NOW_S + k
        if cycle.on(1, t) == cycle.on(1, t + 0.5):
            assert cycle.on(1, t) == (cycle.climb(1, t + 0.5) > cycle.climb(1, t))
