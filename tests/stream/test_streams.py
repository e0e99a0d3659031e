"""All open streams: what their one timer does, by a clock that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.clock import Clock
from gateway.config import Http
from gateway.devices.registry import Registry
from gateway.log import Log
from gateway.selection import ALL
from gateway.stream.plan import Plan
from gateway.stream.readiness import Readiness, Told
from gateway.stream.streams import Streams
from tests.event_source import EventSource
from tests.log.parts import append, draft, until
from tests.stream.parts import sources_of

SETTINGS = Http(heartbeat_s=15, send_timeout_s=30, max_streams=3)


class SetClock(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.s = 1000.0

    def elapsed_s(self) -> float:
        return self.s

    def wall_ms(self) -> int:
        return int(self.s * 1000)


class Browser:
    """A connection without a line, whose reader takes everything until ``takes`` is cleared."""

    line = None

    def __init__(self) -> None:
        self.source, self.body, self.cuts = EventSource(), b"", 0
        self.takes = asyncio.Event()
        self.takes.set()

    async def put(self, blocks: bytes) -> None:
        self.body += blocks
        self.source.feed(blocks)
        await self.takes.wait()

    def cut(self) -> bool:
        self.cuts += 1
        self.takes.set()
        return self.cuts == 1


class Learning(Registry):
    """Reads the log for its devices until `learned`."""

    learned = False

    @property
    def is_current(self) -> bool:
        return self.learned


class House:
    def __init__(self, log: Log) -> None:
        self.clock, self.registry = SetClock(), Learning()
        self.faults: Told = {}
        readiness = Readiness(lambda: dict(self.faults))
        self.sources = sources_of(log, self.registry, readiness)._replace(clock=self.clock)
        self.streams = Streams(self.sources, SETTINGS, bytes)
        self.tasks: list[asyncio.Task[None]] = []

    async def open(self, event: str = "live") -> Browser:
        browser = Browser()
        self.tasks.append(asyncio.create_task(self.streams.serve(Plan(ALL), browser)))
        await until(lambda: browser.source.of(event))
        await asyncio.sleep(0)
        return browser

    async def tick(self, seconds: float) -> None:
        self.clock.s += seconds
        self.streams._tick(self.clock.s)
        await asyncio.sleep(0.005)


@pytest.fixture
async def house(log: Log) -> AsyncIterator[House]:
    house = House(log)
    house.registry.learned = True
    log.listeners.append(house.registry.apply)
    yield house
    for task in house.tasks:
        task.cancel()
    await asyncio.wait(house.tasks)
    assert (0, {}) == (len(house.streams), log._watches._groups)


async def test_a_quiet_stream_gets_a_heartbeat_when_it_is_due(log: Log, house: House) -> None:
    browser = await house.open()
    before = browser.body
    await house.tick(14)
    assert before == browser.body
    await house.tick(1)
    assert before + b"id: %d\n\n" % log.head == browser.body


async def test_a_reader_that_takes_nothing_is_cut_and_counted_once(log: Log, house: House) -> None:
    browser, beside = await house.open(), await house.open()
    browser.takes.clear()
    await append(log, draft())
    await until(lambda: browser.source.of("message"))
    await house.tick(30)
    assert 0 == browser.cuts
    await house.tick(1)
    assert (1, 0, 1) == (browser.cuts, beside.cuts, house.sources.counters.streams_cut_total)


async def test_what_stands_in_the_way_is_told_to_all_when_it_changes(house: House) -> None:
    browsers = [await house.open() for _ in range(3)]
    house.faults["ingest"] = "no broker"
    await house.tick(1)
    await house.tick(1)
    assert [1] * 3 == [len(browser.source.of("gateway")) for browser in browsers]


async def test_a_stream_that_came_while_devices_were_learned_is_live_when_they_are_known(
    log: Log, house: House
) -> None:
    await append(log, draft(device="a"), draft(device="b"))
    house.registry.learned = False
    house.faults["devices"] = "reading the log to learn of its devices"
    house.sources.readiness.look()
    browser = await house.open("gateway")
    await house.tick(1)
    assert ["hello", "gateway"] == [event.type for event in browser.source.events]
    house.registry.learned = True
    house.faults.clear()
    await house.tick(1)
    assert ["gateway", "latest", "latest", "live"] == [event.type for event in browser.source.events[2:]]


async def test_above_the_limit_a_stream_is_told_to_come_back_later(house: House) -> None:
    for _ in range(3):
        await house.open()
    refused = await house.open("bye")
    assert {"reason": "busy"} == refused.source.of("bye")[0].data
    assert (3, 1) == (len(house.streams), house.sources.counters.streams_refused_total)


async def test_at_the_end_all_say_bye_and_those_that_take_nothing_are_cut(log: Log, house: House) -> None:
    taking, stalled = await house.open(), await house.open()
    stalled.takes.clear()
    await append(log, draft())
    await until(lambda: stalled.source.of("message"))
    closing = asyncio.create_task(house.streams.close(0.3))
    await until(lambda: taking.source.of("bye"))
    while not closing.done():
        house.clock.s += 0.1
        await asyncio.sleep(0.01)
    assert (0, 1) == (taking.cuts, stalled.cuts)
    late = await house.open("bye")
    assert {"reason": "stopping"} == late.source.of("bye")[0].data
