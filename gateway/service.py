"""One running gateway: opens what it needs, joins the stations, serves, and ends all of it in the right order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from pathlib import Path

from gateway.clock import Clock
from gateway.config import Config
from gateway.counters import Counters
from gateway.errors import LogError
from gateway.http.hypercorn.server import address_of, allow_files, hypercorn_config, listen, serve_until
from gateway.log import Log
from gateway.log.sqlite.budget import DiskBudget
from gateway.log.sqlite.store import open_store
from gateway.mqtt import embedded
from gateway.stations import Kept, Stations, refuse_newer_files

STREAM_PATIENCE_S = 0.3
"""At the end streams end themselves, hundreds in this time; those that do not are of readers that take nothing, and are cut."""


class Gateway:
    """Use as ``await Gateway(config).run(stop)``; ``address`` and ``stations`` are there once ``serving`` is set."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.counters = Counters()
        self.serving = asyncio.Event()
        self.address = ""
        self.stations: Stations | None = None
        self._clock = Clock()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set. Raises LogError, DataError, BrokerError or ServeError when it cannot begin."""
        allow_files(self.config.http.max_streams)
        listening = listen(self.config.http)
        broker = None
        try:
            self.stations = stations = await self._open()
            await stations.catch_up.begin()
            if not self.config.mqtt.broker and not stop.is_set():
                broker = await embedded.start(self.config.embedded_broker)
            if not stop.is_set():
                await self._serve(stations, listening, broker, stop)
        finally:
            listening.close()
            if self.stations is not None:
                await self.stations.close()
            if broker is not None:
                await broker.stop()

    async def _open(self) -> Stations:
        """Open what is kept on disk; files of a newer gateway are refused before anything is written."""
        folder, log = Path(self.config.log.folder), self.config.log
        try:
            await asyncio.to_thread(lambda: folder.mkdir(parents=True, exist_ok=True))
        except OSError as error:
            raise LogError(f"log.folder {folder} cannot be used: {error.strerror}") from error
        # Before anything is opened: to open a file changes what lies beside it.
        await asyncio.to_thread(refuse_newer_files, folder)
        kept = await asyncio.to_thread(Kept, self.config)
        budget = DiskBudget(log, self.counters, self._clock)
        opened = await open_store(folder / "log", log, self.counters, self._clock, budget, kept.position)
        try:
            return Stations(
                self.config, Log(opened, log, self.counters), opened.receipts, kept, budget, self.counters, self._clock
            )
        except BaseException:
            # A file for TLS that cannot be used, for one: the log must end in order all the same.
            await opened.store.close()
            raise

    async def _serve(
        self,
        stations: Stations,
        listening: socket.socket,
        broker: embedded.RunningBroker | None,
        stop: asyncio.Event,
    ) -> None:
        http = self.config.http
        address, serving = address_of(listening, http), hypercorn_config(listening, http)
        works = stations.works()
        if broker is not None:
            works["broker"] = broker.keep()
        background = [asyncio.create_task(work, name=name) for name, work in works.items()]

        async def stopping() -> None:
            await _first(stop.wait(), *background)
            await stations.streams.close(STREAM_PATIENCE_S)

        self.address = address
        self.serving.set()
        try:
            await serve_until(stations.front, serving, stopping)
        finally:
            for task in background:
                task.cancel()
            results = await asyncio.gather(*background, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


async def _first(stop: Awaitable[object], *background: asyncio.Task[None]) -> None:
    """Return when told to stop, or when a background task ends: none of them should, so it has failed."""
    stopped = asyncio.ensure_future(stop)
    await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
