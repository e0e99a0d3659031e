from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import LogSection
from gateway.counters import Counters
from gateway.log.sqlite import spacing as spacing_module
from gateway.log.sqlite import spent as spent_module
from gateway.log.sqlite.budget import DiskBudget
from tests.clocks import StillClock
from tests.log.parts import append, draft, open_log, wal_of


async def test_what_is_written_and_synced_is_counted(tmp_path: Path) -> None:
    log = await open_log(tmp_path)
    begun = log._store._spent.fsyncs
    for n in range(3):
        await append(log, draft(n))
    wal = wal_of(tmp_path)
    counters = log._counters
    assert wal.stat().st_size < counters.log_written_bytes_total < wal.stat().st_size + 35_000
    assert begun + 2 == counters.log_fsyncs_total
    await log.close()


def test_what_all_accounts_have_spent_is_told_together(tmp_path: Path) -> None:
    counters = Counters()
    budget = DiskBudget(LogSection(), counters, StillClock())
    one, other = budget.account(), budget.account()
    one.counted(lambda: (tmp_path / "a").write_bytes(b"1234"))
    other.counted(lambda: (tmp_path / "b").write_bytes(b"123"))
    one.fsyncs, other.fsyncs, counters.entries_total["reading"] = 2, 5, 7
    assert 1 == budget.look().bytes_per_reading
    assert (7, 7) == (counters.log_written_bytes_total, counters.log_fsyncs_total)


async def test_a_budget_lengthens_the_interval_of_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacing_module, "SETTLE_S", 0)
    monkeypatch.setattr(spacing_module, "SETTLE_CHECKPOINTS", 0)
    log = await open_log(tmp_path, write_budget_bytes_per_day=1, commit_interval_max_ms=30)
    await append(log, draft())
    assert (0.03, 0.03) == (log._store.commit_interval_s, log.commits.interval_s)
    await log.close()


def test_a_budget_that_has_no_effect_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spent_module, "IO", tmp_path / "none")
    DiskBudget(LogSection(write_budget_bytes_per_day=1), Counters(), StillClock())
    assert "log.write_budget_bytes_per_day has no effect" in caplog.text
