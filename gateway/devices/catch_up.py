"""Reads what the log holds and the device store lacks, while the gateway serves: a long log takes minutes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from gateway.clock import Clock
from gateway.devices.registry import Registry
from gateway.log import Log
from gateway.reading import Entry, Gap
from gateway.selection import ALL

_log = logging.getLogger(__name__)

PAGE_ENTRIES = 1000
"""Entries that are read and folded in one go: some 3 ms of the event loop."""

HEAD_START_S = 0.25
"""The first part is done before anything is served: mostly it is all there is, and nobody need be told."""

STEP_PERCENT = 10
"""Progress is told in steps of this size: each is a block on every stream."""


class CatchUp:
    """Brings ``registry`` to the log's head, and has each commit applied to it from then on.

    Made before anything is appended. ``fault`` says how far it is, for people; empty when there is nothing left to read.
    """

    def __init__(self, log: Log, registry: Registry, clock: Clock) -> None:
        self._log, self._registry, self._clock = log, registry, clock
        self._position = max(registry.position, log.floor)
        self._first_ms: int | None = None
        self._percent = 0
        registry.begin_catch_up()

    @property
    def fault(self) -> str:
        """What keeps the devices from being shown."""
        if self._registry.is_current:
            return ""
        return f"reading the log to learn of its devices: {self._percent} %"

    async def begin(self) -> None:
        """As `run`, but it comes back after `HEAD_START_S` too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START_S):
                await self.run()

    async def run(self) -> None:
        """Back when the registry is current. When it is cancelled the registry is as of the position reached; `run` goes on."""
        while self._position < self._log.head:
            found = await self._log.read(self._position, ALL, PAGE_ENTRIES)
            if isinstance(found, Gap):
                self._position = found.floor
            else:
                self._registry.apply(found.entries)
                self._position = found.position
                self._tell(found.entries)
            # What is read from memory comes back without waiting: others get their turn here.
            await asyncio.sleep(0)
        if not self._registry.is_current:
            # Nothing was awaited since the last look at the head, so no commit comes between.
            self._log.listeners.append(self._registry.apply)
            self._registry.end_catch_up()

    def _tell(self, entries: Sequence[Entry]) -> None:
        """How far the times of arrival are on their way to now: numbers leap at each start of the gateway, and tell little."""
        if not entries:
            return
        if self._first_ms is None:
            self._first_ms = entries[0].received_at_ms
        whole_ms = max(1, self._clock.wall_ms() - self._first_ms)
        percent = 100 * (entries[-1].received_at_ms - self._first_ms) // whole_ms // STEP_PERCENT * STEP_PERCENT
        if self._percent < percent < 100:
            self._percent = percent
            _log.info("%s", self.fault)
