from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.config import Http
from gateway.devices.registry import Registry
from gateway.log import Deposit, Log
from gateway.selection import ALL, select
from gateway.stream import cursor as cursor_module
from gateway.stream.bit import Bit
from gateway.stream.plan import Plan
from gateway.stream.readiness import Readiness
from gateway.stream.sources import Sources
from tests.event_source import EventSource
from tests.log.parts import ONE_A_SEGMENT, append, draft, lose, open_log
from tests.stream.parts import blocks_of, sources_of, stream_of

PACE = Http()


class Stream:
    """One stream and the browser that reads it; nothing is taken from it but by `take`."""

    def __init__(self, sources: Sources, plan: Plan, pace: Http) -> None:
        self.counters = sources.counters
        self.real = stream_of(sources, plan, pace)
        self.cursor = self.real.cursor
        self.source = EventSource()
        self.pieces: list[bytes] = []
        self.blocks: Any = blocks_of(self.real)
        self.asked: asyncio.Future[bytes] | None = None

    async def take(self, timeout_s: float = 1) -> bytes:
        """The next piece; empty when none comes in time, and then it stays asked for."""
        if self.asked is None:
            self.asked = asyncio.ensure_future(anext(self.blocks))
        done, _ = await asyncio.wait([self.asked], timeout=timeout_s)
        if not done:
            return b""
        piece, self.asked = self.asked.result(), None
        self.pieces.append(piece)
        self.source.feed(piece)
        return piece

    async def take_until(self, event: str) -> Stream:
        while not self.source.of(event):
            assert await self.take()
        return self

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.source.events]

    @property
    def values(self) -> list[int]:
        return [next(iter(event.data["values"].values())) for event in self.source.of("message")]

    async def leave(self) -> None:
        if self.asked is not None:
            self.asked.cancel()
            await asyncio.wait([self.asked])
        await self.blocks.aclose()


@pytest.fixture
def registry(log: Log) -> Registry:
    registry = Registry()
    log.listeners.append(registry.apply)
    return registry


@pytest.fixture
async def open_(log: Log, registry: Registry) -> AsyncIterator[Callable[..., Stream]]:
    """Opens streams of `log`; all of them leave at the end, and none leaves a watch behind."""
    streams: list[Stream] = []

    def make(*patterns: str, pace: Http = PACE, **plan: Any) -> Stream:
        streams.append(Stream(sources_of(log, registry), Plan(select(list(patterns)), **plan), pace))
        return streams[-1]

    yield make
    for stream in streams:
        await stream.leave()
    assert {} == log._watches._groups


Open = Callable[..., Stream]


class Taking:
    """A connection whose reader takes every piece in the next turn of the loop."""

    line = None

    async def put(self, blocks: bytes) -> None:
        await asyncio.sleep(0)

    def cut(self) -> bool:
        return False


