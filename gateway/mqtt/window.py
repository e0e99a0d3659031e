"""How many messages the broker has in flight to us: those that it sent and we did not acknowledge yet. Pure.

MQTT 3.1.1 does not tell how many a broker sends before it waits (mosquitto: 20 unless configured), yet that bounds what can
pass: so many for each commit and round trip. What does not pass waits in the broker's queue, which drops when it is full.
"""

from __future__ import annotations

MIN_LIMIT = 10
"""Smaller bursts of equal size are what a few devices send, and say nothing."""

SILENCE_S = 0.004
"""Nothing more came for so long before we acknowledged,"""

PROMPT_S = 0.05
"""and so soon after it the next one came:"""

STREAK = 50
"""so often, always at the same number. Then the broker was waiting for us, not for its publishers."""

MISS = 2
"""One time that does not look so undoes so many that did: on a busy machine some do not."""


class Flight:
    """Counts for one connection, and finds the broker's ``limit``: 0 while none was felt, or more came than it allows."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._count = 0
        self._last_arrival_s = 0.0
        self._acknowledged_s: float | None = None
        self._was_prompt = False
        self._same = self._streak = 0
        self.limit = 0

    def arrived(self, count: int, now_s: float) -> None:
        """Messages came, at QoS 1."""
        if self._acknowledged_s is not None:
            self._was_prompt = now_s - self._acknowledged_s <= PROMPT_S
            self._acknowledged_s = None
        self._count += count
        self._last_arrival_s = now_s
        if self._count > self.limit:
            self.limit = 0

    def acknowledged(self, count: int, now_s: float) -> None:
        """Messages were acknowledged; only the first call after an arrival sees what was in flight."""
        if self._acknowledged_s is None:
            self._judge(now_s)
        self._count = max(0, self._count - count)
        self._acknowledged_s = now_s

    def _judge(self, now_s: float) -> None:
        is_held = self._was_prompt and now_s - self._last_arrival_s >= SILENCE_S
        if is_held and self._count == self._same:
            self._streak += 1
            if self._streak >= STREAK and MIN_LIMIT <= self._count < self._window:
                self.limit = self._count
            return
        self._streak = max(0, self._streak - MISS)
        if self._streak == 0:
            self._same = self._count
