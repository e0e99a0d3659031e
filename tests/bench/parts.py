"""What benchmarks share: the gateway under test, a publisher, watchers, and the machine's name."""

from __future__ import annotations

import asyncio
import json
import platform
import re
import sqlite3
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import paho.mqtt.client as paho

from gateway.ingest.drive import Drive

TICK_S = 0.01


def machine() -> str:
    """Date, machine and versions, for the head of a table."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    versions = ", ".join(f"{name} {version(name)}" for name in ("quart", "hypercorn", "paho-mqtt"))
    cores = len(re.findall(r"^processor", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    name = model[1] if model else platform.machine()
    return (
        f"{time.strftime('%Y-%m-%d')}, {cores} cores of {name}, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}"
    )


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / 100


@dataclass
class Publisher:
    """Publishes ``{"n": …, "t": …}`` to devices in turn at a steady rate; ``n`` counts up for each device."""

    port: int
    devices: int
    rate: float
    published: int = 0
    acknowledged: int = 0
    late: int = 0
    _client: paho.Client = field(init=False)

    async def run(self, seconds: float) -> None:
        """Publish for so long, then wait for the last acknowledgements."""
        await self._connect()
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            due = int(now * self.rate)
            for number in range(self.published, due):
                device, count = number % self.devices, number // self.devices
                payload = json.dumps({"n": count, "t": time.time_ns() // 1000})
                self._client.publish(f"sensors/device-{device}", payload, qos=1)
            self.published = max(due, self.published)
            await asyncio.sleep(TICK_S)
        deadline = time.monotonic() + 10
        while self.acknowledged < self.published and time.monotonic() < deadline:  # noqa: ASYNC110 - paho calls back
            await asyncio.sleep(0.05)
        self._client.disconnect()

    async def _connect(self) -> None:
        connected = asyncio.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="bench")
        self._client.max_inflight_messages_set(1000)
        self._client.on_connect = lambda *_: connected.set()
        self._client.on_publish = lambda *_: self._count()
        self._client.connect_async("127.0.0.1", self.port)
        await Drive(self._client).connect()
        await asyncio.wait_for(connected.wait(), 10)

    def _count(self) -> None:
        self.acknowledged += 1


_READING = re.compile(rb'"n":(\d+),"t":(\d+)')


class Watcher(asyncio.Protocol):
    """One stream of one device, on a bare socket so that the load generator is not the bottleneck."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rest = b""
        self.expected: int | None = None
        self.delivered = self.lost = self.repeated = self.ended = 0
        self.latencies_us: list[int] = []
        self.sample_every = 29
        self.is_open = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended += 1

    def data_received(self, data: bytes) -> None:
        self.is_open.set()
        data = self._rest + data
        end = 0
        for found in _READING.finditer(data):
            end = found.end()
            self._take(int(found[1]), int(found[2]))
        # What follows the last reading may be the beginning of one that was cut in two.
        self._rest = data[max(end, len(data) - 200) :]

    def _take(self, number: int, sent_us: int) -> None:
        if self.expected is not None:
            self.lost += max(0, number - self.expected)
            self.repeated += number < self.expected
        self.expected = number + 1
        self.delivered += 1
        if self.delivered % self.sample_every == 0:
            self.latencies_us.append(time.time_ns() // 1000 - sent_us)


async def open_watchers(port: int, streams: int, devices: int) -> list[Watcher]:
    """Open streams over the devices in turn, fifty at a time."""
    loop = asyncio.get_running_loop()
    watchers = []
    for number in range(streams):
        path = f"/api/devices/device-{number % devices}/stream"
        _, watcher = await loop.create_connection(lambda path=path: Watcher(path), "127.0.0.1", port)
        watchers.append(watcher)
        if number % 50 == 49:
            await asyncio.sleep(0.02)
    await asyncio.wait_for(asyncio.gather(*(watcher.is_open.wait() for watcher in watchers)), 60)
    return watchers


def quantile(values: list[int], share: float) -> float:
    """A quantile of unsorted values; 0 when there are none."""
    return float(sorted(values)[min(len(values) - 1, int(share * len(values)))]) if values else 0.0