class TestOpening:
    async def test_a_stream_at_the_head_begins_with_hello_what_is_known_and_live(self, log: Log, open_: Open) -> None:
        await append(log, draft(1, "b"), draft(2, "a"))
        stream = open_()
        piece = await stream.take()
        assert ["hello", "latest", "latest", "live"] == stream.types
        assert ["a", "b"] == [event.data["device"] for event in stream.source.of("latest")]
        assert piece.startswith(b"retry: ")
        hello = stream.source.events[0]
        assert (log.head, log.floor, log.head, "every") == tuple(
            hello.data[key] for key in ("position", "floor", "head", "mode")
        )
        assert str(log.head) == hello.id == stream.source.last_event_id
        assert {"position": log.head} == stream.source.of("live")[0].data

    async def test_a_snapshot_can_be_declined(self, log: Log, open_: Open) -> None:
        await append(log, draft())
        stream = open_(snapshot=False)
        await stream.take()
        assert ["hello", "live"] == stream.types

    async def test_a_stream_that_replays_has_no_snapshot_and_says_when_it_is_live(self, log: Log, open_: Open) -> None:
        start = log.head
        await append(log, draft(1), draft(2))
        stream = await open_(start=start).take_until("live")
        assert ["hello", "message", "message", "live"] == stream.types

    async def test_a_stream_that_comes_back_at_the_head_has_no_snapshot(self, log: Log, open_: Open) -> None:
        await append(log, draft())
        stream = open_(start=log.head)
        await stream.take()
        assert ["hello", "live"] == stream.types

    async def test_a_snapshot_is_of_the_selection_and_of_the_wanted_metrics(self, log: Log, open_: Open) -> None:
        await append(log, draft(1, "a"), draft(2, "a", metric="y"), draft(3, "b"), draft(4, "k/c"))
        stream = open_("a", "k/*", metrics=frozenset(["y"]))
        await stream.take()
        assert [("a", ["y"])] == [
            (event.data["device"], list(event.data["values"])) for event in stream.source.of("latest")
        ]

    async def test_a_large_snapshot_comes_in_pieces_and_is_exact_at_one_position(
        self, log: Log, open_: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cursor_module, "CHUNK_BYTES", 500)
        await append(log, *[draft(1, f"d{n:02}") for n in range(20)])
        stream = open_()
        await stream.take()
        head = log.head
        await append(log, *[draft(2, f"d{n:02}") for n in range(20)])
        await stream.take_until("live")
        assert len(stream.pieces) > 3
        assert [1] * 20 == [event.data["values"]["x"]["value"] for event in stream.source.of("latest")]
        while len(stream.values) < 20:
            assert await stream.take()
        assert list(range(head + 1, head + 21)) == [int(event.id) for event in stream.source.of("message")]

    async def test_latest_blocks_carry_no_id(self, log: Log, open_: Open) -> None:
        await append(log, draft())
        piece = await open_().take()
        (block,) = [block for block in piece.split(b"\n\n") if block.startswith(b"event: latest")]
        assert b"id:" not in block

    async def test_the_reconnect_delay_is_a_clients_own(self, open_: Open) -> None:
        streams = [open_(pace=Http(retry_min_ms=1, retry_max_ms=10**6)) for _ in range(5)]
        for stream in streams:
            await stream.take()
        assert 1 < len({stream.source.reconnection_ms for stream in streams})


class TestReplayAndLive:
    async def test_live_is_said_exactly_once(self, log: Log, open_: Open) -> None:
        start = log.head
        await append(log, draft(1))
        stream = await open_(start=start).take_until("live")
        for value in range(5):
            await append(log, draft(value))
            await stream.take()
        assert 1 == len(stream.source.of("live"))

    async def test_live_is_said_also_when_nothing_of_its_devices_was_replayed(self, log: Log, open_: Open) -> None:
        start = log.head
        await append(log, draft(1, "b"))
        stream = await open_("a", start=start).take_until("live")
        assert (["hello", "live"], {"position": log.head}) == (stream.types, stream.source.events[-1].data)

    async def test_live_is_said_after_a_gap_that_ends_at_the_head(self, log: Log, open_: Open) -> None:
        stream = await open_(start=0).take_until("live")
        assert ["hello", "gap", "live"] == stream.types

    async def test_a_position_above_the_head_is_told_and_starts_again_at_the_floor(self, log: Log, open_: Open) -> None:
        await append(log, draft(7))
        stream = await open_(start=log.head + 5).take_until("live")
        assert (["hello", "gap", "message", "live"], "ahead") == (
            stream.types,
            stream.source.of("gap")[0].data["reason"],
        )

    async def test_pages_are_no_larger_than_asked_for(self, log: Log, open_: Open) -> None:
        start = log.head
        await append(log, *[draft(n) for n in range(7)])
        stream = await open_(start=start, pace=Http(page_entries=3)).take_until("live")
        assert [0, 3, 3, 1] == [piece.count(b'"values"') for piece in stream.pieces]

    async def test_a_reader_that_stops_gets_all_that_came_meanwhile(self, log: Log, open_: Open) -> None:
        stream = open_()
        await stream.take()
        for value in range(30):
            await append(log, draft(value))
        while len(stream.values) < 30:
            assert await stream.take()
        assert list(range(30)) == stream.values

    async def test_entries_of_other_devices_move_the_position_untold_until_a_heartbeat(
        self, log: Log, open_: Open
    ) -> None:
        stream = open_("a", pace=Http(heartbeat_s=0.05))
        await stream.take()
        assert not await stream.take(0.005)
        await append(log, draft(1, "b"))
        await asyncio.sleep(0.06)
        stream.real.wake_if_due(Clock().elapsed_s())
        assert b"id: %d\n\n" % log.head == await stream.take()

    async def test_only_the_wanted_metrics_are_sent(self, log: Log, open_: Open) -> None:
        stream = open_(metrics=frozenset(["y"]))
        await stream.take()
        await append(log, draft(1, metric="x"), draft(2, metric="y"))
        await stream.take()
        assert [2] == stream.values

    async def test_what_was_sent_is_counted(self, log: Log, open_: Open) -> None:
        stream = open_(start=0)
        await append(log, draft(1), draft(2))
        await stream.take_until("live")
        stream.real.close()
        await stream.take()
        with pytest.raises(StopAsyncIteration):
            await anext(stream.blocks)
        counters = stream.counters
        assert (2, {"expired": 1}) == (counters.sent_entries_total, dict(counters.gaps_total))
        assert sum(map(len, stream.pieces)) == counters.sent_bytes_total

    async def test_it_tells_since_when_its_reader_is_waited_for(self, log: Log, open_: Open) -> None:
        stream = open_()
        await stream.take()
        assert stream.real.sending_since is not None
        assert not await stream.take(0.02)
        assert None is stream.real.sending_since


