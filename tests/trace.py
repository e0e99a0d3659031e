"""Traces the way of one PUBLISH to one SSE write, and of one GET /api/stream, through the real gateway.

``python -m tests.trace`` prints both ways, ``--write`` puts them into `docs/design.md` as well, between
``<!-- trace: NAME -->`` and ``<!-- end -->``.

A gateway runs in this process on a real mosquitto, warmed up: its device is known and online, and one stream of all devices
is live. Every call of a function of `gateway/` is noted, on every thread. Each way is traced `TURNS` times, and what happens
in every turn belongs to it: timers that run beside it are left out by that.

A station is a folder. It is entered when a function of it is called and the nearest caller of `gateway/` up the stack is in
another folder. A callback, a new task and a call on another thread have no such caller: there the call that was noted last
counts as the caller. A return, and a task that goes on after a wait, enter nothing. The files of the ground floor, directly
in `gateway/`, are used by all stations: they are listed, and no station of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import gateway
from gateway.config import load
from gateway.service import Gateway
from tests.conftest import Mosquitto, free_port, need

HOUSE = Path(gateway.__file__).parent
PAGE = HOUSE.parent / "docs/design.md"
MARKED = re.compile(r"(<!-- trace: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

TURNS = 7
TOPIC, PAYLOAD = "sensors/boiler", '{"temperature": 61.5}'
SETTLE_S = 0.1
"""From the bytes on the stream until the acknowledgement has surely gone out."""

PATIENCE_S = 30.0
GROUND = "ground floor"
LOOP = "the event loop/"
"""Stands for the caller of a callback, of a new task, and of a call on another thread."""

_RESUME_AFTER_WAIT = 3
"""The bits of RESUME's argument that are set where a generator or a task goes on (docs.python.org/3/library/dis.html)."""


class Crossing(NamedTuple):
    """A call from one station into another one: ``function`` of a file of ``station``."""

    origin: str
    station: str
    function: str


class Way(NamedTuple):
    """What one way takes: its files in the order first called, and its calls into other stations in their order.

    ``entered`` counts by file how often it is called from another file.
    """

    files: list[str]
    crossings: list[Crossing]
    entered: Counter[str]


class Tracer:
    """Notes calls while `noting`; made before the gateway, so that its threads are traced too."""

    def __init__(self) -> None:
        self._prefix = f"{HOUSE}/"
        self._calls: list[tuple[str | None, str, str]] = []
        self._is_noting = False

    def __enter__(self) -> Tracer:
        threading.setprofile(self._hook)
        sys.setprofile(self._hook)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _hook(self, frame: FrameType, event: str, _: Any) -> None:
        if not self._is_noting or event != "call" or not frame.f_code.co_filename.startswith(self._prefix):
            return
        if frame.f_code.co_code[frame.f_lasti + 1] & _RESUME_AFTER_WAIT:
            return
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(self._prefix):
            caller = caller.f_back
        self._calls.append((self._name(caller) if caller else None, self._name(frame), frame.f_code.co_qualname))

    def _name(self, frame: FrameType) -> str:
        return frame.f_code.co_filename.removeprefix(self._prefix)

    async def way(self, turn: Callable[[], Awaitable[None]]) -> Way:
        """What every one of `TURNS` turns takes."""
        ways = []
        for _ in range(TURNS):
            await asyncio.sleep(SETTLE_S)
            self._calls, self._is_noting = [], True
            await turn()
            self._is_noting = False
            ways.append(_counted(self._calls))
        return _common(ways)


def station_of(name: str) -> str:
    """The folder of a file of `gateway/`."""
    return name.rpartition("/")[0] or GROUND


def _counted(calls: list[tuple[str | None, str, str]]) -> Way:
    way, before = Way([], [], Counter()), ""
    for caller, name, function in calls:
        origin, before = caller or before or LOOP, name
        if name not in way.files:
            way.files.append(name)
        way.entered[name] += origin != name
        if station_of(name) not in {GROUND, station_of(origin)}:
            way.crossings.append(
                Crossing(station_of(caller or LOOP), station_of(name), function.replace(".<locals>", ""))
            )
    return way


