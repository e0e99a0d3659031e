"""How far apart commits are, so that what is written a day stays within a budget. Pure: the time is an argument.

A commit writes whole pages, so commits of few readings cost most. Twice the interval writes at least half as much. So an
interval that grows by the factor by which the budget is exceeded never grows too far, and one that is halved only where
twice what is written would fit comes to rest.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

DAY_S = 86_400
WINDOW_S = 600.0
"""What is written in this time is projected to a day."""

SAMPLE_S = 10.0
STEP = 2.0
"""The interval grows by this factor at least, and shrinks by it, at a time."""

ROOM = 0.8
"""The interval shrinks only where what would be written is below this part of the budget: what is measured is uneven."""

SETTLE_S = 60.0
SETTLE_CHECKPOINTS = 3
"""After a change the interval stays for `SETTLE_S` and for this number of checkpoints, because those write in lumps; but no
longer than `WINDOW_S`."""

WARN_S = 3600.0
"""A budget that cannot be kept is told once in this time."""


class Totals(NamedTuple):
    """What was written since the start."""

    bytes: int = 0
    fsyncs: int = 0
    readings: int = 0
    checkpoints: int = 0


class _Sample(NamedTuple):
    at_s: float
    totals: Totals


class Spacing:
    """Tell it the totals after each commit with `note`; it remembers 61 of them. A budget of 0 leaves the interval alone.

    ``budget`` is in bytes a day, ``interval_ms`` and ``max_interval_ms`` bound the interval.
    """

    def __init__(self, interval_ms: float, max_interval_ms: float, budget: int, now_s: float) -> None:
        self._shortest_ms, self._longest_ms, self._budget = interval_ms, max(interval_ms, max_interval_ms), budget
        self.interval_ms = float(interval_ms)
        start = _Sample(now_s, Totals())
        self._samples = deque([start])
        self._newest = self._settling = start
        self._over: float | None = None
        self._warned_s = now_s - WARN_S

    # --- measuring ---------------------------------------------------------------------------------------------------

    def note(self, now_s: float, totals: Totals) -> None:
        """Take the totals as of now; may change `interval_ms`."""
        self._newest = _Sample(now_s, totals)
        if now_s - self._samples[-1].at_s >= SAMPLE_S:
            self._samples.append(self._newest)
        while len(self._samples) > 1 and self._samples[1].at_s <= now_s - WINDOW_S:
            self._samples.popleft()
        if self._budget:
            self._control()

    @property
    def bytes_per_day(self) -> float:
        """Bytes written a day, projected from the last `WINDOW_S`, or from the start; so are the others."""
        return _per_day(self._samples[0], self._newest)

    @property
    def fsyncs_per_day(self) -> float:
        """Times a day that a file is forced to the disk."""
        first, last = self._samples[0], self._newest
        return (last.totals.fsyncs - first.totals.fsyncs) / max(1.0, last.at_s - first.at_s) * DAY_S

    @property
    def bytes_per_reading(self) -> float:
        """Bytes written for each reading; 0 while there are no readings."""
        first, last = self._samples[0].totals, self._newest.totals
        readings = last.readings - first.readings
        return (last.bytes - first.bytes) / readings if readings else 0.0

    # --- keeping the budget ------------------------------------------------------------------------------------------

    def _control(self) -> None:
        since, now = self._settling, self._newest
        lasted_s = now.at_s - since.at_s
        checkpoints = now.totals.checkpoints - since.totals.checkpoints
        if lasted_s < SETTLE_S or (lasted_s < WINDOW_S and checkpoints < SETTLE_CHECKPOINTS):
            return
        daily = _per_day(since, now)
        self._over = None
        if daily > self._budget:
            if self.interval_ms >= self._longest_ms:
                self._over = daily
            self.interval_ms = min(self._longest_ms, self.interval_ms * max(STEP, daily / self._budget))
        elif daily * STEP <= ROOM * self._budget:
            self.interval_ms = max(self._shortest_ms, self.interval_ms / STEP)
        self._settling = now

    def warning(self) -> str:
        """What to tell people when the longest interval does not keep the budget; once in `WARN_S` at most, else empty."""
        now_s = self._newest.at_s
        if self._over is None or now_s - self._warned_s < WARN_S:
            return ""
        self._warned_s = now_s
        return (
            f"the log writes {self._over / 1e9:.2f} GB a day, though commits are {self.interval_ms:g} ms apart: more than "
            f"log.write_budget_bytes_per_day ({self._budget / 1e9:.2f} GB). Fewer or smaller readings would help, or another "
            'disk; little else does, and durability "process" where it is "power"'
        )


def _per_day(first: _Sample, last: _Sample) -> float:
    return (last.totals.bytes - first.totals.bytes) / max(1.0, last.at_s - first.at_s) * DAY_S
