"""Counts what is rejected, and shows samples of it in the log."""

from __future__ import annotations

import logging

from gateway.clock import Clock
from gateway.counters import Counters
from gateway.reading import Reason, Rejected

_log = logging.getLogger(__name__)

SAMPLE_INTERVAL_S = 60.0
"""A rejection is logged the first time, and then once in this time for each reason."""


class Rejections:
    """Bounded by the closed list of reasons."""

    def __init__(self, counters: Counters, clock: Clock) -> None:
        self._counters, self._clock = counters, clock
        self._logged_s: dict[Reason, float] = {}

    def count(self, rejected: Rejected, fault: Exception | None = None) -> None:
        """Something was rejected; ``fault`` is what we raised meanwhile, to be logged with its traceback."""
        self._counters.rejected_total[rejected.reason] += 1
        now_s = self._clock.elapsed_s()
        if now_s - self._logged_s.get(rejected.reason, -SAMPLE_INTERVAL_S) >= SAMPLE_INTERVAL_S:
            self._logged_s[rejected.reason] = now_s
            _log.warning("rejected (%s): %s", rejected.reason, rejected.detail, exc_info=fault)
