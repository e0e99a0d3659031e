from __future__ import annotations

import itertools
import random

from gateway.mqtt.quiet import LONGEST_S, PAUSES, Quiet

SHORTEST_S = 0.02


def after(*pauses_s: float) -> Quiet:
    quiet = Quiet(SHORTEST_S)
    for at_s in itertools.accumulate([0, *pauses_s]):
        quiet.arrived(at_s)
    return quiet


def test_a_broker_is_quiet_after_ten_usual_pauses() -> None:
    assert abs(PAUSES * 0.05 - after(*[0.05] * 200).after_s) < 0.001


def test_where_messages_come_fast_it_is_quiet_after_the_shortest_time() -> None:
    assert SHORTEST_S == after(*[0.0001] * 100).after_s


def test_the_time_counts_from_the_newest_arrival() -> None:
    quiet = after(*[0.0001] * 10)
    assert 0.001 + SHORTEST_S == quiet.begins_s


def test_it_is_quiet_after_a_second_in_any_case() -> None:
    assert LONGEST_S == after(*[60] * 100).after_s


def test_messages_soon_after_the_acknowledgements_show_that_the_broker_had_waited() -> None:
    quiet = after(*[0.05] * 100)
    quiet.all_acknowledged(5 + quiet.after_s)
    quiet.arrived(5 + quiet.after_s + 0.005)
    assert SHORTEST_S == quiet.after_s


def test_silence_after_the_acknowledgements_is_the_usual_pause_now() -> None:
    quiet = after(*[0.001] * 100)
    quiet.all_acknowledged(0.1 + SHORTEST_S)
    quiet.arrived(0.15)
    assert abs(PAUSES * 0.05 - quiet.after_s) < 0.001


def test_a_commit_between_two_usual_arrivals_says_little() -> None:
    quiet = after(*[0.01] * 100)
    before_s = quiet.after_s
    quiet.all_acknowledged(1.008)
    quiet.arrived(1.01)
    assert 0.8 * before_s < quiet.after_s < before_s


def test_a_silence_that_is_never_long_enough_is_judged_all_the_same() -> None:
    """Two usual pauses last longer than any silence before we acknowledge: what follows at once counts until it is judged."""
    quiet = after(*[0.6] * 100)
    now_s = 60.0
    for _ in range(3):
        quiet.all_acknowledged(now_s + LONGEST_S)
        quiet.arrived(now_s := now_s + LONGEST_S + 0.005)
    assert SHORTEST_S == quiet.after_s


def test_steady_readings_are_not_mistaken_for_a_full_window() -> None:
    """A hundred devices at 1 Hz, each at a moment of its own."""
    rng = random.Random(7)
    moments = sorted(rng.random() for _ in range(100))
    quiet = Quiet(SHORTEST_S)
    times = 0
    for second, moment in itertools.product(range(60), moments):
        times += second > 2 and quiet.begins_s < second + moment
        quiet.arrived(second + moment)
    assert 0 == times