class TestHeartbeat:
    async def test_nothing_is_sent_before_it_is_due(self, log: Log, open_: Open) -> None:
        stream = open_(pace=Http(heartbeat_s=60))
        await stream.take()
        stream.real.wake_if_due(Clock().elapsed_s() + 59)
        assert b"" == await stream.take(0.03)

    async def test_it_fires_nothing_and_moves_the_last_id(self, log: Log, open_: Open) -> None:
        stream = open_("a", pace=Http(heartbeat_s=0.02))
        await stream.take()
        assert not await stream.take(0.005)
        await append(log, draft(1, "b"))
        await asyncio.sleep(0.03)
        stream.real.wake_if_due(Clock().elapsed_s())
        before = len(stream.source.events)
        assert b"id: %d\n\n" % log.head == await stream.take()
        assert (before, str(log.head)) == (len(stream.source.events), stream.source.last_event_id)

    async def test_every_third_in_a_row_is_an_event_with_data(self, log: Log, open_: Open) -> None:
        stream = open_(pace=Http(heartbeat_s=0.02))
        await stream.take()
        seen = []
        for _ in range(6):
            assert not await stream.take(0.03)
            stream.real.wake_if_due(Clock().elapsed_s())
            seen.append((await stream.take()).startswith(b"event: heartbeat\n"))
        assert [False, False, True, False, False, True] == seen

    async def test_it_beats_on_while_a_long_interval_runs(self, log: Log, open_: Open) -> None:
        stream = open_(interval_s=60, pace=Http(heartbeat_s=0.02))
        await stream.take()
        await append(log, draft(1))
        await stream.take()
        position = log.head
        await append(log, draft(2))
        for _ in range(2):
            assert not await stream.take(0.03)
            stream.real.wake_if_due(Clock().elapsed_s())
            assert b"id: %d\n\n" % position == await stream.take()

    async def test_one_that_is_late_is_no_harm(self, log: Log, open_: Open) -> None:
        stream = open_(pace=Http(heartbeat_s=0.03))
        await stream.take()
        assert not await stream.take(0.005)
        await asyncio.sleep(0.04)
        stream.real.wake_if_due(Clock().elapsed_s())
        stream.real.wake_if_due(Clock().elapsed_s())
        assert b"id: %d\n\n" % log.head == await stream.take()
        await append(log, draft(1))
        assert b"data: " in await stream.take()


