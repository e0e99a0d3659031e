"""Buckets against sums made by hand."""

from __future__ import annotations

import itertools
import json
import math

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.history.buckets import Buckets

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


def test_each_span_has_min_mean_max_and_count_of_each_metric():
    buckets = Buckets(1000, 3000, 2)
    for at, value in ((1000, 1), (1500, 2.0), (1999, 6), (2000, 10)):
        buckets.add(at, {"x": value})
    assert [
        {"at": 1000, "until": 2000, "values": {"x": {"min": 1, "mean": 3.0, "max": 6, "count": 3}}},
        {"at": 2000, "until": 3000, "values": {"x": {"min": 10, "mean": 10.0, "max": 10, "count": 1}}},
    ] == buckets.filled()


@pytest.mark.parametrize("at", [999, 2001])
def test_a_reading_outside_of_the_time_asked_for_is_left_out(at):
    buckets = Buckets(1000, 2000, 1)
    buckets.add(at, {"x": 1})
    assert [] == buckets.filled()


def test_the_end_of_the_time_asked_for_belongs_to_the_last_span():
    buckets = Buckets(1000, 2000, 4)
    buckets.add(2000, {"x": 1})
    assert [1750] == [span["at"] for span in buckets.filled()]


def test_texts_and_booleans_have_no_mean():
    buckets = Buckets(0, 10, 1)
    buckets.add(1, {"x": True, "y": "open", "z": 3})
    assert ["z"] == list(buckets.filled()[0]["values"])


def test_no_time_at_all_is_one_millisecond():
    buckets = Buckets(1000, 1000, 5)
    buckets.add(1000, {"x": 1})
    assert 1 == sum(span["values"]["x"]["count"] for span in buckets.filled())


@settings(max_examples=100, deadline=None)
@given(
    st.integers(-(10**13), 10**13),
    st.integers(1, 10**12),
    st.integers(1, 10_000),
    st.lists(st.tuples(st.floats(0, 1), numbers), max_size=30),
)
def test_spans_are_in_order_hold_all_readings_and_never_overlap(since, length, count, readings):
    buckets = Buckets(since, since + length, count)
    for part, value in readings:
        buckets.add(since + int(part * length), {"x": value})
    spans = buckets.filled()
    assert len(readings) == sum(span["values"]["x"]["count"] for span in spans)
    assert all(before["until"] <= after["at"] for before, after in itertools.pairwise(spans))
    assert all(since <= span["at"] <= span["until"] <= since + length for span in spans)


@settings(max_examples=100, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=30))
@example([0.1, 0.1, 0.1])
@example([1.5e308, 1.5e308])
def test_the_mean_lies_between_min_and_max(values):
    buckets = Buckets(0, 10, 1)
    for value in values:
        buckets.add(5, {"x": value})
    found = buckets.filled()[0]["values"]["x"]
    assert (min(values), max(values), len(values)) == (found["min"], found["max"], found["count"])
    assert found["min"] <= found["mean"] <= found["max"]
    if max(map(abs, values)) < 1e300:
        assert math.isclose(
            math.fsum(values) / len(values), found["mean"], rel_tol=1e-6, abs_tol=max(map(abs, values)) * 1e-9
        )
    assert buckets.filled() == json.loads(msgspec.json.encode(buckets.filled()))
