from __future__ import annotations

import random

from gateway.mqtt.window import STREAK, Flight


def held_back(flight: Flight, size: int, rounds: int) -> None:
    """A broker that sends ``size`` at once, and waits for us each time."""
    now = 0.0
    for _ in range(rounds):
        flight.arrived(size - size // 3, now := now + 0.001)
        flight.arrived(size // 3, now := now + 0.001)
        flight.acknowledged(size // 2, now := now + 0.02)
        flight.acknowledged(size - size // 2, now)


def test_a_broker_that_always_waits_at_the_same_number_has_its_limit_there() -> None:
    flight = Flight(1000)
    held_back(flight, 20, STREAK)
    assert 0 == flight.limit
    held_back(flight, 20, 10)
    assert 20 == flight.limit


def test_a_few_times_that_look_otherwise_do_not_hide_it() -> None:
    flight = Flight(1000)
    for _ in range(STREAK):
        held_back(flight, 20, 5)
        held_back(flight, 13, 1)
    assert 20 == flight.limit


def test_our_own_window_is_no_limit_of_the_broker() -> None:
    flight = Flight(20)
    held_back(flight, 20, 3 * STREAK)
    assert 0 == flight.limit


def test_a_few_devices_that_report_together_are_no_limit() -> None:
    flight = Flight(1000)
    held_back(flight, 5, 3 * STREAK)
    assert 0 == flight.limit


def test_more_than_the_limit_in_flight_ends_it() -> None:
    flight = Flight(1000)
    held_back(flight, 20, 2 * STREAK)
    flight.arrived(21, 100.0)
    assert 0 == flight.limit


def test_bursts_each_second_are_no_limit_although_equal() -> None:
    flight, now = Flight(1000), 0.0
    for _ in range(3 * STREAK):
        flight.arrived(20, now)
        flight.acknowledged(20, now + 0.02)
        now += 1
    assert 0 == flight.limit


def test_a_stream_of_messages_that_commits_cut_into_equal_parts_is_no_limit() -> None:
    flight, now = Flight(1000), 0.0
    for _ in range(3 * STREAK):
        for _ in range(20):
            flight.arrived(1, now := now + 0.001)
        flight.acknowledged(20, now + 0.0005)
    assert 0 == flight.limit


def test_parts_of_many_sizes_are_no_limit() -> None:
    flight, rng = Flight(1000), random.Random(1)
    for _ in range(3 * STREAK):
        held_back(flight, rng.randint(10, 500), 1)
    assert 0 == flight.limit
