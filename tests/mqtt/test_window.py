from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.mqtt.limit import STREAK
from gateway.mqtt.quiet import LONGEST_S
from gateway.mqtt.window import AT_ONCE_S, SHORTEST_QUIET_S, Window


class Hurried:
    """A window, and the times by which it wanted commits."""

    def __init__(self, size: int = 1000) -> None:
        self.by_s: list[float] = []
        self.window = Window(size, self.by_s.append)


def test_each_arrival_puts_off_the_time_at_which_the_broker_is_quiet() -> None:
    hurried = Hurried()
    for now_s in (5.0, 5.001):
        hurried.window.arrived(1, now_s)
    assert [5.0 + SHORTEST_QUIET_S, 5.001 + SHORTEST_QUIET_S] == hurried.by_s


def test_half_a_window_in_flight_is_to_be_committed_at_once() -> None:
    hurried = Hurried(10)
    hurried.window.arrived(4, 1.0)
    hurried.window.arrived(1, 1.001)
    hurried.window.acknowledged(5, 1.002)
    hurried.window.arrived(4, 1.003)
    assert [False, True, False] == [by_s == AT_ONCE_S for by_s in hurried.by_s]


def test_a_window_of_one_message_is_full_with_each() -> None:
    hurried = Hurried(1)
    hurried.window.arrived(1, 1.0)
    assert [AT_ONCE_S] == hurried.by_s


def test_messages_at_qos_0_hurry_nobody() -> None:
    hurried = Hurried()
    hurried.window.arrived(0, 1.0)
    hurried.window.acknowledged(0, 1.1)
    assert [] == hurried.by_s


def test_it_finds_the_limit_of_the_broker() -> None:
    window, now_s = Hurried().window, 0.0
    for _ in range(STREAK + 5):
        window.arrived(20, now_s := now_s + 0.001)
        window.acknowledged(20, now_s := now_s + 0.02)
    assert 20 == window.limit


def held_up_s(window: int, rate: float, round_trip_s: float, interval_s: float, seconds: float) -> float:
    """By how long a broker with this window is behind at the end, where a commit begins when hurried or by the interval."""
    hurried = Hurried()
    sent, unacknowledged, now_s, began_s = 0, 0, 0.0, 0.0
    while now_s < seconds:
        # The broker sends what it has and may: the next message, or nothing before the acknowledgements.
        due_s = max(now_s, sent / rate) if unacknowledged < window else float("inf")
        commit_s = min(hurried.by_s[-1], began_s + interval_s) if unacknowledged else float("inf")
        if due_s <= commit_s:
            now_s, sent, unacknowledged = due_s, sent + 1, unacknowledged + 1
            hurried.window.arrived(1, now_s)
        else:
            hurried.window.acknowledged(unacknowledged, commit_s)
            began_s, now_s, unacknowledged = commit_s, commit_s + round_trip_s, 0
    return now_s - sent / rate


@settings(deadline=None)
@given(
    window=st.integers(1, 100),
    load=st.floats(0.01, 0.8),
    round_trip_s=st.floats(0.001, 0.02),
    interval_s=st.sampled_from([0.5, 2.0, 10.0]),
)
@example(window=1, load=0.0625, round_trip_s=0.015625, interval_s=2.0)
@example(window=1, load=0.12930359678809286, round_trip_s=0.01512490070543317, interval_s=0.5)
@example(window=1, load=0.09480070432792488, round_trip_s=0.004319195872933348, interval_s=0.5)
def test_a_broker_of_any_window_is_not_held_up_by_a_long_interval(
    window: int, load: float, round_trip_s: float, interval_s: float
) -> None:
    """Whatever comes through with the shortest interval comes through with a longer one too."""
    rate = load * window / (SHORTEST_QUIET_S + round_trip_s)
    assert held_up_s(window, rate, round_trip_s, interval_s, 120) < 3 * LONGEST_S + 1 / rate