def _common(ways: list[Way]) -> Way:
    files, entered = set(ways[0].files), ways[0].entered
    crossings = Counter(ways[0].crossings)
    for way in ways[1:]:
        files, entered, crossings = files & set(way.files), entered & way.entered, crossings & Counter(way.crossings)
    ordered = []
    for crossing in ways[0].crossings:
        if crossings[crossing]:
            crossings[crossing] -= 1
            ordered.append(crossing)
    return Way([name for name in ways[0].files if name in files], ordered, entered)


@contextlib.asynccontextmanager
async def running(broker: Mosquitto, folder: Path) -> AsyncIterator[int]:
    """A gateway on ``broker``; gives its port once readings can come in."""
    port = free_port()
    overrides = [("mqtt.broker", broker.url), ("http.port", str(port)), ("log.folder", str(folder / "data"))]
    stop, served = asyncio.Event(), Gateway(load(None, overrides, {}))
    run = asyncio.create_task(served.run(stop))
    await served.serving.wait()
    while not await _is_ready(port):  # noqa: ASYNC110 - it is asked over HTTP
        await asyncio.sleep(0.05)
    yield port
    stop.set()
    await run


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read(20)
    writer.close()
    return b" 200" in answer


async def _open(port: int, until: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a stream of all devices, and read until a text has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(until)
    return reader, writer


async def _publish(broker: Mosquitto) -> None:
    command = [
        need("mosquitto_pub", "mosquitto-clients"),
        "-p",
        str(broker.port),
        "-q",
        "1",
        "-t",
        TOPIC,
        "-m",
        PAYLOAD,
    ]
    process = await asyncio.create_subprocess_exec(*command)
    await process.wait()


async def traced(broker: Mosquitto, folder: Path) -> dict[str, Way]:
    """Both ways by name, ``publish`` and ``stream``."""
    with Tracer() as tracer:
        async with asyncio.timeout(PATIENCE_S), running(broker, folder) as port:
            reader, writer = await _open(port, b"event: live")

            async def publish() -> None:
                await _publish(broker)
                await reader.readuntil(b'"temperature":61.5')
                await asyncio.sleep(SETTLE_S)

            async def stream() -> None:
                _, opened = await _open(port, b"event: hello")
                opened.close()

            for _ in range(3):
                await publish()
                await stream()
            ways = {"publish": await tracer.way(publish), "stream": await tracer.way(stream)}
            writer.close()
    return ways


def shown(way: Way) -> str:
    """A way as the page has it."""
    lines = ["| station | files |", "| --- | --- |"]
    for station in dict.fromkeys(map(station_of, way.files)):
        names = ", ".join(f"`{name}`" for name in way.files if station_of(name) == station)
        lines.append(f"| {station} | {names} |")
    lines += ["", f"{len(way.files)} files. The calls from one station into another, in their order:", ""]
    lines += [f"1. {each.origin} → {each.station}: `{each.function}`" for each in way.crossings]
    return "\n".join(lines) + "\n"


def files_in_page(name: str) -> set[str]:
    """The files that the page lists for a way."""
    part = next(found[0] for found in MARKED.finditer(PAGE.read_text()) if found[2] == name)
    return set(re.findall(r"`([\w/]+\.py)`", part))


def main() -> None:
    """Trace, print, and write the page if asked to."""
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder))
        try:
            ways = asyncio.run(traced(broker, Path(folder)))
        finally:
            broker.stop()
    for name, way in ways.items():
        print(f"{name}\n\n{shown(way)}")
        print("files entered from another file, by number:", dict(way.entered.most_common()), "\n")
    if "--write" in sys.argv[1:]:
        PAGE.write_text(MARKED.sub(lambda found: found[1] + shown(ways[found[2]]) + found[3], PAGE.read_text()))


if __name__ == "__main__":
    main()
