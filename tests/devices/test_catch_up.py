from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.devices import catch_up as catch_up_module
from gateway.devices.catch_up import CatchUp
from gateway.devices.registry import Registry
from gateway.log import Log
from gateway.selection import ALL
from tests.devices.parts import FakeClock
from tests.log.parts import append, draft, open_log


async def filled(folder: Path, count: int) -> Log:
    """A log that was closed and opened again, so that the tail holds nothing of it."""
    log = await open_log(folder)
    await append(log, *[draft(number, f"d{number % 10}", at=number + 1) for number in range(count)])
    await log.close()
    return await open_log(folder)


async def folded(log: Log) -> list[bytes]:
    registry = Registry()
    catch_up = CatchUp(log, registry, FakeClock(300))
    await catch_up.run()
    return registry.shown(ALL)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up_module, "PAGE_ENTRIES", 10)


async def test_a_registry_at_the_head_is_current_at_once(tmp_path: Path) -> None:
    log = await filled(tmp_path, 5)
    registry = Registry()
    registry.load({}, log.head)
    catch_up = CatchUp(log, registry, FakeClock(300))
    await catch_up.begin()
    assert (True, "", [registry.apply]) == (registry.is_current, catch_up.fault, log.listeners)
    await log.close()


async def test_a_short_log_is_read_before_anything_is_served(tmp_path: Path) -> None:
    log = await filled(tmp_path, 100)
    registry = Registry()
    await CatchUp(log, registry, FakeClock(300)).begin()
    assert (True, 10) == (registry.is_current, len(registry))
    await log.close()


@pytest.mark.usefixtures("small_pages")
async def test_progress_is_told_and_others_get_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await filled(tmp_path, 200)
    registry = Registry()
    catch_up = CatchUp(log, registry, FakeClock(300))
    monkeypatch.setattr(catch_up_module, "HEAD_START_S", 0)
    await catch_up.begin()
    assert not registry.is_current
    running, told = asyncio.create_task(catch_up.run()), [catch_up.fault]
    while not running.done():
        if catch_up.fault != told[-1]:
            told.append(catch_up.fault)
        await asyncio.sleep(0)
    assert [f"reading the log to learn of its devices: {percent} %" for percent in range(0, 70, 10)] == told
    assert "" == catch_up.fault
    assert 10 == len(registry)
    await log.close()


@pytest.mark.usefixtures("small_pages")
async def test_what_was_interrupted_goes_on_where_it_was_and_misses_nothing(tmp_path: Path) -> None:
    log = await filled(tmp_path, 300)
    registry = Registry()
    catch_up = CatchUp(log, registry, FakeClock(300))
    for _ in range(200):
        running = asyncio.create_task(catch_up.run())
        await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.wait([running])
    await catch_up.run()
    assert (await folded(log), 1) == (registry.shown(ALL), log.listeners.count(registry.apply))
    await log.close()


@pytest.mark.usefixtures("small_pages")
async def test_what_is_trimmed_under_it_is_passed_over(tmp_path: Path) -> None:
    log = await open_log(tmp_path, segment_bytes=1, retention_bytes=2**18)
    for number in range(60):
        await append(log, *[draft(number, f"d{number}", at=number + 1) for _ in range(3)])
    await log.close()
    log = await open_log(tmp_path, segment_bytes=1, retention_bytes=2**18)
    registry = Registry()
    catch_up = CatchUp(log, registry, FakeClock(300))
    running = asyncio.create_task(catch_up.run())
    await log.trim()
    await running
    assert registry.is_current
    assert set(await folded(log)) <= set(registry.shown(ALL))
    await append(log, draft(1, "new"))
    assert "new" in registry
    await log.close()
