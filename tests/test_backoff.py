from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.backoff import Backoff


@given(first_s=st.floats(0.01, 5), factor=st.floats(1, 100), attempts=st.integers(1, 30))
def test_each_pause_lies_in_the_upper_half_of_a_doubling_that_ends_at_the_longest(
    first_s: float, factor: float, attempts: int
) -> None:
    longest_s = first_s * factor
    backoff = Backoff(first_s, longest_s)
    for attempt in range(attempts):
        whole = min(first_s * 2**attempt, longest_s)
        assert whole * 0.5 <= backoff.pause_s() <= whole


def test_a_success_begins_with_the_shortest_pause_again() -> None:
    backoff = Backoff(1, 60)
    for _ in range(10):
        backoff.pause_s()
    backoff.reset()
    assert backoff.pause_s() <= 1
