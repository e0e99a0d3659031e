from __future__ import annotations

import random

from gateway.mqtt.limit import STREAK, Limit


class Counted:
    """A limit, and the messages in flight."""

    def __init__(self, size: int) -> None:
        self.found = Limit(size)
        self.in_flight = 0

    @property
    def limit(self) -> int:
        return self.found.value

    def arrived(self, count: int, now_s: float) -> None:
        self.in_flight += count
        self.found.arrived(self.in_flight, now_s)

    def acknowledged(self, count: int, now_s: float) -> None:
        self.found.acknowledged(self.in_flight, now_s)
        self.in_flight -= count


def held_back(counted: Counted, size: int, rounds: int) -> None:
    """A broker that sends ``size`` at once, and waits for us each time."""
    now = 0.0
    for _ in range(rounds):
        counted.arrived(size - size // 3, now := now + 0.001)
        counted.arrived(size // 3, now := now + 0.001)
        counted.acknowledged(size // 2, now := now + 0.02)
        counted.acknowledged(size - size // 2, now)


def test_a_broker_that_always_waits_at_the_same_number_has_its_limit_there() -> None:
    counted = Counted(1000)
    held_back(counted, 20, STREAK)
    assert 0 == counted.limit
    held_back(counted, 20, 10)
    assert 20 == counted.limit


def test_a_few_times_that_look_otherwise_do_not_hide_it() -> None:
    counted = Counted(1000)
    for _ in range(STREAK):
        held_back(counted, 20, 5)
        held_back(counted, 13, 1)
    assert 20 == counted.limit


def test_our_own_window_is_no_limit_of_the_broker() -> None:
    counted = Counted(20)
    held_back(counted, 20, 3 * STREAK)
    assert 0 == counted.limit


def test_a_few_devices_that_report_together_are_no_limit() -> None:
    counted = Counted(1000)
    held_back(counted, 5, 3 * STREAK)
    assert 0 == counted.limit


def test_more_than_the_limit_in_flight_ends_it() -> None:
    counted = Counted(1000)
    held_back(counted, 20, 2 * STREAK)
    counted.arrived(21, 100.0)
    assert 0 == counted.limit


def test_bursts_each_second_are_no_limit_although_equal() -> None:
    counted, now = Counted(1000), 0.0
    for _ in range(3 * STREAK):
        counted.arrived(20, now)
        counted.acknowledged(20, now + 0.02)
        now += 1
    assert 0 == counted.limit


def test_a_stream_of_messages_that_commits_cut_into_equal_parts_is_no_limit() -> None:
    counted, now = Counted(1000), 0.0
    for _ in range(3 * STREAK):
        for _ in range(20):
            counted.arrived(1, now := now + 0.001)
        counted.acknowledged(20, now + 0.0005)
    assert 0 == counted.limit


def test_parts_of_many_sizes_are_no_limit() -> None:
    counted, rng = Counted(1000), random.Random(1)
    for _ in range(3 * STREAK):
        held_back(counted, rng.randint(10, 500), 1)
    assert 0 == counted.limit
