from __future__ import annotations

import time

import pytest

from gateway.clock import STANDSTILL_MS, Clock


class TestWall:
    @pytest.fixture
    def system(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        now_ms = [1_800_000_000_000]
        monkeypatch.setattr(time, "time_ns", lambda: now_ms[0] * 1_000_000)
        return now_ms

    def test_it_follows_the_system(self, system: list[int]) -> None:
        clock = Clock()
        told = [clock.wall_ms()]
        system[0] += 10
        assert [1_800_000_000_000, 1_800_000_000_010] == [*told, clock.wall_ms()]

    def test_it_stands_still_when_the_system_is_set_back_a_little(self, system: list[int]) -> None:
        clock = Clock()
        before = clock.wall_ms()
        system[0] -= STANDSTILL_MS - 1
        assert before == clock.wall_ms()

    @pytest.mark.parametrize("days", [1, 10, 3650])
    def test_it_steps_back_at_once_after_a_time_far_ahead(self, system: list[int], days: int) -> None:
        clock = Clock()
        right = system[0]
        system[0] += days * 86_400_000
        clock.wall_ms()
        system[0] = right + 1
        assert right + 1 == clock.wall_ms()


def test_elapsed_time_never_goes_back() -> None:
    clock = Clock()
    told = [clock.elapsed_s() for _ in range(100)]
    assert sorted(told) == told


def test_an_instant_is_both_clocks() -> None:
    clock = Clock()
    before, now, after = clock.elapsed_s(), clock.now(), clock.elapsed_s()
    assert before <= now.elapsed_s <= after
    assert abs(now.wall_ms - time.time_ns() // 1_000_000) < 1000
