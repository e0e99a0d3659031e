"""One running gateway: makes the stations, joins them, and ends them in the right order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from gateway.clock import Clock
from gateway.config import Config
from gateway.counters import Counters, Exposition
from gateway.decode import Decoder, Limits
from gateway.devices.catch_up import CatchUp
from gateway.devices.presence import Listening, Presence
from gateway.devices.registry import Registry
from gateway.devices.saver import DeviceSaver
from gateway.devices.store import DeviceStore
from gateway.errors import LogError
from gateway.http.app import make_app
from gateway.http.gate import Gate
from gateway.http.hypercorn.connection import chunk
from gateway.http.hypercorn.front import Front
from gateway.http.hypercorn.server import address_of, allow_files, hypercorn_config, listen, serve_until
from gateway.intake.intake import Intake
from gateway.log import Deposit, Log, LogSettings
from gateway.log.sqlite.written import thread_bytes
from gateway.mqtt import embedded
from gateway.mqtt.session import Session
from gateway.stream.readiness import Readiness, Told
from gateway.stream.sources import Sources
from gateway.stream.streams import Streams

_log = logging.getLogger(__name__)

SAVE_INTERVAL_S = 5.0
"""How often what changed of our session with the broker is saved."""

TRIM_INTERVAL_S = 10.0
SILENCE_INTERVAL_S = 1.0

PACKET_IDS = 65_535
"""All packet ids of MQTT. mosquitto 2.0 keeps no window where messages have queued for us: for each PUBACK it sends as many
as the window holds, so after a kill it may send again thousands that are in the log."""

STREAM_PATIENCE_S = 0.3
"""At the end streams end themselves, hundreds in this time; those that do not are of readers that take nothing, and are cut."""


def log_settings(config: Config) -> LogSettings:
    """The log's settings out of the whole configuration."""
    log = config.log
    return LogSettings(
        folder=Path(log.folder) / "log",
        durability=log.durability,  # type: ignore[arg-type] # the choices are the durabilities
        commit_interval_ms=log.commit_interval_ms,
        commit_interval_max_ms=log.commit_interval_max_ms,
        write_budget_bytes_per_day=log.write_budget_bytes_per_day,
        commit_messages=max(1, min(config.mqtt.window // 2, 500)),
        segment_bytes=log.segment_bytes,
        segment_age_s=log.segment_age_s,
        retention_bytes=log.retention_bytes,
        retention_age_s=log.retention_age_s,
        tail_bytes=log.tail_bytes,
        max_waiting_messages=log.max_waiting_messages,
        packet_window=PACKET_IDS,
    )


class Gateway:
    """Use as ``await Gateway(config).run(stop)``; `address` is known once ``serving`` is set."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = Clock()
        self.counters = Counters()
        self.registry = Registry(config.limits, self.clock)
        self.serving = asyncio.Event()
        self.address = ""
        self._device_store = DeviceStore(Path(config.log.folder) / "devices.sqlite3")
        limits = config.limits
        self._decoder = Decoder(
            config.patterns(),
            Limits(
                limits.max_payload_bytes,
                limits.max_depth,
                limits.max_metrics,
                limits.max_readings,
                limits.max_text_bytes,
                limits.max_device_bytes,
            ),
        )
        self.log: Log
        self._presence = Presence(self.registry, config.devices, config.units)
        self._catch_up: CatchUp
        self._device_saver: DeviceSaver
        self._intake: Intake
        self._session: Session

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set. Raises LogError, BrokerError or ServeError when it cannot begin."""
        allow_files(self.config.http.max_streams)
        listening = listen(self.config.http)
        broker = None
        try:
            await self._open_log()
            if not self.config.mqtt.broker and not stop.is_set():
                broker = await embedded.start(self.config.embedded_broker)
            if not stop.is_set():
                await self._run_stations(listening, broker, stop)
        finally:
            listening.close()
            if hasattr(self, "log"):
                await self._close_log()
            if broker is not None:
                await broker.stop()

    async def _open_log(self) -> None:
        folder = Path(self.config.log.folder)
        try:
            await asyncio.to_thread(partial(folder.mkdir, parents=True, exist_ok=True))
            states, position = await asyncio.to_thread(self._device_store.load)
        except OSError as error:
            raise LogError(f"log.folder {folder} cannot be used: {error.strerror}") from error
        self.registry.load(states, position)
        self.log = await Log.open(log_settings(self.config), self.counters, position)
        self._catch_up = CatchUp(self.log, self.registry, self.clock)
        await self._catch_up.begin()
        self._device_saver = DeviceSaver(
            self.registry, self._device_store, self.clock, thread_bytes, self.log.spent
        )  # fmt: skip

    async def _listen(self) -> None:
        """The broker holds the messages until the devices are known."""
        await self._catch_up.run()
        await self._session.run()

    # --- running -----------------------------------------------------------------------------------------------------

    async def _run_stations(
        self, listening: socket.socket, broker: embedded.RunningBroker | None, stop: asyncio.Event
    ) -> None:
        http = self.config.http
        self._intake = Intake(
            self.log, self._decoder, self._presence, self.registry, self.counters, self.config.log.max_waiting_messages
        )
        self._session = self._intake.source = Session(self.config, self.counters, self._intake.take, self.log.now_ms)
        self._session.on_new_session = self.log.packets.clear
        self.log.on_room = self._session.resume
        readiness = Readiness(self._faults, self._warnings)
        # The first streams are told the truth at once, not with the first tick.
        readiness.look()
        sources = Sources(self.log, self.registry, readiness, self.counters, self.clock)
        streams = Streams(sources, http, chunk)
        exposition = Exposition(self.counters, self._gauges(streams))
        gate = Gate(make_app(sources, exposition), streams.serve, http, sources)
        front = Front(gate, self.clock)
        address, serving = address_of(listening, http), hypercorn_config(listening, http)
        works = {
            "session": self._listen(),
            "streams": streams.run(),
            "trim": self._trim_forever(),
            "silence": self._watch_silence(),
            "save": self._save_forever(),
            "devices": self._device_saver.run(),
        }
        if broker is not None:
            works["broker"] = broker.keep()
        background = [asyncio.create_task(work, name=name) for name, work in works.items()]

        async def stopping() -> None:
            await _first(stop.wait(), *background)
            await streams.close(STREAM_PATIENCE_S)

        self.address = address
        self.serving.set()
        try:
            await serve_until(front, serving, stopping)
        finally:
            for task in background:
                task.cancel()
            results = await asyncio.gather(*background, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _faults(self) -> Told:
        faults: Told = {}
        if self._catch_up.fault:
            faults["devices"] = self._catch_up.fault
        if self._session.fault:
            faults["ingest"] = self._session.fault
        if self.log.failing:
            faults["append"] = self.log.failing
        return faults

    def _warnings(self) -> Told:
        return {"ingest": self._session.warning} if self._session.warning else {}

    def _gauges(self, streams: Streams) -> dict[str, Callable[[], float]]:
        return {
            "streams": lambda: len(streams),
            "stream_lag_max": streams.max_lag,
            "devices": lambda: len(self.registry),
            "broker_connected": lambda: self._session.connected_since_ms is not None,
            "ready": lambda: not self._faults(),
            "log_head": lambda: self.log.head,
            "log_floor": lambda: self.log.floor,
            "log_bytes": lambda: self.log.disk_bytes,
            "log_segments": lambda: self.log.segments,
            "log_written_bytes_per_day": lambda: self.log.wear.bytes_per_day,
            "log_written_bytes_per_reading": lambda: self.log.wear.bytes_per_reading,
            "log_fsyncs_per_day": lambda: self.log.wear.fsyncs_per_day,
            "commit_interval_ms": lambda: self.log.wear.interval_ms,
            "tail_bytes": lambda: self.log.tail_bytes,
            "waiting_messages": lambda: self.log.waiting,
        }

    async def _trim_forever(self) -> None:
        while True:
            await asyncio.sleep(TRIM_INTERVAL_S)
            await self.log.trim()

    async def _watch_silence(self) -> None:
        listening = Listening()
        while True:
            await asyncio.sleep(SILENCE_INTERVAL_S)
            self._intake.tell_overflows()
            now = self.clock.now()
            since_s = listening.since_s(self._session.connected_since_ms, now.elapsed_s)
            if since_s is not None:
                for draft in self._presence.silent(now, since_s):
                    self.log.append(Deposit([draft], messages=0))

    async def _save_forever(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            await self._save_session()

    async def _save_session(self) -> None:
        if hasattr(self, "_session") and (write := self._session.changes()):
            await self.log.in_writer(write)

    async def _close_log(self) -> None:
        await self.log.drain()
        await self._save_session()
        await self._device_saver.close()
        await self.log.close()


async def _first(stop: Awaitable[object], *background: asyncio.Task[None]) -> None:
    """Return when told to stop, or when a background task ends: none of them should, so it has failed."""
    stopped = asyncio.ensure_future(stop)
    await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
