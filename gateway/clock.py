"""The two clocks: elapsed time, which judges, and wall time, which tells.

Elapsed time counts seconds since the machine started, asleep or awake (CLOCK_BOOTTIME, clock_gettime(2)). It never goes
back and nobody sets it, so pauses, ages and silence are measured by it. It begins anew with each start of the machine.
Wall time is what people and other machines call now, in Unix milliseconds. It may be wrong, and is set while we run
(NTP, a person). It is told as it is, so it may step; nothing in the log depends on its order: numbers order the log.

Both are passed in: no other file asks the system for the time. `tests/test_imports.py` holds it.
"""

from __future__ import annotations

import time
from typing import NamedTuple

STANDSTILL_MS = 1000
"""A wall clock that is set back by less than this stands still until it has caught up; one set back further steps."""


class Instant(NamedTuple):
    """One moment on both clocks: seconds since the machine started, and Unix milliseconds."""

    elapsed_s: float
    wall_ms: int


class Clock:
    """The system's clocks. Used on any thread; a test gives one of its own with the same three methods."""

    def __init__(self) -> None:
        self._newest_ms = 0

    def now(self) -> Instant:
        """Both clocks at once."""
        return Instant(self.elapsed_s(), self.wall_ms())

    def wall_ms(self) -> int:
        """Unix milliseconds; goes back only by `STANDSTILL_MS` or more, when the system's clock was set back that far."""
        now_ms = time.time_ns() // 1_000_000
        if self._newest_ms - STANDSTILL_MS < now_ms < self._newest_ms:
            return self._newest_ms
        self._newest_ms = now_ms
        return now_ms

    if hasattr(time, "CLOCK_BOOTTIME"):

        def elapsed_s(self) -> float:
            """Seconds since the machine started, the time it slept included; never goes back."""
            return time.clock_gettime(time.CLOCK_BOOTTIME)

    else:  # macOS, BSD

        def elapsed_s(self) -> float:
            """Seconds of a clock that never goes back; where the system has no CLOCK_BOOTTIME, sleep is left out."""
            return time.monotonic()
