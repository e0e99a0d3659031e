"""The disk budget: what the gateway writes is counted by thread, held against what the settings allow, and told.

Lives on the event loop; each thread that writes counts on an account of its own.
"""

from __future__ import annotations

import logging

from gateway.clock import Clock
from gateway.config import LogSection
from gateway.counters import Counters
from gateway.log.sqlite.spacing import Spacing, Totals
from gateway.log.sqlite.spent import Spent, thread_bytes

_log = logging.getLogger(__name__)


class DiskBudget:
    """What is written, as counters tell it, and how far apart commits are to be so that a day's budget is kept."""

    def __init__(self, settings: LogSection, counters: Counters, clock: Clock) -> None:
        self._counters, self._clock = counters, clock
        self._accounts: list[Spent] = []
        budget = settings.write_budget_bytes_per_day
        self._spacing = Spacing(settings.commit_interval_ms, settings.commit_interval_max_ms, budget, clock.elapsed_s())
        if budget and thread_bytes() is None:
            _log.warning("log.write_budget_bytes_per_day has no effect: this system does not tell what is written")

    def account(self) -> Spent:
        """A new account, for one thread that writes."""
        self._accounts.append(Spent())
        return self._accounts[-1]

    def look(self) -> Spacing:
        """What is written a day as of now, and the commit interval that follows from it. To be called after each write."""
        counters = self._counters
        counters.log_written_bytes_total = sum([account.bytes for account in self._accounts])
        counters.log_fsyncs_total = sum([account.fsyncs for account in self._accounts])
        totals = Totals(
            counters.log_written_bytes_total,
            counters.log_fsyncs_total,
            counters.entries_total["reading"],
            sum([account.checkpoints for account in self._accounts]),
        )
        self._spacing.note(self._clock.elapsed_s(), totals)
        if warning := self._spacing.warning():
            _log.warning("%s", warning)
        return self._spacing

    @property
    def commit_interval_s(self) -> float:
        """Seconds from one commit to the next, as of the last look."""
        return self._spacing.interval_ms / 1000
