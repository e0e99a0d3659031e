from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.log.sqlite.spacing import DAY_S, ROOM, STEP, WARN_S, WINDOW_S, Spacing, Totals

DAY = 86_400


def run(
    spacing: Spacing, seconds: float, rate: float, per_commit: float = 0, fsyncs: float = 0, began_s: float = 0
) -> None:
    """So many seconds in which readings cost ``rate`` bytes a second and each commit ``per_commit`` bytes more."""
    totals, now_s = spacing._newest.totals, began_s
    while now_s < began_s + seconds:
        now_s += 1
        written = int(rate + per_commit * 1000 / spacing.interval_ms)
        totals = Totals(
            totals.bytes + written, totals.fsyncs + int(fsyncs), totals.readings + 2, totals.checkpoints + 1
        )
        spacing.note(now_s, totals)


class TestMeasuring:
    def test_a_young_log_is_projected_from_its_start(self) -> None:
        spacing = Spacing(20, 10_000, 0, 0)
        run(spacing, 30, rate=1000, fsyncs=3)
        assert (1000 * DAY, 3 * DAY, 500) == (spacing.bytes_per_day, spacing.fsyncs_per_day, spacing.bytes_per_reading)

    def test_an_older_one_from_its_last_minutes(self) -> None:
        spacing = Spacing(20, 10_000, 0, 0)
        run(spacing, 1000, rate=9000)
        run(spacing, WINDOW_S + 20, rate=100, began_s=1000)
        assert 100 * DAY == spacing.bytes_per_day

    def test_nothing_written_is_nothing_a_day(self) -> None:
        spacing = Spacing(20, 10_000, 0, 0)
        spacing.note(0, Totals())
        assert (0, 0, 0) == (spacing.bytes_per_day, spacing.fsyncs_per_day, spacing.bytes_per_reading)

    def test_what_it_remembers_is_bounded(self) -> None:
        spacing = Spacing(20, 10_000, 0, 0)
        run(spacing, 5000, rate=1)
        assert 62 >= len(spacing._samples)


class TestBudget:
    def test_without_a_budget_the_interval_stays(self) -> None:
        spacing = Spacing(20, 10_000, 0, 0)
        run(spacing, 2000, rate=10**9)
        assert (20, "") == (spacing.interval_ms, spacing.warning())

    def test_a_short_burst_changes_nothing(self) -> None:
        spacing = Spacing(20, 10_000, 10**9, 0)
        run(spacing, 59, rate=10**9)
        assert 20 == spacing.interval_ms

    def test_it_is_lengthened_step_by_step_and_shortened_again(self) -> None:
        spacing = Spacing(20, 10_000, DAY_S * 1000, 0)
        run(spacing, 61, rate=0, per_commit=100)
        assert 20 * 5000 / 1000 == spacing.interval_ms
        run(spacing, 1000, rate=0, per_commit=100, began_s=61)
        assert 100 == spacing.interval_ms
        run(spacing, 1000, rate=0, per_commit=1, began_s=1061)
        assert 20 == spacing.interval_ms

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
        spacing = Spacing(shortest, longest, budget, 0)
        run(spacing, 3000, rate, per_commit)
        rests_at = spacing.interval_ms
        run(spacing, 1500, rate, per_commit, began_s=3000)
        daily = int(rate + per_commit * 1000 / rests_at) * DAY_S
        assert rests_at == spacing.interval_ms
        assert shortest <= rests_at <= longest
        assert daily <= budget or rests_at == longest
        assert STEP * daily > ROOM * budget or rests_at == shortest


class TestWarning:
    def test_a_budget_that_cannot_be_kept_is_told_once_an_hour(self) -> None:
        spacing = Spacing(20, 100, 10**9, 0)
        told = []
        for hour in range(3):
            for quarter in range(4):
                began_s = hour * WARN_S + quarter * WARN_S / 4
                run(spacing, WARN_S / 4, rate=50_000, began_s=began_s)
                told.append(spacing.warning())
        assert 3 == len([text for text in told if text])
        assert "writes 4.32 GB a day, though commits are 100 ms apart" in told[0]

    def test_a_budget_that_is_kept_is_not(self) -> None:
        spacing = Spacing(20, 10_000, 10**9, 0)
        run(spacing, 4000, rate=10_000)
        assert not spacing.warning()
