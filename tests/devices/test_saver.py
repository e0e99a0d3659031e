from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.devices import saver as saver_module
from gateway.devices.registry import Checkpoint, Registry
from gateway.devices.saver import SAVE_AGE_S, SAVE_ENTRIES, DeviceSaver
from gateway.devices.store import DeviceStore, Saved
from gateway.log import Deposit, Log
from gateway.log.sqlite.spent import Spent
from tests.devices.parts import FakeClock
from tests.log.parts import append, draft, numbered, open_log, until


class Station:
    """A registry and what saves it; what that writes is counted on ``account``."""

    def __init__(self, path: Path, store: DeviceStore | None = None) -> None:
        self.clock, self.registry = FakeClock(), Registry()
        self.store = store or DeviceStore(path)
        self.account = Spent()
        self.saver = DeviceSaver(self.registry, self.store, self.clock, self.account)

    def apply(self, seq: int, device: str = "a") -> None:
        self.registry.apply([numbered(draft(seq, device, at=seq), seq)])


class HeldStore(DeviceStore):
    """Each save waits until it is let go; ``most`` is how many were under way together."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.go = threading.Semaphore(0)
        self.under_way = self.most = 0

    def save(self, checkpoint: Checkpoint) -> Saved:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            assert self.go.acquire(timeout=10)
            return super().save(checkpoint)
        finally:
            self.under_way -= 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.sqlite3"


async def test_what_changed_is_saved_and_its_syncs_are_told(path: Path) -> None:
    station = Station(path)
    station.apply(1)
    assert await station.saver.save()
    spent = station.account.bytes, station.account.fsyncs
    assert min(spent) > 0
    assert await station.saver.save()
    assert spent == (station.account.bytes, station.account.fsyncs)
    states, position = DeviceStore(path).load()
    assert (["a"], 1) == (list(states), position)
    await station.saver.close()


async def test_a_file_that_was_deleted_is_written_with_all_devices_at_once(path: Path) -> None:
    station = Station(path)
    station.apply(1, "a")
    await station.saver.save()
    await asyncio.to_thread(path.unlink)
    station.apply(2, "b")
    assert await station.saver.save()
    states, position = DeviceStore(path).load()
    assert (["a", "b"], 2) == (sorted(states), position)
    await station.saver.close()


async def test_saves_are_made_one_at_a_time_also_after_one_was_cancelled(path: Path) -> None:
    store = HeldStore(path)
    station = Station(path, store)
    station.apply(1, "a")
    cancelled = asyncio.create_task(station.saver.save())
    await until(lambda: store.under_way)
    station.apply(2, "b")
    cancelled.cancel()
    others = [asyncio.create_task(station.saver.save()) for _ in range(2)]
    for _ in range(6):
        store.go.release()
    assert [True, True] == await asyncio.gather(*others)
    states, position = DeviceStore(path).load()
    assert (1, ["a", "b"], 2) == (store.most, sorted(states), position)
    await station.saver.close()


async def test_a_save_is_due_by_age_or_by_entries_and_again_after_a_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saver_module, "LOOK_INTERVAL_S", 0.001)
    station = Station(path)
    saves: list[Checkpoint] = []
    save = station.store.save

    def noted(checkpoint: Checkpoint) -> Saved:
        saves.append(checkpoint)
        return save(checkpoint)

    monkeypatch.setattr(station.store, "save", noted)
    running = asyncio.create_task(station.saver.run())
    station.apply(1)
    await asyncio.sleep(0.02)
    assert 0 == len(saves)
    station.clock.passes(SAVE_AGE_S)
    await until(lambda: len(saves) == 1)
    station.apply(SAVE_ENTRIES + 1)
    await until(lambda: len(saves) == 2)

    def fails(checkpoint: Checkpoint) -> Saved:
        saves.append(checkpoint)
        return Saved(is_done=False, syncs=0)

    monkeypatch.setattr(station.store, "save", fails)
    station.apply(2 * SAVE_ENTRIES + 1)
    await until(lambda: len(saves) >= 4)
    running.cancel()
    await station.saver.close()


async def test_nothing_is_saved_before_the_registry_is_current(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saver_module, "LOOK_INTERVAL_S", 0.001)
    station = Station(path)
    station.registry.begin_catch_up()
    station.apply(SAVE_ENTRIES)
    running = asyncio.create_task(station.saver.run())
    await asyncio.sleep(0.02)
    assert 0 == station.account.fsyncs
    station.registry.end_catch_up()
    await until(lambda: station.account.fsyncs)
    running.cancel()
    await station.saver.close()


async def test_the_last_save_is_waited_for_within_a_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saver_module, "CLOSE_S", 0.05)
    store = HeldStore(path)
    station = Station(path, store)
    station.apply(1)
    began = time.monotonic()
    await station.saver.close()
    assert 0.05 <= time.monotonic() - began < 2
    store.go.release()


# --- nobody else's lock delays a commit --------------------------------------------------------------------------------

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert "locked\n" == holder.stdout.readline()
        try:
            yield
        finally:
            holder.stdin.close()


@pytest.fixture
async def quick_log(tmp_path: Path) -> AsyncIterator[Log]:
    log = await open_log(tmp_path / "log", commit_interval_ms=1)
    yield log
    await log.close()


async def test_nobody_elses_lock_delays_a_commit(path: Path, quick_log: Log) -> None:
    """Commits go on while a save waits out its timeout for another process; the save is made when the file is free."""
    station = Station(path)
    quick_log.listeners.append(station.registry.apply)
    await append(quick_log, draft(1, "quiet"))
    await station.saver.save()
    await append(quick_log, draft(2, "quiet"))
    took: list[float] = []
    with held_by_another_process(path):
        saving = asyncio.create_task(station.saver.save())
        while not saving.done():
            committed = asyncio.Event()
            began = time.perf_counter()
            quick_log.append(Deposit([draft(3, "busy")], committed=committed.set))
            await committed.wait()
            took.append(time.perf_counter() - began)
        assert not saving.result()
    # Waiting for the lock took a second, so a commit behind it would have shown.
    assert len(took) > 20
    assert sorted(took)[-len(took) // 20] < 0.2
    assert max(took) < 0.8
    assert await station.saver.save()
    states, position = DeviceStore(path).load()
    assert (["busy", "quiet"], quick_log.head) == (sorted(states), position)
    with closing(sqlite3.connect(path)) as other:
        assert "ok" == other.execute("PRAGMA quick_check").fetchone()[0]
    await station.saver.close()
