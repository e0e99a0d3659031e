"""The stations of one gateway, joined: from the session with the broker to the streams, and what runs beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.config import Config
from gateway.counters import Counters, Exposition
from gateway.decode import make_decoder
from gateway.devices.catch_up import CatchUp
from gateway.devices.presence import Presence
from gateway.devices.registry import Registry
from gateway.devices.saver import DeviceSaver
from gateway.devices.store import VERSION as DEVICES_VERSION
from gateway.devices.store import DeviceStore
from gateway.file_version import refuse_newer
from gateway.http.app import make_app
from gateway.http.gate import Gate
from gateway.http.hypercorn.connection import chunk
from gateway.http.hypercorn.front import Front
from gateway.intake.floods import Floods
from gateway.intake.intake import Intake
from gateway.intake.rejections import Rejections
from gateway.intake.repeats.receipts import Receipts
from gateway.intake.repeats.repeats import Repeats
from gateway.intake.repeats.retained import Retained
from gateway.log import Deposit, Log
from gateway.log.sqlite.budget import DiskBudget
from gateway.log.sqlite.schema import refuse_newer_segments
from gateway.mqtt.client import stable_client_id
from gateway.mqtt.facts import Facts
from gateway.mqtt.session import Session
from gateway.stream.readiness import Readiness, Told
from gateway.stream.sources import Sources
from gateway.stream.streams import Streams

SAVE_INTERVAL_S = 5.0
"""How often what changed of our session with the broker is saved."""

TRIM_INTERVAL_S = 10.0
SILENCE_INTERVAL_S = 1.0


DEVICES = "devices.sqlite3"


def refuse_newer_files(folder: Path) -> None:
    """Raise DataError, with nothing changed, when a SQLite file in the data folder is a newer gateway's.

    The small JSON files say so themselves when they are read.
    """
    refuse_newer_segments(folder / "log")
    refuse_newer(folder / DEVICES, DEVICES_VERSION)


class Kept:
    """What lies in the data folder beside the log. Making it blocks.

    ``states`` and ``position`` are what the device store holds. Raises LogError or DataError for files of a newer
    gateway; nothing is changed then.
    """

    def __init__(self, config: Config) -> None:
        folder, client_id = Path(config.log.folder), stable_client_id(config)
        broker = config.broker().address
        self.facts = Facts(folder, broker, client_id)
        self.retained = Retained(folder, broker, client_id)
        self.devices = DeviceStore(folder / DEVICES)
        self.states, self.position = self.devices.load()


class Stations:
    """All of them, made and joined; nothing runs before `works`. ``receipts`` are those that the log's opening found."""

    def __init__(  # noqa: PLR0913, PLR0917 - what was opened, and what all stations share
        self,
        config: Config,
        log: Log,
        receipts: bytes,
        kept: Kept,
        budget: DiskBudget,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._log, self._kept, self._budget, self._clock = log, kept, budget, clock
        self._registry = Registry(config.limits, clock)
        self._registry.load(kept.states, kept.position)
        self.catch_up = CatchUp(log, self._registry, clock)
        self._presence = Presence(self._registry, config.devices, config.units)
        self._intake = self._join_intake(config, Receipts(receipts), counters)
        self._session = Session(config, counters, clock, kept.facts, self._intake, log.commits.hurry)
        log.commits.on_room(self._session.resume)
        readiness = Readiness(self._faults, self._warnings)
        # The first streams are told the truth at once, not with the first tick.
        readiness.look()
        sources = Sources(log, self._registry, readiness, counters, clock)
        self.streams = Streams(sources, config.http, chunk)
        exposition = Exposition(counters, self._gauges())
        gate = Gate(make_app(sources, exposition), self.streams.serve, config.http, sources)
        self.front = Front(gate, clock)
        self._saver = DeviceSaver(self._registry, kept.devices, clock, budget.account())
        self._files, self._files_account = ThreadPoolExecutor(1, "state-files"), budget.account()

    def _join_intake(self, config: Config, receipts: Receipts, counters: Counters) -> Intake:
        decoder, registry = make_decoder(config), self._registry
        floods = Floods(decoder.payer, registry, counters, config.log.max_waiting_messages)
        repeats = Repeats(decoder.decode, receipts, self._kept.retained, registry, counters)
        return Intake(self._log, floods, repeats, self._presence, Rejections(counters, self._clock))

    def works(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs as long as the gateway does, by name; none of it ends by itself but by a fault."""
        return {
            "session": self._listen(),
            "streams": self.streams.run(),
            "trim": self._trim_forever(),
            "silence": self._watch_silence(),
            "save": self._save_forever(),
            "devices": self._saver.run(),
        }

    async def close(self) -> None:
        """Commit what waits, save what changed, and close the log."""
        await self._log.commits.drain()
        await self._save_files()
        await self._saver.close()
        self._files.shutdown(wait=False)
        await self._log.close()

    # --- what is told ------------------------------------------------------------------------------------------------

    def _faults(self) -> Told:
        faults: Told = {
            "devices": self.catch_up.fault,
            "ingest": self._session.fault,
            "append": self._log.commits.failing,
        }
        return {station: fault for station, fault in faults.items() if fault}

    def _warnings(self) -> Told:
        return {"ingest": self._session.warning} if self._session.warning else {}

    def _gauges(self) -> dict[str, Callable[[], float]]:
        log, budget = self._log, self._budget
        return {
            "streams": lambda: len(self.streams),
            "stream_lag_max": self.streams.max_lag,
            "devices": lambda: len(self._registry),
            "broker_connected": lambda: self._session.connected_since_s is not None,
            "ready": lambda: not self._faults(),
            "log_head": lambda: log.head,
            "log_floor": lambda: log.floor,
            "log_bytes": lambda: log.size().bytes,
            "log_segments": lambda: log.size().segments,
            "log_written_bytes_per_day": lambda: budget.look().bytes_per_day,
            "log_written_bytes_per_reading": lambda: budget.look().bytes_per_reading,
            "log_fsyncs_per_day": lambda: budget.look().fsyncs_per_day,
            "commit_interval_ms": lambda: budget.look().interval_ms,
            "tail_bytes": lambda: log.tail_bytes,
            "waiting_messages": lambda: log.commits.waiting,
        }

    # --- what runs ---------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """First the devices are known, then the broker is asked for messages."""
        await self.catch_up.run()
        await self._session.run()

    async def _trim_forever(self) -> None:
        while True:
            await asyncio.sleep(TRIM_INTERVAL_S)
            await self._log.trim()

    async def _watch_silence(self) -> None:
        while True:
            await asyncio.sleep(SILENCE_INTERVAL_S)
            now, since_s = self._clock.now(), self._session.connected_since_s
            self._intake.tell_overflows(now.wall_ms)
            if since_s is not None:
                for draft in self._presence.silent(now, since_s):
                    self._log.append(Deposit([draft], messages=0))

    async def _save_forever(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            await self._save_files()

    async def _save_files(self) -> None:
        """One after the other, and never on the log's writer thread: a slow disk must not delay a commit."""
        for keeper in (self._kept.facts, self._kept.retained):
            if write := keeper.changes():
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._files, self._files_account.counted, write)
