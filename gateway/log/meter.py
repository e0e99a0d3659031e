"""Holds what the log writes against its budget: tells the counters, and spaces the commits. Lives on the event loop."""

from __future__ import annotations

import asyncio
import logging

from gateway.counters import Counters
from gateway.log.budget import Totals, Wear
from gateway.log.group_commit import Appender
from gateway.log.settings import LogSettings
from gateway.log.sqlite.written import Written, thread_bytes

_log = logging.getLogger(__name__)


class Meter:
    """Between `Written`, where the writer's thread counts, `Wear`, which reckons, and the appender, which waits so long."""

    def __init__(self, settings: LogSettings, counters: Counters, written: Written, appender: Appender) -> None:
        self._counters, self._written, self._appender = counters, written, appender
        budget = settings.write_budget_bytes_per_day
        self._wear = Wear(
            settings.commit_interval_ms, settings.commit_interval_max_ms, budget, asyncio.get_running_loop().time()
        )
        if budget and thread_bytes() is None:
            _log.warning("log.write_budget_bytes_per_day has no effect: this system does not tell what is written")

    def look(self) -> Wear:
        """What is written a day, as of now, and the commit interval that follows from it; to be called after each write."""
        written, counters, wear = self._written, self._counters, self._wear
        counters.log_written_bytes_total, counters.log_fsyncs_total = written.bytes, written.fsyncs
        totals = Totals(written.bytes, written.fsyncs, counters.entries_total["reading"], written.checkpoints)
        wear.note(asyncio.get_running_loop().time(), totals)
        self._appender.interval_s = wear.interval_ms / 1000
        if warning := wear.warning():
            _log.warning("%s", warning)
        return wear
