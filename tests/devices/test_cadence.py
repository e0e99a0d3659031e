from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.cadence import (
    GAP_WEIGHT,
    LONGEST_FIRST_MS,
    SHORTEST_BOUND_MS,
    SILENT_AFTER_GAPS,
    learned_pause_ms,
    learned_pause_s,
)

pauses = st.floats(0, 1e12)


def test_the_first_pause_is_the_usual_one_up_to_an_hour() -> None:
    assert [5, LONGEST_FIRST_MS] == [learned_pause_ms(0, 5), learned_pause_ms(0, 10 * LONGEST_FIRST_MS)]


def test_a_new_cadence_is_learned_in_about_ten_readings() -> None:
    usual_ms = usual_s = 1000.0
    for _ in range(10):
        usual_ms, usual_s = learned_pause_ms(usual_ms, 5000), learned_pause_s(usual_s, 5000)
    assert 4500 < usual_ms == usual_s < 5000


def test_an_hour_is_learned_in_a_few_reports_by_a_device_whose_topics_come_together() -> None:
    usual_ms = 0.0
    for _ in range(8):
        usual_ms = learned_pause_ms(learned_pause_ms(usual_ms, 5), 3_600_000)
    assert usual_ms * SILENT_AFTER_GAPS > 3_600_000


@given(pauses, st.floats(-1e12, -1))
def test_a_negative_pause_says_nothing(usual_ms: float, pause_ms: float) -> None:
    assert usual_ms == learned_pause_ms(usual_ms, pause_ms)


@given(st.floats(1, 1e9), pauses)
def test_one_pause_counts_as_at_most_ten_usual_ones_or_a_minute(usual_ms: float, pause_ms: float) -> None:
    longest_ms = max(SILENT_AFTER_GAPS * usual_ms, SHORTEST_BOUND_MS)
    assert learned_pause_ms(usual_ms, min(pause_ms, longest_ms)) == learned_pause_ms(usual_ms, pause_ms)
    assert learned_pause_ms(usual_ms, pause_ms) <= usual_ms + (longest_ms - usual_ms) * GAP_WEIGHT
