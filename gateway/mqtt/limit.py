"""Finds how many messages a broker sends before it waits for acknowledgements. Pure.

MQTT 3.1.1 does not tell that number (mosquitto: 20 unless configured), yet it bounds what can pass: that many messages for
each commit and round trip. What does not pass waits in the broker's queue, which drops messages when it is full.

A broker that waits at its limit shows a pattern: always the same number in flight, then silence until we acknowledge, then
more at once.
"""

from __future__ import annotations

MIN_LIMIT = 10
"""Smaller bursts of equal size are what a few devices send, and say nothing."""

SILENCE_S = 0.004
"""A broker that waits has sent nothing for at least this time when it is acknowledged."""

PROMPT_S = 0.05
"""A broker that has waited sends more within this time after the acknowledgement."""

STREAK = 50
"""A limit is found when the pattern was seen this number of times in a row, always at the same number of messages."""

MISS = 2
"""Acknowledgements without the pattern count this much against those with it: on a busy machine some do not show it."""


class Limit:
    """Watches one connection. ``value`` is the limit in messages; 0 while none was found, or more came than it allows.

    ``size`` is `mqtt.window`: a limit of that size is our own.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._last_arrival_s = 0.0
        self._acknowledged_s: float | None = None
        self._was_prompt = False
        self._same = self._streak = 0
        self.value = 0

    def arrived(self, in_flight: int, now_s: float) -> None:
        """Messages came; ``in_flight`` are unacknowledged with them."""
        if self._acknowledged_s is not None:
            self._was_prompt = now_s - self._acknowledged_s <= PROMPT_S
            self._acknowledged_s = None
        self._last_arrival_s = now_s
        if in_flight > self.value:
            self.value = 0

    def acknowledged(self, in_flight: int, now_s: float) -> None:
        """Messages are acknowledged; ``in_flight`` is the number before. Only the first call after an arrival counts."""
        if self._acknowledged_s is None:
            self._judge(in_flight, now_s)
        self._acknowledged_s = now_s

    def _judge(self, in_flight: int, now_s: float) -> None:
        is_held = self._was_prompt and now_s - self._last_arrival_s >= SILENCE_S
        if is_held and in_flight == self._same:
            self._streak += 1
            if self._streak >= STREAK and MIN_LIMIT <= in_flight < self._size:
                self.value = in_flight
            return
        self._streak = max(0, self._streak - MISS)
        if self._streak == 0:
            self._same = in_flight
