"""JSON values to metrics."""

from __future__ import annotations

import pytest

from gateway.config import LimitsSection
from gateway.decode.limits import MAX_MAGNITUDE, MAX_SAFE_INTEGER
from gateway.decode.values import Flattened


def flattened(value, path="", **limits) -> Flattened:
    found = Flattened(LimitsSection(**limits))
    found.add(path, value)
    return found


def reasons(found: Flattened) -> list[str]:
    return [rejected.reason for rejected in found.rejected]


@pytest.mark.parametrize(
    ("value", "values"),
    [
        (
            {"temperature": 21.5, "on": True, "text": "x", "n": 3},
            {"temperature": 21.5, "on": True, "text": "x", "n": 3},
        ),
        ({"wind": {"speed": 3, "gust": {"max": 9}}}, {"wind/speed": 3, "wind/gust/max": 9}),
        ({"cells": [3.1, 3.2]}, {"cells/0": 3.1, "cells/1": 3.2}),
        ([1, [2]], {"0": 1, "1/0": 2}),
        ({"a": None, "b": {}, "c": [], "d": [None]}, {}),
        ({"a/b": 1, "a": {"c": 2}}, {"a/b": 1, "a/c": 2}),
        ({"a": {"": 1}}, {"a/": 1}),
        ({"__proto__": 1, "constructor": 2}, {"__proto__": 1, "constructor": 2}),
        ({"value": 1, "unit": "W"}, {"value": 1, "unit": "W"}),
        ({"x": {"value": {"a": 1}, "unit": "W"}}, {"x/value/a": 1, "x/unit": "W"}),
        ({"x": {"value": 1, "unit": 7}}, {"x/value": 1, "x/unit": 7}),
    ],
)
def test_nested_objects_and_arrays_become_paths(value, values):
    found = flattened(value)
    assert (values, []) == (found.values, found.rejected)


@pytest.mark.parametrize(
    ("value", "values", "units"),
    [
        ({"x": {"value": 21.5, "unit": "°C"}}, {"x": 21.5}, {"x": "Cel"}),
        ({"x": {"value": 21.5}}, {"x": 21.5}, {}),
        ({"x": {"value": 21.5, "unit": None}}, {"x": 21.5}, {}),
        ({"x": {"value": 21.5, "unit": ""}}, {"x": 21.5}, {}),
        ({"a": {"x": {"value": True, "unit": "rpm"}}}, {"a/x": True}, {"a/x": "1/min"}),
        ({"x": {"value": 1, "unit": "a\nb"}}, {"x": 1}, {}),
        ({"x": {"value": 1, "unit": "a\u202eb"}}, {"x": 1}, {}),
    ],
)
def test_a_value_with_its_unit_is_one_metric(value, values, units):
    found = flattened(value)
    assert (values, units, []) == (found.values, found.units, found.rejected)


def test_a_scalar_needs_a_metric_in_its_topic():
    assert {"temperature": 21.5} == flattened(21.5, "temperature").values
    assert ["bad_name"] == reasons(flattened(21.5))
    assert {"temperature": 1} == flattened({"value": 1, "unit": "C"}, "temperature").values


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"x" * 129: 1}, "bad_name"),
        ({"": 1}, "bad_name"),
        ({"a\nb": 1}, "bad_name"),
        ({"a\u202eb": 1}, "bad_name"),
        ({"a\ud800": 1}, "bad_name"),
        ({"a": "x" * 257}, "text_too_long"),
        ({"a": "é" * 129}, "text_too_long"),
        ({"a": "\ud800"}, "bad_utf8"),
        ({"a": float("nan")}, "not_finite"),
        ({"a": float("-inf")}, "not_finite"),
        ({"a": 1.7976931348623157e308}, "not_finite"),
        ({"a": 2**53}, "huge_integer"),
        ({"a": -(10**4300)}, "huge_integer"),
        ({"a": 10**100_000}, "huge_integer"),
        ({"a": [[[[[[[[1]]]]]]]]}, "too_deep"),
    ],
)
def test_what_breaks_a_limit_is_rejected_and_the_rest_is_taken(value, reason):
    found = flattened({**value, "good": 1})
    assert ({"good": 1}, [reason]) == (found.values, reasons(found))
    assert found.rejected[0].detail.isprintable()
    assert len(found.rejected[0].detail) < 300


@pytest.mark.parametrize(
    "value",
    [
        MAX_SAFE_INTEGER,
        -MAX_SAFE_INTEGER,
        MAX_MAGNITUDE,
        -MAX_MAGNITUDE,
        1 / MAX_MAGNITUDE,
        "x" * 256,
        "é" * 128,
        "",
        -0.0,
    ],
)
def test_limits_are_inclusive(value):
    assert {"a": value} == flattened({"a": value}).values


@pytest.mark.parametrize("value", [5e-324, -1e-300, 1e-101])
def test_a_number_that_is_nearly_nothing_is_nothing(value):
    assert {"a": 0.0} == flattened({"a": value}).values


def test_depth_counts_objects_and_arrays():
    assert {"a/0/b": 1} == flattened({"a": [{"b": 1}]}, max_depth=3).values
    assert ["too_deep"] == reasons(flattened({"a": [{"b": 1}]}, max_depth=2))


@pytest.mark.parametrize(
    "many", [{str(n): n for n in range(10_000)}, list(range(10_000)), [[n] for n in range(10_000)]]
)
def test_more_metrics_than_the_limit_are_rejected_and_the_first_are_kept(many):
    found = flattened({"a": many}, max_metrics=10)
    assert 10 == len(found.values)
    assert {"too_many_metrics"} == set(reasons(found))
    assert len(found.rejected) <= 10


def test_nulls_and_empty_arrays_without_end_are_rejected_once():
    for many in ({str(n): None for n in range(10_000)}, [[]] * 10_000, [[[]] * 100] * 100):
        found = flattened({"a": many, "b": 1}, max_metrics=10)
        assert ({}, ["too_many_metrics"]) == (found.values, reasons(found))


def test_a_report_may_hold_many_nulls():
    assert {"z": 1} == flattened({**{str(n): None for n in range(1000)}, "z": 1}).values


def test_a_path_that_comes_twice_counts_once():
    found = flattened({"a": {"b": 1}, "a/b": 2}, max_metrics=1)
    assert ({"a/b": 2}, []) == (found.values, found.rejected)


def test_very_many_bad_values_are_rejected_a_bounded_number_of_times():
    assert 10 == len(flattened({f"{n}\n": n for n in range(10_000)}, max_metrics=10).rejected)
