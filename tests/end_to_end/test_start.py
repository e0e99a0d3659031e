"""A start with a long log and no device file: it serves at once, and misses nothing of what is published meanwhile."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bench.filled import fill
from tests.conftest import GatewayProcess, Mosquitto, patient, wait_until
from tests.reader import Reader

pytestmark = pytest.mark.broker

ENTRIES, DEVICES = 150_000, 500

SLOW = """
import asyncio, runpy, sys
from pathlib import Path
from gateway.devices.catch_up import CatchUp
from gateway.log import Log

# Half of the log is read as fast as it goes, the other half when the test has seen enough.
read, go, pages = Log.read, Path(sys.argv.pop(1)), 0

async def held(self, *where):
    global pages
    pages += 1
    while pages > 50 and not go.exists():
        await asyncio.sleep(0.01)
    return await read(self, *where)

async def slow_run(self, run=CatchUp.run):
    Log.read = held
    try:
        await run(self)
    finally:
        Log.read = read

CatchUp.run = slow_run
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""
"""Runs the gateway in a process of its own whose catch-up stops in the middle until a file appears."""


class SlowGateway(GatewayProcess):
    """``go`` lets its catch-up go on."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, *options)
        script, self._go = folder / "slow.py", folder / "go"
        script.write_text(SLOW)
        starter = folder / "python"
        starter.write_text(f'#!/bin/sh\nshift 2\nexec "{self.python}" "{script}" "{self._go}" "$@"\n')
        starter.chmod(0o755)
        self.python = str(starter)

    def go(self) -> None:
        self._go.touch()


@pytest.fixture
def slow(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[SlowGateway]:
    """A gateway with a long log and no device file, on a broker where it has a session already."""
    folder = tmp_path / "slow"
    folder.mkdir()
    gateway = SlowGateway(folder, "--broker", mosquitto.url)
    quick = GatewayProcess(folder, "--broker", mosquitto.url, port=gateway.port).start()
    quick.stop()
    for file in [*folder.glob("data/log/*"), *folder.glob("data/devices*")]:
        file.unlink()
    fill(folder / "data", ENTRIES, DEVICES)
    for file in folder.glob("data/devices*"):
        file.unlink()
    yield gateway
    if gateway.process is not None and gateway.process.poll() is None:
        gateway.kill()


def seconds_until_it_serves(gateway: GatewayProcess) -> float:
    began = time.monotonic()
    gateway.start(wait_ready=False)
    gateway.wait_serving()
    return time.monotonic() - began


def test_a_long_log_without_a_device_file_is_read_while_the_gateway_serves(
    slow: SlowGateway, mosquitto: Mosquitto, read: Callable[..., Reader]
) -> None:
    took_s = seconds_until_it_serves(slow)
    assert took_s < patient(3)
    assert "reading the log to learn of its devices: " in slow.faults()["devices"]
    every, one = slow.get("/api/devices"), slow.get("/api/devices/d1")
    assert [(503, "1"), (503, "1")] == [(each.status_code, each.headers["Retry-After"]) for each in (every, one)]
    assert {"error": "not ready", "detail": "reading the log to learn of its devices"} == every.json()
    reader = read(slow).wait(lambda each: each.of("gateway"))
    assert "reading the log to learn of its devices: " in reader.of("gateway")[0].data["faults"]["devices"]
    mosquitto.publish_lines("sensors/boiler/temperature", range(200))
    assert 0 == slow.counter("messages_total")
    slow.go()
    slow.wait_ready()
    wait_until(lambda: slow.newest() == 199)
    assert list(range(200)) == slow.logged()
    reader.wait(lambda each: len(each.readings) == 200)
    reader.wait(lambda each: each.of("gateway")[-1].data == {"status": "ready", "faults": {}, "warnings": {}})
    known = [device["device"] for device in slow.get("/api/devices").json()["devices"]]
    assert sorted(["boiler", *(f"d{number}" for number in range(DEVICES))]) == known


def test_the_snapshot_of_a_stream_that_was_opened_meanwhile_is_complete(
    slow: SlowGateway, read: Callable[..., Reader]
) -> None:
    seconds_until_it_serves(slow)
    reader = read(slow).wait(lambda each: each.of("hello"))
    slow.go()
    reader.wait(lambda each: each.of("live"))
    newest = {f"d{number}": ENTRIES - DEVICES + number for number in range(DEVICES)}
    told = {each.data["device"]: each.data["values"]["n"]["value"] for each in reader.of("latest")}
    assert {device: number // DEVICES + 1 for device, number in newest.items()} == told


def test_a_stop_ends_the_reading_and_the_next_start_goes_on_from_there(slow: SlowGateway) -> None:
    seconds_until_it_serves(slow)
    began = time.monotonic()
    assert 0 == slow.stop()
    assert time.monotonic() - began < patient(3)
    with closing(sqlite3.connect(slow.folder / "data/devices.sqlite3")) as file:
        (position,) = file.execute("SELECT position FROM position").fetchone()
        assert 1 == file.execute("PRAGMA user_version").fetchone()[0]
    assert position > 0
    slow.go()
    slow.start()
    shown: list[dict[str, Any]] = httpx.get(f"{slow.url}/api/devices", timeout=10).json()["devices"]
    last = {f"d{number}": (ENTRIES - DEVICES + number) // DEVICES + 1 for number in range(DEVICES)}
    assert last == {each["device"]: each["values"]["n"]["value"] for each in shown}


def test_a_newer_device_file_is_refused_before_anything_is_changed(
    mosquitto: Mosquitto, make_gateway: Callable[..., GatewayProcess]
) -> None:
    gateway = make_gateway("--broker", mosquitto.url).start()
    assert 0 == gateway.stop()
    path = gateway.folder / "data/devices.sqlite3"
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE IF NOT EXISTS device (device TEXT PRIMARY KEY, state TEXT)")
        file.execute("PRAGMA user_version = 2")
    before = sorted((each.name, each.read_bytes()) for each in gateway.folder.glob("data/**/*.sqlite3"))
    gateway.start(wait_ready=False)
    assert gateway.process is not None
    assert 0 != gateway.process.wait(10)
    assert "devices.sqlite3 was written by a newer gateway: it has version 2" in gateway.output()
    assert before == sorted((each.name, each.read_bytes()) for each in gateway.folder.glob("data/**/*.sqlite3"))
