"""A JSON value to metrics: nested objects and arrays become paths joined by `/`, as in `wind/speed` or `cells/0`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.config import LimitsSection
from gateway.decode.limits import MAX_MAGNITUDE, MAX_METRIC_CHARACTERS, MAX_SAFE_INTEGER, NOTHING
from gateway.decode.units import senml_unit
from gateway.reading import Rejected, Value

VISITS_PER_METRIC = 20
"""Nulls and empty arrays are no metrics, but looking at each of the 87,000 that fit into one payload takes 50 ms."""


class Flattened:
    """The metrics found so far in one report; never more than ``limits.max_metrics``, the rest is rejected."""

    def __init__(self, limits: LimitsSection) -> None:
        self._limits = limits
        self._visits_left = VISITS_PER_METRIC * limits.max_metrics
        self.values: dict[str, Value] = {}
        self.units: dict[str, str] = {}
        self.rejected: list[Rejected] = []

    def add(self, path: str, value: Any, depth: int = 0) -> None:
        """Take ``value`` and what is in it under ``path``; null means "no reading" and is left out, not rejected."""
        self._visits_left -= 1
        if self._visits_left <= 0:
            if self._visits_left == 0:
                self.rejected.append(Rejected("too_many_metrics", f"{path[:80]!r}, and what comes after it"))
        elif depth > self._limits.max_depth:
            self._reject(Rejected("too_deep", f"{path[:80]!r}"))
        elif isinstance(value, dict):
            self._add_object(path, value, depth)
        elif isinstance(value, list):
            self._add_all(path, enumerate(value), depth)
        elif value is not None:
            self._add_scalar(path, value)

    def _add_object(self, path: str, value: dict[str, Any], depth: int) -> None:
        unit = value.get("unit")
        if path and "value" in value and isinstance(unit, str | None) and not isinstance(value["value"], dict | list):
            if unit and unit.isprintable():
                self.units[path] = senml_unit(unit)
            self.add(path, value["value"], depth + 1)
            return
        self._add_all(path, value.items(), depth)

    def _add_all(self, path: str, inner: Iterable[tuple[str | int, Any]], depth: int) -> None:
        before = f"{path}/" if path else ""
        for key, value in inner:
            if self._visits_left <= 0:
                return
            self.add(f"{before}{key}", value, depth + 1)

    def _reject(self, rejected: Rejected) -> None:
        self.rejected.append(rejected)
        if len(self.rejected) >= self._limits.max_metrics:
            self._visits_left = 0

    def _add_scalar(self, path: str, value: Value) -> None:
        problem = self._problem(path, value)
        if problem is None:
            is_nothing = type(value) is float and -NOTHING < value < NOTHING
            self.values[path] = 0.0 if is_nothing else value
        else:
            self._reject(problem)

    def _problem(self, path: str, value: Value) -> Rejected | None:
        if not path or len(path) > MAX_METRIC_CHARACTERS or not path.isprintable():
            return Rejected("bad_name", f"metric {path[:80]!r}")
        if len(self.values) >= self._limits.max_metrics and path not in self.values:
            return Rejected("too_many_metrics", f"more than {self._limits.max_metrics} in one report")
        if isinstance(value, str):
            return _text_problem(path, value, self._limits.max_text_bytes)
        if isinstance(value, float):
            is_quantity = -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE  # which NaN is not
            return None if is_quantity else Rejected("not_finite", f"{path}: {value}")
        is_safe = -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER
        return None if is_safe else Rejected("huge_integer", f"{path}: {value.bit_length()} bits")


def _text_problem(path: str, value: str, max_text_bytes: int) -> Rejected | None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return Rejected("bad_utf8", f"{path}: lone surrogate")
    return Rejected("text_too_long", f"{path}: {size} bytes") if size > max_text_bytes else None
