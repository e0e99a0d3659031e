from __future__ import annotations

from pathlib import Path

import pytest

from gateway.log import budget as wear
from gateway.log.sqlite import written
from tests.log.parts import append, draft, open_log, wal_of


async def test_what_is_written_and_synced_is_counted(tmp_path: Path) -> None:
    log = await open_log(tmp_path)
    begun = log._written.fsyncs
    for n in range(3):
        await append(log, draft(n))
    wal = wal_of(tmp_path)
    counters = log._counters
    assert wal.stat().st_size < counters.log_written_bytes_total < wal.stat().st_size + 25_000
    await log.in_writer(lambda: 5)
    assert begun + 2 + 5 == counters.log_fsyncs_total
    assert 0 < log.wear.bytes_per_reading
    await log.close()


async def test_a_budget_lengthens_the_interval_of_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wear, "SETTLE_S", 0)
    monkeypatch.setattr(wear, "SETTLE_CHECKPOINTS", 0)
    log = await open_log(tmp_path, write_budget_bytes_per_day=1, commit_interval_max_ms=30)
    await append(log, draft())
    assert (30, 0.03) == (log._meter._wear.interval_ms, log._appender.interval_s)
    await log.close()


async def test_a_budget_that_has_no_effect_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(written, "IO", tmp_path / "none")
    log = await open_log(tmp_path, write_budget_bytes_per_day=1)
    assert "log.write_budget_bytes_per_day has no effect" in caplog.text
    await log.close()
