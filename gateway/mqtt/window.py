"""The in-flight window of one connection: messages at QoS 1 that came and are not acknowledged yet. Pure.

A broker sends no more than its window before it waits for us, so what can pass is a window for each commit and round trip.
That is why the window tells the log when to hurry: with half of `mqtt.window` in flight, and when the broker has gone quiet
and probably waits.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.mqtt.limit import Limit
from gateway.mqtt.quiet import Quiet

SHORTEST_QUIET_S = 0.02
"""No broker is called quiet sooner than this after its last message: the default of `log.commit_interval_ms`."""

AT_ONCE_S = 0.0
"""A time long ago: the log is to begin a commit at once."""


class Window:
    """Counts for one connection; ``size`` is `mqtt.window`, in messages.

    ``hurry`` is called with the time, in seconds of the clock that ``now_s`` is of, by which a commit should begin.
    """

    def __init__(self, size: int, hurry: Callable[[float], None]) -> None:
        self._half, self._hurry = max(1, size // 2), hurry
        self._in_flight = 0
        self._limit, self._quiet = Limit(size), Quiet(SHORTEST_QUIET_S)

    @property
    def limit(self) -> int:
        """How many messages the broker sends before it waits for us; 0 while that was not found."""
        return self._limit.value

    def arrived(self, count: int, now_s: float) -> None:
        """``count`` messages came at QoS 1 and were appended to the log; ``now_s`` is when they came."""
        if not count:
            return
        self._in_flight += count
        self._limit.arrived(self._in_flight, now_s)
        self._quiet.arrived(now_s)
        self._hurry(AT_ONCE_S if self._in_flight >= self._half else self._quiet.begins_s)

    def acknowledged(self, count: int, now_s: float) -> None:
        """``count`` messages at QoS 1 were committed, and their acknowledgements are sent."""
        if not count:
            return
        self._limit.acknowledged(self._in_flight, now_s)
        self._in_flight -= count
        if not self._in_flight:
            self._quiet.all_acknowledged(now_s)
