"""Tells from the pauses between arrivals when a broker has sent all it may, and waits for our acknowledgements. Pure.

A broker sends a window of messages and then none until some are acknowledged; how large its window is MQTT 3.1.1 does not
tell. When commits are far apart, the window is full long before the next one, and readings would pile up at the broker
until it drops some. What a full window looks like from here is silence, so after a lull a commit begins at once.

What follows tells what the silence was. Messages soon after the acknowledgements: the broker had waited, and nothing known
of pauses counts any more. Silence goes on: the devices had nothing to say, and that pause is the usual one now.
"""

from __future__ import annotations

PAUSES = 10
"""A lull is a silence of so many usual pauses. Arrivals that know nothing of each other have one in 22,000 that long."""

LONGEST_S = 1.0
"""A broker never waits longer for a lull, whatever was learned; devices that report more seldom write little anyhow."""

WEIGHT = 0.05
"""How much the newest pause counts in the usual one."""


class Lull:
    """Times in seconds of any clock that does not go back. ``shortest_s`` is the least that is called a lull."""

    def __init__(self, shortest_s: float) -> None:
        self._shortest_s = shortest_s
        self._usual_s = 0.0
        self._arrived_s = 0.0
        # When what arrived last was acknowledged; at first as if that were long ago.
        self._acknowledged_s: float | None = 0.0

    @property
    def length_s(self) -> float:
        """So long a silence is a lull."""
        return max(self._shortest_s, min(PAUSES * self._usual_s, LONGEST_S))

    @property
    def begins_s(self) -> float:
        """When a lull begins, if nothing arrives until then."""
        return self._arrived_s + self.length_s

    def arrived(self, now_s: float) -> None:
        """Messages came."""
        pause_s = now_s - self._arrived_s
        if self._acknowledged_s is None:
            self._usual_s += WEIGHT * (pause_s - self._usual_s)
        elif (silence_s := self._acknowledged_s - self._arrived_s) > 2 * self._usual_s:
            had_waited = now_s - self._acknowledged_s <= silence_s
            self._usual_s = 0.0 if had_waited else pause_s
        self._arrived_s, self._acknowledged_s = now_s, None

    def acknowledged(self, now_s: float) -> None:
        """All that arrived was committed and is acknowledged."""
        if self._acknowledged_s is None:
            self._acknowledged_s = now_s