class TestInterval:
    async def test_what_gathers_is_sent_together_at_its_end(self, log: Log, open_: Open) -> None:
        stream = open_(interval_s=0.15)
        await stream.take()
        await append(log, draft(0))
        await stream.take()
        began = time.monotonic()
        for value in range(1, 4):
            await append(log, draft(value))
        piece = await stream.take()
        assert (3, [0, 1, 2, 3]) == (piece.count(b'"values"'), stream.values)
        assert 0.1 < time.monotonic() - began < 0.5

    async def test_a_reading_after_a_quiet_interval_is_sent_at_once(self, log: Log, open_: Open) -> None:
        stream = open_(interval_s=0.05)
        await stream.take()
        await append(log, draft(0))
        await stream.take()
        assert not await stream.take(0.08)
        began = time.monotonic()
        await append(log, draft(1))
        assert await stream.take()
        assert time.monotonic() - began < 0.05

    async def test_many_readings_cost_few_turns(self, log: Log, open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = open_(interval_s=0.3)
        await stream.take()
        await append(log, draft(0))
        await stream.take()
        cleared = 0
        clear = Bit.clear

        def count(bit: Bit) -> None:
            nonlocal cleared
            cleared += 1
            clear(bit)

        monkeypatch.setattr(Bit, "clear", count)
        taking = asyncio.ensure_future(stream.take())
        while not taking.done():
            log._watches.wake(["a"])
            await asyncio.sleep(0.001)
            if cleared == 2:
                log.append(Deposit([draft(1)]))
        assert cleared < 15


class TestLatest:
    async def test_what_waits_is_sent_as_the_newest_of_each_metric(self, log: Log, open_: Open) -> None:
        stream = open_(mode="latest")
        await stream.take()
        await append(log, *[draft(n, "ab"[n % 2], metric="xy"[n // 2 % 2]) for n in range(40)])
        piece = await stream.take()
        told = {event.data["device"]: event.data for event in stream.source.of("message")}
        assert {"a": {"x": 36, "y": 38}, "b": {"x": 37, "y": 39}} == {name: told[name]["values"] for name in told}
        assert ([20, 20], 38) == ([told[name]["merged"] for name in told], stream.counters.conflated_total)
        assert (1, str(log.head)) == (piece.count(b"id: "), stream.source.last_event_id)

    async def test_one_reading_is_sent_as_it_is(self, log: Log, open_: Open) -> None:
        stream = open_(mode="latest")
        await stream.take()
        (entry,) = await append(log, draft(1))
        assert entry.frame == await stream.take()

    async def test_all_pages_up_to_the_head_are_one_piece(self, log: Log, open_: Open) -> None:
        start = log.head
        await append(log, *[draft(n) for n in range(50)])
        stream = await open_(mode="latest", start=start, pace=Http(page_entries=7)).take_until("live")
        assert ([49], 2) == (stream.values, len(stream.pieces))

    async def test_a_stream_far_behind_shows_something_soon(
        self, log: Log, open_: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cursor_module, "MAX_CONFLATED", 20)
        start = log.head
        await append(log, *[draft(n) for n in range(50)])
        stream = await open_(mode="latest", start=start, pace=Http(page_entries=10)).take_until("live")
        assert [19, 39, 49] == stream.values

    async def test_a_gap_comes_after_what_lies_before_it(self, tmp_path: Any) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
        start = log.head
        for value in range(4):
            await append(log, draft(value))
        lose(log, 2)
        stream = Stream(sources_of(log), Plan(ALL, start, "latest"), Http())
        await stream.take_until("live")
        assert ["hello", "message", "gap", "message", "live"] == stream.types
        assert ([1, 3], start + 2) == (stream.values, stream.source.of("gap")[0].data["asked"])
        await stream.leave()
        await log.close()

    async def test_readings_without_the_wanted_metrics_send_nothing(self, log: Log, open_: Open) -> None:
        stream = open_(mode="latest", metrics=frozenset(["y"]))
        await stream.take()
        await append(log, draft(1), draft(2))
        assert b"" == await stream.take(0.03)
        assert log.head == stream.cursor.position


class TestEnd:
    async def take_bye(self, stream: Stream) -> None:
        stream.real.close()
        piece = await stream.take()
        assert piece.startswith(b"event: bye\nretry: ")
        assert {"reason": "stopping"} == stream.source.events[-1].data
        with pytest.raises(StopAsyncIteration):
            await anext(stream.blocks)

    async def test_a_stream_at_the_head_says_bye(self, log: Log, open_: Open) -> None:
        stream = open_()
        await stream.take()
        assert not await stream.take(0.02)
        await self.take_bye(stream)

    async def test_a_stream_that_replays_says_bye(self, log: Log, open_: Open) -> None:
        start = log.head
        await append(log, *[draft(n) for n in range(10)])
        stream = open_(start=start, pace=Http(page_entries=1))
        for _ in range(3):
            await stream.take()
        await self.take_bye(stream)
        assert [0, 1] == stream.values

    async def test_a_stream_that_rests_says_bye_soon(self, log: Log, open_: Open) -> None:
        stream = open_(interval_s=60)
        await stream.take()
        await append(log, draft(1))
        await stream.take()
        assert not await stream.take(0.02)
        await self.take_bye(stream)

    async def test_a_stream_that_is_closed_before_it_began_says_hello_and_bye(self, log: Log, open_: Open) -> None:
        stream = open_()
        stream.real.close()
        await stream.take()
        await self.take_bye(stream)
        assert ["hello", "live", "bye"] == stream.types

    async def test_a_bye_is_not_kept_from_a_reader_by_readings(self, log: Log, open_: Open) -> None:
        stream = open_()
        await stream.take()
        await append(log, draft(1))
        await self.take_bye(stream)
        assert str(log.head - 1) == stream.source.last_event_id

    async def test_a_stream_that_never_began_leaves_nothing_behind(self, log: Log, open_: Open) -> None:
        open_()
        assert {} == log._watches._groups

    @pytest.mark.parametrize("turns", range(12))
    async def test_a_stream_that_is_left_at_any_await_leaves_no_watch_behind(self, tmp_path: Any, turns: int) -> None:
        log = await open_log(tmp_path, tail_bytes=1)
        start = log.head
        await append(log, *[draft(n) for n in range(20)])
        for plan in (Plan(ALL, start), Plan(ALL, start, interval_s=9), Plan(ALL, start, "latest"), Plan(ALL)):
            stream = stream_of(log, plan, Http(page_entries=3))
            stream._connection = Taking()

            async def read(stream: Any = stream) -> None:
                await stream.run()

            reading = asyncio.ensure_future(read())
            for _ in range(turns):
                await asyncio.sleep(0.0002)
            reading.cancel()
            await asyncio.wait([reading])
            assert ({}, True) == (log._watches._groups, reading.cancelled())
        await log.close()

    async def test_a_fast_replay_can_be_cancelled(self, log: Log, registry: Registry) -> None:
        start = log.head
        await append(log, *[draft(n) for n in range(2000)])
        taken = 0

        class AtOnce(Taking):
            async def put(self, blocks: bytes) -> None:
                nonlocal taken
                taken += 1

        async def read() -> None:
            stream = stream_of(sources_of(log, registry), Plan(ALL, start), Http(page_entries=1))
            stream._connection = AtOnce()
            await stream.run()

        reading = asyncio.ensure_future(read())
        await asyncio.sleep(0.002)
        reading.cancel()
        await asyncio.wait([reading])
        assert 0 < taken < 2000
        await asyncio.sleep(0.01)
        assert {} == log._watches._groups

    async def test_a_long_search_lets_others_have_their_turn(self, log: Log, open_: Open) -> None:
        start = log.head
        await append(log, *[draft(n, "b") for n in range(30_000)])
        stream = open_("nobody*", start=start)
        await stream.take()
        turns = 0
        taking = asyncio.ensure_future(stream.take())
        while not taking.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 3
        assert ["hello", "live"] == stream.types


async def test_what_stands_in_the_way_is_told_at_the_beginning_and_when_it_changes(log: Log) -> None:
    faults: dict[str, str] = {"ingest": "no broker"}
    readiness = Readiness(lambda: dict(faults))
    readiness.look()
    stream = stream_of(sources_of(log, readiness=readiness))
    async with aclosing(blocks_of(stream)) as blocks:
        first = await anext(blocks)
        assert first.index(b"event: hello") < first.index(b"event: gateway") < first.index(b"event: live")
        faults.clear()
        readiness.look()
        stream.wake()
        second = await anext(blocks)
        assert b'event: gateway\ndata: {"status":"ready","faults":{},"warnings":{}}\n\n' == second
        await append(log, draft())
        assert b"id: " in await anext(blocks), "and the stream goes on"


async def test_a_stream_that_finds_all_well_says_nothing_of_it(log: Log) -> None:
    async with aclosing(blocks_of(stream_of(log))) as blocks:
        assert b"event: gateway" not in await anext(blocks)
