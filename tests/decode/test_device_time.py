"""Times that devices tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.decode.device_time import MAX_AHEAD_MS, MAX_BEHIND_MS, TIME_KEYS, iso_ms, measured_at_ms, unix_ms

NOW = 1_795_335_752_114


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-22T10:02:32.114Z", 1_795_341_752_114),
        ("2026-11-22 10:02:32.114+00:00", 1_795_341_752_114),
        ("2026-11-22T11:02:32.114+01:00", 1_795_341_752_114),
        ("2026-11-22T11:02:32.114+0100", 1_795_341_752_114),
        ("2026-11-22T02:02:32.114999999-08:00", 1_795_341_752_114),
        ("2026-11-22T10:02:32.1Z", 1_795_341_752_100),
        (" 2026-11-22T10:02:32Z\n", 1_795_341_752_000),
        ("1969-12-31T23:59:59.500Z", -500),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000),
    ],
)
def test_a_time_with_zone_is_taken(text, ms):
    assert ms == iso_ms(text)


@pytest.mark.parametrize(
    "text",
    ["2019-01-01T00:00:00", "2019-01-01 00:00:00", "2018.02.01 22:48:39", "2019-01-01", "22:48:39Z", "", "now"],
)
def test_a_zone_less_local_time_is_not_used(text):
    assert iso_ms(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "2026-01-01T00:00:00+25:00",
        "2026-01-01T00:00:00+01:99",
        "2026-01-01T00:00:00.1234567890Z",
        "٢٠٢٦-01-01T00:00:00Z",
        "2026-01-01T00:00:00.٣Z",
        "2026-01-01T00:00:00Z\0",
    ],
)
def test_a_time_that_does_not_exist_is_not_used(text):
    assert iso_ms(text) is None


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1)),  # noqa: DTZ001 - the zone comes with `minutes`
    st.integers(-14 * 60, 14 * 60),
)
def test_any_time_that_python_writes_is_read_to_the_millisecond(moment, minutes):
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert expected == iso_ms(moment.isoformat())


@pytest.mark.parametrize(
    ("number", "ms"),
    [
        (1_795_335_752, 1_795_335_752_000),
        (1_795_335_752.25, 1_795_335_752_250),
        (1_795_335_752_114, 1_795_335_752_114),
        (1_795_335_752_114_000, 1_795_335_752_114),
        (1_795_335_752_114_000_000, 1_795_335_752_114),
    ],
)
def test_a_number_tells_its_scale_by_its_size(number, ms):
    assert ms == unix_ms(number)


@pytest.mark.parametrize(
    "value",
    [
        0,
        1,
        -1_795_335_752,
        86_400,
        5e11,
        10**21,
        10**400,
        float("nan"),
        float("inf"),
        True,
        None,
        [],
        {},
        "",
        "1795335752",
    ],
)
def test_a_value_whose_scale_is_not_certain_is_no_time(value):
    assert unix_ms(value) is None


@pytest.mark.parametrize("key", TIME_KEYS)
def test_each_time_key_tells_the_time(key):
    assert NOW - 5 == measured_at_ms({"x": 1, key: NOW - 5}, NOW)


@pytest.mark.parametrize(
    ("offset", "is_used"),
    [(MAX_AHEAD_MS, True), (MAX_AHEAD_MS + 1, False), (-MAX_BEHIND_MS, True), (-MAX_BEHIND_MS - 1, False)],
)
def test_a_time_further_away_than_a_device_can_honestly_be_is_not_used(offset, is_used):
    assert (NOW + offset if is_used else None) == measured_at_ms({"time": NOW + offset}, NOW)


def test_the_first_usable_key_wins():
    assert NOW == measured_at_ms({"ts": NOW, "time": "2019-01-01T00:00:00"}, NOW)
    assert NOW == measured_at_ms({"ts": NOW - 1, "time": NOW}, NOW)
    assert measured_at_ms({"uptime": NOW}, NOW) is None
