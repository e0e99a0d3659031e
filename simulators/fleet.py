"""Many devices on one broker: a session for each, and one loop that publishes what is due.

The loop walks the merged schedule of all devices and sleeps until the next publication is due. Due times are counted
from the start, so nothing drifts. A message that is due while its device is not connected, or while too many of its
messages are under way, is skipped and counted, never queued: a real device has no memory for it either. When this
process itself is too slow nothing is skipped: the loop falls behind, publishes all it can, and ``behind_s`` tells.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from gateway.errors import GatewayError
from simulators.address import Broker
from simulators.counters import Counters
from simulators.device import Device, schedule
from simulators.session import Session, now_ms

TICK_S = 0.005
"""The shortest sleep: what falls due within it goes out together, at most this late."""

PUBLISHED_PER_TURN = 50
"""Publications before the loop gets its turn back, so that acknowledgements are read even when nothing else waits."""

CONNECTING_MAX = 32
"""Devices that may be opening a connection at once; the thread pool below them is of about that size."""

GATHER_S = 10.0
"""How long the first report waits for all devices to be connected, counted from the first one that is."""

SETTLE_S, GOODBYE_S = 3.0, 1.0
"""At the end: how long to wait for acknowledgements, then for the connections to close."""

FILES_PER_DEVICE, FILES_BESIDE = 3, 64
"""A session is a socket and paho's own pair of them; the rest is for everything else in this process."""


class FleetError(GatewayError):
    """The fleet cannot do what it was asked to; the text says what, and what to do."""


class UnreachableError(FleetError):
    """No device could connect to the broker in time; the text has the address and the last reason."""


class Fleet:
    """Devices that publish to ``broker`` for as long as the ``async with`` block, or ``run``, lasts.

    ``start_ms`` is where the simulated clock starts, Unix ms; by default the moment of the first report.
    ``protocol`` is ``3.1.1`` or ``5``. Use it on one event loop; read ``counters`` at any time, from there.
    Raises ValueError for a bad address; on entry FleetError when the process may not open enough files, or when the CA
    file is of no use.
    """

    def __init__(
        self,
        broker: str | Broker,
        devices: Sequence[Device],
        *,
        start_ms: int | None = None,
        protocol: str = "3.1.1",
    ) -> None:
        """No connection is opened yet."""
        self.broker = Broker.parse(broker) if isinstance(broker, str) else broker
        self.devices = list(devices)
        self.counters = Counters(devices=len(self.devices), confirmed=any(device.qos for device in self.devices))
        self._start_ms = start_ms
        self._protocol = protocol
        self._sessions: dict[str, Session] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin to connect, and publish as soon as the devices are connected."""
        _allow_files(FILES_PER_DEVICE * len(self.devices) + FILES_BESIDE)
        tls = _tls(self.broker) if self.broker.tls else None
        turn = asyncio.Semaphore(CONNECTING_MAX)
        for device in self.devices:
            self._sessions[device.name] = Session(device, self.broker, tls, self._protocol, self.counters)
        self._tasks = [asyncio.create_task(session.keep(turn)) for session in self._sessions.values()]
        self._tasks.append(asyncio.create_task(self._publish()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: no more reports, ``offline`` from each device, all acknowledged (3 s at most), DISCONNECT."""
        publishing = self._tasks[-1]
        await _cancel([publishing])
        for session in self._sessions.values():
            session.say_goodbye()
        await _until(lambda: not any(s.online and s.unacknowledged for s in self._sessions.values()), SETTLE_S)
        await _cancel(self._tasks)
        for session in self._sessions.values():
            session.disconnect()
        await _until(lambda: not self.counters.connected, GOODBYE_S)
        for task in self._tasks:
            if not task.cancelled() and (fault := task.exception()):
                raise fault

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until ``stop`` is set, then stop cleanly."""
        async with self:
            ends = [asyncio.create_task(stop.wait()), self._tasks[-1]]
            try:
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await _cancel(ends[:1])

    async def connected(self, timeout_s: float) -> None:
        """Return when a first device is connected; raises UnreachableError, with the reason, after ``timeout_s``."""
        if not await _until(lambda: self.counters.connects_total > 0, timeout_s):
            raise UnreachableError(f"cannot reach the broker at {self.broker} within {timeout_s:g} s: {self.reason()}")

    def reason(self) -> str:
        """Why the first of the devices that are not connected is not; empty when all are."""
        return next((session.reason for session in self._sessions.values() if not session.online), "")

    async def _publish(self) -> None:
        await self._gathered()
        start_ms = now_ms() if self._start_ms is None else self._start_ms
        origin_s, since_turn = time.monotonic(), 0
        for publication in schedule(self.devices, start_ms):
            due_in_s = origin_s + (publication.due_ms - start_ms) / 1000 - time.monotonic()
            since_turn += 1
            if due_in_s > 0 or since_turn >= PUBLISHED_PER_TURN:
                self.counters.behind_s = max(0.0, -due_in_s)
                await asyncio.sleep(max(due_in_s, TICK_S) if due_in_s > 0 else 0)
                since_turn = 0
            self._sessions[publication.device].publish(publication)

    async def _gathered(self) -> None:
        while not await _until(lambda: self.counters.connects_total > 0, GATHER_S):
            pass
        await _until(lambda: self.counters.connected == len(self.devices), GATHER_S)


def _tls(broker: Broker) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=broker.ca)
    except OSError as error:
        raise FleetError(f"cannot use the CA file {broker.ca}: {error}") from error


def _allow_files(needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise FleetError(f"needs {needed:,} open files and may have {hard:,}: fewer devices, or a higher `ulimit -n`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def _until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Whether ``done()`` became true in time; looks every ``TICK_S``."""
    deadline_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= deadline_s:
            return False
        await asyncio.sleep(TICK_S)
    return True


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
