from __future__ import annotations

import pytest

from simulators.profile import Metric, Profile, Shape


def metric(seen: float | bool | str) -> Metric:
    return Metric("x", "X", lambda _seed, _t: seen, "Cel", 0.1, -40, 85)


def test_a_sensor_shows_what_it_sees_in_steps_of_its_resolution() -> None:
    assert 21.3 == metric(21.349).read(1, 0)


def test_a_sensor_shows_the_end_of_its_range_when_it_sees_more() -> None:
    assert (85.0, -40.0) == (metric(1e9).read(1, 0), metric(-1e9).read(1, 0))


def test_bool_and_text_are_shown_as_they_are() -> None:
    assert (True, "idle") == (metric(True).read(1, 0), metric("idle").read(1, 0))


def test_a_metric_without_a_unit_says_none() -> None:
    assert {"label": "State"} == Metric("state", "State", lambda _s, _t: "idle").described()


def test_a_device_with_a_slash_in_its_name_must_send_plain_values() -> None:
    with pytest.raises(ValueError, match="must send plain values"):
        Profile("x", "a/b-{n}", "X", "x", Shape.OBJECT, (metric(1),))
