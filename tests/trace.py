"""Traces the real thing: which files one PUBLISH passes on its way to a stream, and one GET on its way to its first bytes.

``python -m tests.trace`` prints both ways; ``--write`` puts them into `docs/design.md`.

A real gateway runs in this process, with a real mosquitto, a device that is known and a stream that is live. Each call of a
function in ``gateway/`` is noted while one message, or one request, is under way. A station is a folder (or a file that
stands alone). It is entered when a call comes into it from another station, or when the event loop or a thread calls it and
the call before was in another one; returns are no entries.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from gateway.config import load
from gateway.service import Gateway
from tests.conftest import ROOT, Mosquitto, free_port, need

PACKAGE = str(ROOT / "gateway") + "/"
PAGE = ROOT / "docs/design.md"
TOPIC = "sensors/boiler/temperature"


class Way(NamedTuple):
    """Files in the order first entered, and how often each station was entered."""

    files: list[str]
    entries: Counter[str]


class Tracer:
    """Notes calls into the gateway's files, on all threads, between `start` and `stop`."""

    def __init__(self) -> None:
        self._files: dict[str, None] = {}
        self._entries: Counter[str] = Counter()
        self._last, self._is_noting = "", False
        # Threads must have it from their first call on.
        threading.setprofile(self._note)

    def start(self) -> None:
        """Note calls from now on."""
        self._files, self._entries, self._last, self._is_noting = {}, Counter(), "", True
        sys.setprofile(self._note)

    def stop(self) -> Way:
        """What was called since the start."""
        sys.setprofile(None)
        self._is_noting = False
        return Way(list(self._files), self._entries)

    def close(self) -> None:
        """Threads that begin from now on are left alone."""
        threading.setprofile(None)

    def _note(self, frame: Any, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if not self._is_noting or event != "call" or not name.startswith(PACKAGE):
            return
        file = name.removeprefix(PACKAGE)
        self._files.setdefault(file)
        station = station_of(file)
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(PACKAGE):
            caller = caller.f_back
        before = station_of(caller.f_code.co_filename.removeprefix(PACKAGE)) if caller is not None else self._last
        if station != before:
            self._entries[station] += 1
        self._last = station


def station_of(file: str) -> str:
    """The folder, or the file itself where it stands alone."""
    return file.rpartition("/")[0] or file


@contextlib.asynccontextmanager
async def running(broker: Mosquitto, folder: Path) -> AsyncIterator[int]:
    """A gateway that serves on the port that is given."""
    port = free_port()
    overrides = [("mqtt.broker", broker.url), ("http.port", str(port)), ("log.folder", str(folder))]
    gateway, stop = Gateway(load(None, overrides, {})), asyncio.Event()
    run = asyncio.create_task(gateway.run(stop))
    while not gateway.serving.is_set() or gateway.stations is None or gateway.stations._faults():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    yield port
    stop.set()
    await run


async def publish(broker: Mosquitto, value: str) -> None:
    command = [need("mosquitto_pub", "mosquitto-clients"), "-p", str(broker.port), "-q", "1", "-t", TOPIC, "-m", value]
    await asyncio.to_thread(subprocess.run, command, check=True)


async def trace(broker: Mosquitto, folder: Path) -> tuple[Way, Way]:
    """The way of a PUBLISH and the way of a GET."""
    tracer = Tracer()
    async with running(broker, folder) as port:
        await publish(broker, "1")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"event: live")
        await publish(broker, "2")
        await reader.readuntil(b'"temperature":2')
        await asyncio.sleep(1.2)  # until the stream is in its crowd and nothing is under way
        published = await traced(tracer, publish(broker, "3"), reader, b'"temperature":3')
        other, sending = await asyncio.open_connection("127.0.0.1", port)
        request = b"GET /api/stream?device=boiler HTTP/1.1\r\nHost: localhost\r\n\r\n"
        asked = await traced(tracer, write(sending, request), other, b"event: live")
        for each in (writer, sending):
            each.close()
    tracer.close()
    return published, asked


async def write(writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)


async def traced(tracer: Tracer, work: Any, reader: asyncio.StreamReader, awaited: bytes) -> Way:
    """What is called while ``work`` is done, until the reader has got what it waits for."""
    doing = asyncio.create_task(work)
    tracer.start()
    try:
        await reader.readuntil(awaited)
    finally:
        way = tracer.stop()
    await doing
    return way


def told(way: Way) -> str:
    """As the page has it: a line for each station in the order first entered, with its files."""
    stations: dict[str, list[str]] = {}
    for file in way.files:
        stations.setdefault(station_of(file), []).append(file.rpartition("/")[2])
    lines = [f"{place}. `{name}`: {', '.join(files)}" for place, (name, files) in enumerate(stations.items(), 1)]
    return f"{len(way.files)} files.\n\n" + "\n".join(lines) + "\n"


def filled(text: str, ways: dict[str, Way]) -> str:
    """The page with both ways between their marks."""
    for name, way in ways.items():
        text = re.sub(
            rf"(<!-- trace: {name} -->\n).*?(<!-- end -->)",
            lambda m, w=way: m[1] + told(w) + m[2],
            text,
            flags=re.DOTALL,
        )
    return text


def files_on_page(name: str) -> set[str]:
    """What the page says of a way, as paths in the package."""
    found = re.search(rf"<!-- trace: {name} -->\n(.*?)<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert found is not None
    files = set()
    for station, names in re.findall(r"^\d+\. `(.+?)`: (.+)$", found[1], re.MULTILINE):
        files |= {station if station.endswith(".py") else f"{station}/{each}" for each in names.split(", ")}
    return files


def main() -> None:
    """Print both ways; with ``--write`` into the page too."""
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder))
        try:
            published, asked = asyncio.run(trace(broker, Path(folder) / "data"))
        finally:
            broker.stop()
    for name, way in (("publish", published), ("stream", asked)):
        print(f"{name}: {told(way)}\nentered: {dict(way.entries)}\n")
    if "--write" in sys.argv:
        PAGE.write_text(filled(PAGE.read_text(), {"publish": published, "stream": asked}))


if __name__ == "__main__":
    main()
