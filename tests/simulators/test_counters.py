from __future__ import annotations

from simulators.counters import Counters


def test_skipped_is_the_sum_over_its_reasons() -> None:
    assert 7 == Counters(skipped_disconnected_total=3, skipped_unacknowledged_total=4).skipped_total
