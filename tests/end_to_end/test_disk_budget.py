"""To keep a budget commits move apart, and acknowledgements with them: the broker must not drop what piles up there."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.config import load
from gateway.service import Gateway
from tests.conftest import Mosquitto, free_port, need, patient

pytestmark = pytest.mark.broker

WINDOW, QUEUE = 20, 1000
"""mosquitto's own defaults: what it sends before it waits, and what it holds before it drops."""

RATE, SECONDS = 300, 6
FEW = 5
LONGEST_MS = 10_000.0


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    broker = make_mosquitto()
    text = broker._config.read_text().replace("inflight_messages 1000", f"inflight_messages {WINDOW}")
    broker._config.write_text(text.replace("queued_messages 200000", f"queued_messages {QUEUE}"))
    broker.restart()
    return broker


@contextlib.asynccontextmanager
async def running(broker: Mosquitto, folder: Path) -> AsyncIterator[Gateway]:
    """A gateway whose commits are as far apart as after hours above its budget."""
    overrides = [("mqtt.broker", broker.url), ("http.port", str(free_port())), ("log.folder", str(folder))]
    gateway, stop = Gateway(load(None, overrides, {})), asyncio.Event()
    run = asyncio.create_task(gateway.run(stop))
    async with asyncio.timeout(patient(20)):
        while not (gateway.serving.is_set() and gateway.stations) or gateway.stations._faults():  # noqa: ASYNC110 - several conditions
            await asyncio.sleep(0.01)
    gateway.stations._budget._spacing.interval_ms = LONGEST_MS
    gateway.stations._log.commits.set_interval(LONGEST_MS / 1000)
    yield gateway
    stop.set()
    await run


async def test_a_small_window_and_a_long_interval_hold_nothing_up_at_the_broker(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A few readings with long pauses, then many: the pauses that were usual before must not count any more."""
    command = [
        need("mosquitto_pub", "mosquitto-clients"),
        "-p",
        str(mosquitto.port),
        "-q",
        "1",
        "-t",
        "sensors/a/x",
        "-l",
    ]
    async with running(mosquitto, tmp_path / "data") as gateway:
        publisher = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        assert publisher.stdin is not None
        for number in range(FEW):
            publisher.stdin.write(f"{number}\n".encode())
            await asyncio.sleep(0.4)
        loop, behind, sent = asyncio.get_running_loop(), [], FEW
        began = loop.time()
        while loop.time() < began + SECONDS:
            due = FEW + int((loop.time() - began) * RATE)
            publisher.stdin.write("".join(f"{number}\n" for number in range(sent, due)).encode())
            sent = due
            behind.append(sent - gateway.counters.messages_total)
            await asyncio.sleep(0.01)
        publisher.stdin.close()
        await publisher.wait()
        async with asyncio.timeout(patient(3)):
            while gateway.counters.entries_total["reading"] < sent:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        print(
            f"\nbehind: p50 {statistics.median(behind)}, most {max(behind)}; commits {gateway.counters.commits_total}"
        )
    assert statistics.median(behind) < RATE / 2
    assert max(behind) < QUEUE


async def test_what_a_window_holds_waits_for_the_interval_and_is_committed_at_the_end(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with running(mosquitto, tmp_path / "data") as gateway:
        mosquitto.publish_lines("sensors/a/x", range(FEW))
        async with asyncio.timeout(patient(5)):
            while gateway.counters.messages_total < FEW:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert FEW == gateway.counters.entries_total["reading"]
