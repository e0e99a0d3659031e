"""Readings summed up over equal spans of time: min, mean, max and count of each numeric metric. Pure."""

from __future__ import annotations

from typing import Any


class _Sum:
    __slots__ = ("count", "high", "low", "total")

    def __init__(self, value: float) -> None:
        self.count, self.low, self.high, self.total = 1, value, value, float(value)

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)

    def mean(self) -> float:
        """Never outside of low and high, where the rounding of a sum may lead: three times 0.1 is more than 0.3."""
        return min(max(self.total / self.count, self.low), self.high)


class Buckets:
    """``count`` spans from ``since_ms`` to ``until_ms``, at least 1 ms; holds at most one sum for each span and metric."""

    def __init__(self, since_ms: int, until_ms: int, count: int) -> None:
        self._since, self._until, self._count = since_ms, max(until_ms, since_ms + 1), count
        self._spans: dict[int, dict[str, _Sum]] = {}

    def add(self, at_ms: int, values: dict[str, Any]) -> None:
        """Count a reading; one outside the time asked for, by its own clock, is left out."""
        if not self._since <= at_ms <= self._until:
            return
        place = min((at_ms - self._since) * self._count // (self._until - self._since), self._count - 1)
        span = self._spans.setdefault(place, {})
        for metric, value in values.items():
            if isinstance(value, bool | str):
                continue
            if known := span.get(metric):
                known.add(value)
            else:
                span[metric] = _Sum(value)

    def _edge(self, place: int) -> int:
        return self._since + (self._until - self._since) * place // self._count

    def filled(self) -> list[dict[str, Any]]:
        """The spans that hold anything, in order."""
        return [
            {
                "at": self._edge(place),
                "until": self._edge(place + 1),
                "values": {
                    metric: {"min": each.low, "mean": each.mean(), "max": each.high, "count": each.count}
                    for metric, each in self._spans[place].items()
                },
            }
            for place in sorted(self._spans)
        ]
