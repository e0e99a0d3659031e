from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.config import Http
from gateway.log import Log
from gateway.selection import select
from gateway.stream import crowd as crowd_module
from gateway.stream.crowd import Crowds
from gateway.stream.cursor import Cursor
from gateway.stream.plan import Plan
from gateway.stream.sources import Sources
from gateway.stream.stream import Stream as RealStream
from tests.event_source import EventSource
from tests.log.parts import append, draft, open_log, until
from tests.stream.parts import sources_of


class Line:
    """A connection that takes everything, until a test says otherwise."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.takes = self.is_open = True
        self._change = asyncio.Event()

    def write(self, chunk: bytes) -> bool:
        self.chunks.append(chunk)
        return self.takes and self.is_open

    def is_clear(self) -> bool:
        return self.takes and self.is_open

    async def drain(self) -> None:
        await self._change.wait()
        if not self.is_open:
            raise ConnectionResetError

    def go_on(self, *, is_open: bool = True) -> None:
        self.takes, self.is_open = True, is_open
        self._change.set()


class Connection:
    """With a line; what the stream puts itself is taken at once."""

    def __init__(self) -> None:
        self.line, self.own = Line(), []

    async def put(self, blocks: bytes) -> None:
        self.own.append(blocks)

    def cut(self) -> bool:
        return False


class Stream:
    """A stream with a line, driven by a task, as the server does."""

    def __init__(self, sources: Sources, settings: Http, crowds: Crowds, plan: Plan) -> None:
        connection = Connection()
        self.line, self.own = connection.line, connection.own
        self.cursor = Cursor(sources, plan, plan.start, settings.page_entries)
        self.real = RealStream(sources, settings, self.cursor, crowds, connection)
        self.task = asyncio.ensure_future(self.real.run())

    @property
    def ids(self) -> list[str]:
        """The readings that came through the line."""
        source = EventSource()
        source.feed(b"".join(self.line.chunks))
        return [event.id for event in source.of("message")]


class House:
    def __init__(self, log: Log, heartbeat_s: float, page_entries: int = 500) -> None:
        self.log, self.sources, self.streams = log, sources_of(log), []
        self.counters = self.sources.counters
        self.settings = Http(page_entries=page_entries, heartbeat_s=heartbeat_s)
        self.crowds = Crowds(self.sources, self.settings, bytes)
        self.serving = asyncio.ensure_future(self.crowds.serve_forever())

    async def open(self, *patterns: str, **plan: Any) -> Stream:
        """A stream that has joined its crowd, or sleeps by itself when it may not."""
        plan = {"snapshot": False, **plan}
        stream = Stream(self.sources, self.settings, self.crowds, Plan(select(list(patterns)), **plan))
        self.streams.append(stream)
        await until(lambda: stream.own and not stream.real.sending_since)
        await asyncio.sleep(0.002)
        return stream

    async def end(self) -> None:
        for task in [self.serving, *(stream.task for stream in self.streams)]:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
async def house(log: Log) -> AsyncIterator[House]:
    house = House(log, 60)
    yield house
    await house.end()
    assert [{}, {}] == [log._watches._groups, house.crowds._by_selection]


async def test_members_get_the_same_bytes_object_made_once(log: Log, house: House) -> None:
    streams = [await house.open("a") for _ in range(5)]
    read_before = house.log._counters.reads_total["tail"]
    entries = await append(log, draft(1, "a"), draft(2, "b"), draft(3, "a"))
    await until(lambda: all(stream.line.chunks for stream in streams))
    assert entries[0].frame + entries[2].frame == streams[0].line.chunks[0]
    assert 1 == len({id(stream.line.chunks[0]) for stream in streams})
    assert 1 == house.log._counters.reads_total["tail"] - read_before
    assert [log.head] * 5 == [stream.cursor.position for stream in streams]
    assert (5, 10) == (house.counters.shared_writes_total, house.counters.sent_entries_total)
    assert [1] * 5 == [len(stream.own) for stream in streams]


@pytest.mark.parametrize(
    "plan",
    [{"mode": "latest"}, {"interval_s": 1}, {"metrics": frozenset(["x"])}],
    ids=["latest", "interval", "metrics"],
)
async def test_what_a_stream_has_to_itself_is_sent_by_itself(log: Log, house: House, plan: dict[str, Any]) -> None:
    stream = await house.open("a", **plan)
    await append(log, draft(1))
    await until(lambda: len(stream.own) == 2)
    assert [] == stream.line.chunks


async def test_a_stream_that_replays_joins_when_it_has_caught_up(log: Log, house: House) -> None:
    start = log.head
    await append(log, *[draft(n) for n in range(3)])
    stream = await house.open("a", start=start)
    await until(lambda: stream.real.in_crowd)
    assert b"event: live" in stream.own[-1]
    (entry,) = await append(log, draft(4))
    await until(lambda: [entry.frame] == stream.line.chunks)


async def test_a_reader_that_is_behind_goes_on_alone_where_it_stood_and_comes_back(log: Log, house: House) -> None:
    slow, quick = await house.open("a"), await house.open("a")
    slow.line.takes = False
    (first,) = await append(log, draft(1))
    await until(lambda: slow.real.sending_since is not None)
    later = await append(log, draft(2), draft(3))
    await until(lambda: len(quick.line.chunks) == 2)
    assert ([first.frame], first.seq) == (slow.line.chunks, slow.cursor.position)
    slow.line.go_on()
    await until(lambda: slow.real.in_crowd)
    assert b"".join(entry.frame for entry in later) == slow.own[-1]
    (last,) = await append(log, draft(4))
    await until(lambda: len(slow.line.chunks) == 2)
    assert last.frame == slow.line.chunks[-1] == quick.line.chunks[-1]


async def test_a_reader_that_has_left_ends_its_stream(log: Log, house: House) -> None:
    stays, leaves = await house.open("a"), await house.open("a")
    leaves.line.go_on(is_open=False)
    await append(log, draft(1))
    await until(leaves.task.done)
    await append(log, draft(2))
    await until(lambda: len(stays.line.chunks) == 2)


async def test_a_stream_that_is_closed_says_bye_by_itself(log: Log, house: House) -> None:
    stream = await house.open("a")
    stream.real.close()
    await until(stream.task.done)
    assert stream.own[-1].startswith(b"event: bye")
    assert {} == house.crowds._by_selection


async def test_what_is_not_in_the_tail_sends_all_members_to_their_own_tasks(tmp_path: Any) -> None:
    log = await open_log(tmp_path)
    house = House(log, 60)
    streams = [await house.open("a*") for _ in range(3)]
    log._tail.floor = log.head + 1
    (entry,) = await append(log, draft(1))
    await until(lambda: all(stream.own[-1] == entry.frame for stream in streams))
    assert [[]] * 3 == [stream.line.chunks for stream in streams]
    await house.end()
    await log.close()


async def test_those_who_join_during_a_round_and_those_who_leave_miss_nothing(
    log: Log, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd_module, "SLICE_WRITES", 1)
    streams = [await house.open("a") for _ in range(5)]
    served = streams[0].line.write

    def write(chunk: bytes) -> bool:
        streams[3].task.cancel()
        return served(chunk)

    streams[0].line.write = write  # type: ignore[method-assign]
    (entry,) = await append(log, draft(1))
    late = await house.open("a", start=entry.seq - 1)
    await until(lambda: late.real.in_crowd and streams[4].line.chunks)
    (last,) = await append(log, draft(2))
    await until(lambda: all(stream.line.chunks[-1:] == [last.frame] for stream in (streams[0], streams[4], late)))
    assert [[entry.frame, last.frame]] * 4 == [streams[n].line.chunks for n in (0, 1, 2, 4)]
    assert ([], [last.frame]) == (streams[3].line.chunks, late.line.chunks)


async def test_more_than_a_page_comes_in_pages(log: Log) -> None:
    house = House(log, 60, page_entries=2)
    stream = await house.open("a")
    entries = await append(log, *[draft(n) for n in range(5)])
    await until(lambda: len(stream.ids) == 5)
    assert [str(entry.seq) for entry in entries] == stream.ids
    assert 3 == len(stream.line.chunks)
    await house.end()


async def test_a_round_that_took_long_is_followed_by_a_rest(
    log: Log, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd_module, "REST_S", (0.0, 0.05))
    stream = await house.open("a")
    served = stream.line.write
    at: list[float] = []

    def write(chunk: bytes) -> bool:
        at.append(time.monotonic())
        time.sleep(0.02)
        return served(chunk)

    stream.line.write = write  # type: ignore[method-assign]
    await append(log, draft(1))
    await until(lambda: at)
    await append(log, *[draft(n) for n in range(2, 5)])
    await until(lambda: len(stream.ids) == 4)
    assert at[1] - at[0] >= 0.04
    assert 2 == len(stream.line.chunks)


class TestHeartbeat:
    async def test_it_comes_when_nothing_was_sent_and_every_third_is_visible(self, log: Log, house: House) -> None:
        streams = [await house.open("a") for _ in range(2)]
        await append(log, draft(1, "b"))
        for round_ in range(3):
            house.crowds.beat(Clock().elapsed_s() + 60)
            await until(lambda round_=round_: all(len(stream.line.chunks) == round_ + 1 for stream in streams))
        quiet = b"id: %d\n\n" % log.head
        assert [quiet, quiet] == streams[0].line.chunks[:2]
        assert streams[0].line.chunks[2].startswith(b"event: heartbeat\nid: %d\n" % log.head)
        assert streams[0].line.chunks == streams[1].line.chunks

    async def test_it_is_not_sent_before_it_is_due(self, log: Log, house: House) -> None:
        stream = await house.open("a")
        house.crowds.beat(Clock().elapsed_s() + 59)
        await asyncio.sleep(0.01)
        assert [] == stream.line.chunks

    async def test_a_reading_begins_the_count_anew(self, log: Log, house: House) -> None:
        stream = await house.open("a")
        for _ in range(2):
            before = len(stream.line.chunks)
            house.crowds.beat(Clock().elapsed_s() + 60)
            await until(lambda before=before: len(stream.line.chunks) > before)
        await append(log, draft(1))
        await until(lambda: len(stream.line.chunks) == 3)
        house.crowds.beat(Clock().elapsed_s() + 60)
        await until(lambda: len(stream.line.chunks) == 4)
        assert b"id: %d\n\n" % log.head == stream.line.chunks[-1]

    async def test_a_lost_wake_is_repaired_by_it(self, log: Log, house: House) -> None:
        stream = await house.open("a")
        log._watches.wake = lambda devices: None  # type: ignore[method-assign]
        (entry,) = await append(log, draft(1))
        house.crowds.beat(Clock().elapsed_s() + 60)
        await until(lambda: [entry.frame] == stream.line.chunks)
