from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.log.lull import LONGEST_S, PAUSES, Lull

SHORTEST_S = 0.02


def after(*pauses_s: float) -> Lull:
    lull = Lull(SHORTEST_S)
    for at_s in itertools.accumulate([0, *pauses_s]):
        lull.arrived(at_s)
    return lull


def test_a_lull_is_so_many_usual_pauses() -> None:
    assert abs(PAUSES * 0.05 - after(*[0.05] * 200).length_s) < 0.001


def test_where_messages_come_fast_it_is_as_short_as_allowed() -> None:
    assert SHORTEST_S == after(*[0.0001] * 100).length_s


def test_it_begins_after_the_newest_arrival() -> None:
    lull = after(*[0.0001] * 10)
    assert 0.001 + SHORTEST_S == lull.begins_s


def test_it_is_never_longer_than_a_second() -> None:
    assert LONGEST_S == after(*[60] * 100).length_s


def test_messages_soon_after_the_acknowledgements_show_that_the_broker_had_waited() -> None:
    lull = after(*[0.05] * 100)
    lull.acknowledged(5 + lull.length_s)
    lull.arrived(5 + lull.length_s + 0.005)
    assert SHORTEST_S == lull.length_s


def test_silence_after_the_acknowledgements_is_the_usual_pause_now() -> None:
    lull = after(*[0.001] * 100)
    lull.acknowledged(0.1 + SHORTEST_S)
    lull.arrived(0.15)
    assert abs(PAUSES * 0.05 - lull.length_s) < 0.001


def test_a_commit_between_two_usual_arrivals_says_nothing() -> None:
    lull = after(*[0.01] * 100)
    before_s = lull.length_s
    lull.acknowledged(1.008)
    lull.arrived(1.01)
    assert before_s == lull.length_s


def held_up_s(window: int, rate: float, round_trip_s: float, interval_s: float, seconds: float) -> float:
    """By how long a broker with this window is behind at the end, in a world of a commit each lull or interval."""
    lull = Lull(SHORTEST_S)
    sent, unacknowledged, now_s, began_s = 0, 0, 0.0, 0.0
    while now_s < seconds:
        # The broker sends what it has and may: the next message, or nothing before the acknowledgements.
        due_s = max(now_s, sent / rate) if unacknowledged < window else float("inf")
        commit_s = min(lull.begins_s, began_s + interval_s) if unacknowledged else float("inf")
        if due_s <= commit_s:
            now_s, sent, unacknowledged = due_s, sent + 1, unacknowledged + 1
            lull.arrived(now_s)
        else:
            began_s, now_s, unacknowledged = commit_s, commit_s + round_trip_s, 0
            lull.acknowledged(commit_s)
    return now_s - sent / rate


@settings(deadline=None)
@given(
    window=st.integers(1, 100),
    load=st.floats(0.01, 0.8),
    round_trip_s=st.floats(0.001, 0.02),
    interval_s=st.sampled_from([0.5, 2.0, 10.0]),
)
def test_a_broker_of_any_window_is_not_held_up_by_a_long_interval(
    window: int, load: float, round_trip_s: float, interval_s: float
) -> None:
    """Whatever comes through with the shortest interval comes through with a longer one too."""
    rate = load * window / (SHORTEST_S + round_trip_s)
    assert held_up_s(window, rate, round_trip_s, interval_s, 120) < 3 * LONGEST_S + 1 / rate


def test_steady_readings_are_not_mistaken_for_a_full_window() -> None:
    """A hundred devices at 1 Hz, each at a moment of its own."""
    rng = random.Random(7)
    moments = sorted(rng.random() for _ in range(100))
    lull = Lull(SHORTEST_S)
    lulls = 0
    for second, moment in itertools.product(range(60), moments):
        lulls += second > 2 and lull.begins_s < second + moment
        lull.arrived(second + moment)
    assert 0 == lulls
