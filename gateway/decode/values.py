"""A JSON value to metrics: nested objects and arrays become paths joined by `/`, as in `wind/speed` or `cells/0`."""

from __future__ import annotations

import math
from typing import Any

from gateway.decode.limits import MAX_METRIC_CHARACTERS, MAX_SAFE_INTEGER, Limits
from gateway.decode.units import senml_unit
from gateway.reading import Rejected, Value


class Flattened:
    """The metrics found so far in one report; never more than ``limits.max_metrics``, the rest is rejected."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.values: dict[str, Value] = {}
        self.units: dict[str, str] = {}
        self.rejected: list[Rejected] = []

    def add(self, path: str, value: Any, depth: int = 0) -> None:
        """Take ``value`` and what is in it under ``path``; null means "no reading" and is left out, not rejected."""
        if len(self.rejected) >= self._limits.max_metrics:
            return
        if depth > self._limits.max_depth:
            self.rejected.append(Rejected("too_deep", path[:80]))
        elif isinstance(value, dict):
            self._add_object(path, value, depth)
        elif isinstance(value, list):
            for index, element in enumerate(value[: self._limits.max_metrics + 1]):
                self.add(_joined(path, str(index)), element, depth + 1)
        elif value is not None:
            self._add_scalar(path, value)

    def _add_object(self, path: str, value: dict[str, Any], depth: int) -> None:
        unit = value.get("unit")
        if path and "value" in value and isinstance(unit, str | None) and not isinstance(value["value"], dict | list):
            if unit:
                self.units[path] = senml_unit(unit)
            self.add(path, value["value"], depth + 1)
            return
        for key, inner in value.items():
            self.add(_joined(path, key), inner, depth + 1)

    def _add_scalar(self, path: str, value: Value) -> None:
        problem = self._problem(path, value)
        if problem is None:
            self.values[path] = value
        else:
            self.rejected.append(problem)

    def _problem(self, path: str, value: Value) -> Rejected | None:
        if not path or len(path) > MAX_METRIC_CHARACTERS or not path.isprintable():
            return Rejected("bad_name", f"metric {path[:80]!r}")
        if len(self.values) >= self._limits.max_metrics and path not in self.values:
            return Rejected("too_many_metrics", f"more than {self._limits.max_metrics} in one report")
        if isinstance(value, str):
            return _text_problem(path, value, self._limits.max_text_bytes)
        if isinstance(value, float) and not math.isfinite(value):
            return Rejected("not_finite", path)
        if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER:
            return Rejected(
                "huge_integer", f"{path}: {len(str(value)) if abs(value) < 10**4000 else 'over 4000'} digits"
            )
        return None


def _text_problem(path: str, value: str, max_text_bytes: int) -> Rejected | None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return Rejected("bad_utf8", f"{path}: lone surrogate")
    return Rejected("text_too_long", f"{path}: {size} bytes") if size > max_text_bytes else None


def _joined(path: str, key: str) -> str:
    return f"{path}/{key}" if path else key
