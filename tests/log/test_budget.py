from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.log.budget import DAY_S, ROOM, STEP, WARN_S, WINDOW_S, Totals, Wear

DAY = 86_400


def run(wear: Wear, seconds: float, rate: float, per_commit: float = 0, fsyncs: float = 0, began_s: float = 0) -> None:
    """So many seconds in which readings cost ``rate`` bytes a second and each commit ``per_commit`` bytes more."""
    totals, now_s = wear._newest.totals, began_s
    while now_s < began_s + seconds:
        now_s += 1
        written = int(rate + per_commit * 1000 / wear.interval_ms)
        totals = Totals(
            totals.bytes + written, totals.fsyncs + int(fsyncs), totals.readings + 2, totals.checkpoints + 1
        )
        wear.note(now_s, totals)


class TestMeasuring:
    def test_a_young_log_is_projected_from_its_start(self) -> None:
        wear = Wear(20, 10_000, 0, 0)
        run(wear, 30, rate=1000, fsyncs=3)
        assert (1000 * DAY, 3 * DAY, 500) == (wear.bytes_per_day, wear.fsyncs_per_day, wear.bytes_per_reading)

    def test_an_older_one_from_its_last_minutes(self) -> None:
        wear = Wear(20, 10_000, 0, 0)
        run(wear, 1000, rate=9000)
        run(wear, WINDOW_S + 20, rate=100, began_s=1000)
        assert 100 * DAY == wear.bytes_per_day

    def test_nothing_written_is_nothing_a_day(self) -> None:
        wear = Wear(20, 10_000, 0, 0)
        wear.note(0, Totals())
        assert (0, 0, 0) == (wear.bytes_per_day, wear.fsyncs_per_day, wear.bytes_per_reading)

    def test_what_it_remembers_is_bounded(self) -> None:
        wear = Wear(20, 10_000, 0, 0)
        run(wear, 5000, rate=1)
        assert 62 >= len(wear._samples)


class TestBudget:
    def test_without_a_budget_the_interval_stays(self) -> None:
        wear = Wear(20, 10_000, 0, 0)
        run(wear, 2000, rate=10**9)
        assert (20, "") == (wear.interval_ms, wear.warning())

    def test_a_short_burst_changes_nothing(self) -> None:
        wear = Wear(20, 10_000, 10**9, 0)
        run(wear, 59, rate=10**9)
        assert 20 == wear.interval_ms

    def test_it_is_lengthened_step_by_step_and_shortened_again(self) -> None:
        wear = Wear(20, 10_000, DAY_S * 1000, 0)
        run(wear, 61, rate=0, per_commit=100)
        assert 20 * 5000 / 1000 == wear.interval_ms
        run(wear, 1000, rate=0, per_commit=100, began_s=61)
        assert 100 == wear.interval_ms
        run(wear, 1000, rate=0, per_commit=1, began_s=1061)
        assert 20 == wear.interval_ms

    @settings(max_examples=60, deadline=None)
    @given(
        rate=st.floats(0, 100_000),
        per_commit=st.floats(1, 50_000),
        budget=st.integers(10**6, 10**11),
        shortest=st.integers(1, 1000),
        longest=st.integers(1000, 60_000),
    )
    def test_it_comes_to_rest_within_the_budget_or_at_the_longest(
        self, rate: float, per_commit: float, budget: int, shortest: int, longest: int
    ) -> None:
        wear = Wear(shortest, longest, budget, 0)
        run(wear, 3000, rate, per_commit)
        rests_at = wear.interval_ms
        run(wear, 1500, rate, per_commit, began_s=3000)
        daily = int(rate + per_commit * 1000 / rests_at) * DAY_S
        assert rests_at == wear.interval_ms
        assert shortest <= rests_at <= longest
        assert daily <= budget or rests_at == longest
        assert STEP * daily > ROOM * budget or rests_at == shortest


class TestWarning:
    def test_a_budget_that_cannot_be_kept_is_told_once_an_hour(self) -> None:
        wear = Wear(20, 100, 10**9, 0)
        told = []
        for hour in range(3):
            for quarter in range(4):
                began_s = hour * WARN_S + quarter * WARN_S / 4
                run(wear, WARN_S / 4, rate=50_000, began_s=began_s)
                told.append(wear.warning())
        assert 3 == len([text for text in told if text])
        assert "writes 4.32 GB a day, though commits are 100 ms apart" in told[0]

    def test_a_budget_that_is_kept_is_not(self) -> None:
        wear = Wear(20, 10_000, 10**9, 0)
        run(wear, 4000, rate=10_000)
        assert not wear.warning()
