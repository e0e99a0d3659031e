"""Saves what changed of the devices from time to time, on a thread of its own: a lock on its file delays nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from gateway.clock import Clock
from gateway.devices.registry import Registry
from gateway.devices.store import DeviceStore, Saved

LOOK_INTERVAL_S = 5.0
"""Seconds from one look whether a save is due to the next one, and from a failed save to the next attempt."""

SAVE_AGE_S, SAVE_ENTRIES = 120.0, 20_000
"""A save is due when the last one is `SAVE_AGE_S` old or `SAVE_ENTRIES` entries behind; after a kill, reading these takes a
moment. A save writes each state twice: one every 5 s wrote 3 GB a day for a hundred devices."""

CLOSE_S = 5.0
"""At its end the gateway waits this long for the last save. What the file lacks then is read from the log at the next start."""


class Account(Protocol):
    """Where the disk budget counts what one thread writes."""

    fsyncs: int

    def counted(self, work: Callable[[], Saved]) -> Saved:
        """Do the work, and count the bytes that the calling thread writes meanwhile."""


class DeviceSaver:
    """One save at a time, asked for on the event loop.

    What it writes is counted on ``account``.
    """

    def __init__(self, registry: Registry, store: DeviceStore, clock: Clock, account: Account) -> None:
        self._registry, self._store, self._clock, self._account = registry, store, clock, account
        self._thread = ThreadPoolExecutor(1, "device-store")
        self._saving = asyncio.Lock()
        self._saved_s, self._saved_position = clock.elapsed_s(), registry.position

    async def run(self) -> None:
        """Save when it is due, but not before the registry is current; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            if self._registry.is_current and self._is_due():
                await self.save()

    def _is_due(self) -> bool:
        is_old = self._clock.elapsed_s() - self._saved_s >= SAVE_AGE_S
        return is_old or self._registry.position - self._saved_position >= SAVE_ENTRIES

    async def save(self) -> bool:
        """Save what changed, and all devices if the file wants all. Returns whether the file holds everything now."""
        async with self._saving:
            is_done = await self._save()
            # The file was not what it was before: only now it says that it wants all.
            return is_done or (self._store.wants_whole and await self._save())

    async def _save(self) -> bool:
        checkpoint = self._registry.checkpoint(is_whole=self._store.wants_whole)
        if not checkpoint.states:
            return True
        is_done = False
        try:
            loop = asyncio.get_running_loop()
            saved = await loop.run_in_executor(
                self._thread, self._account.counted, partial(self._store.save, checkpoint)
            )
            self._account.fsyncs += saved.syncs
            is_done = saved.is_done
        finally:
            # Also when this was cancelled: then nobody knows what became of it, and to save it again does no harm.
            if not is_done:
                self._registry.give_back(checkpoint)
        if is_done:
            self._saved_s, self._saved_position = self._clock.elapsed_s(), checkpoint.position
        return is_done

    async def close(self) -> None:
        """The last save, within `CLOSE_S`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.save()
        self._thread.shutdown(wait=False)
