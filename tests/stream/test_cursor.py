"""A cursor by itself: no stream around it, no time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.devices.registry import Registry
from gateway.log import Log
from gateway.selection import ALL
from gateway.stream.cursor import Cursor
from gateway.stream.plan import Plan
from gateway.stream.readiness import Readiness, Told
from tests.event_source import EventSource
from tests.log.parts import append, draft, until
from tests.stream.parts import blocks_of, sources_of, stream_of


class Learning(Registry):
    """Reads the log for its devices until `learned`."""

    def __init__(self) -> None:
        super().__init__()
        self.learned = False

    @property
    def is_current(self) -> bool:
        return self.learned


@pytest.fixture
def registry(log: Log) -> Learning:
    registry = Learning()
    log.listeners.append(registry.apply)
    return registry


def types(*pieces: bytes) -> list[str]:
    source = EventSource()
    source.feed(b"".join(pieces))
    return [event.type for event in source.events]


async def test_a_cursor_goes_from_its_position_to_the_head_piece_by_piece(log: Log) -> None:
    start = log.head
    entries = await append(log, *[draft(n) for n in range(3)])
    cursor = Cursor(sources_of(log), Plan(ALL, start), start, 2)
    assert ["hello"] == types(*cursor.opening(b""))
    assert [True, b"".join(entry.frame for entry in entries[:2])] == [cursor.is_behind, await cursor.next_piece()]
    assert ["message", "live"] == types(await cursor.next_piece())
    assert (False, True, log.head, b"") == (
        cursor.is_behind, cursor.is_live, cursor.position, await cursor.next_piece()
    )  # fmt: skip


async def test_news_comes_behind_hello_and_before_what_is_known(log: Log, registry: Learning) -> None:
    registry.learned = True
    await append(log, draft())
    pieces = Cursor(sources_of(log, registry), Plan(ALL), None, 9).opening(b"event: gateway\ndata: {}\n\n")
    assert ["hello", "gateway", "latest", "live"] == types(*pieces)


class TestWhileDevicesAreLearned:
    async def test_a_snapshot_waits_and_hello_does_not(self, log: Log, registry: Learning) -> None:
        await append(log, draft(1, "a"), draft(2, "b"))
        cursor = Cursor(sources_of(log, registry), Plan(ALL), None, 9)
        assert ["hello"] == types(*cursor.opening(b""))
        assert (b"", False, False) == (await cursor.next_piece(), cursor.is_behind, cursor.is_live)
        registry.learned = True
        assert ["latest", "latest", "live"] == types(await cursor.next_piece())
        (entry,) = await append(log, draft(3))
        assert entry.frame == await cursor.next_piece()

    @pytest.mark.parametrize("plan", [Plan(ALL, snapshot=False), Plan(ALL, 0)], ids=["declined", "replay"])
    async def test_a_stream_without_a_snapshot_waits_for_nothing(
        self, log: Log, registry: Learning, plan: Plan
    ) -> None:
        cursor = Cursor(sources_of(log, registry), plan, plan.start, 9)
        pieces = cursor.opening(b"")
        while not cursor.is_live:
            pieces.append(await cursor.next_piece())
        assert "live" == types(*pieces)[-1]

    async def test_a_stream_joins_nobody_until_then_and_is_woken_by_the_change_of_readiness(
        self, log: Log, registry: Learning
    ) -> None:
        await append(log, draft())
        faults: Told = {"devices": "reading the log to learn of its devices"}
        readiness = Readiness(lambda: dict(faults))
        readiness.look()
        stream = stream_of(sources_of(log, registry, readiness))
        blocks = blocks_of(stream)
        assert ["hello", "gateway"] == types(await anext(blocks))
        later = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0.01)
        assert (False, False) == (later.done(), stream.in_crowd)
        registry.learned = True
        faults.clear()
        readiness.look()
        stream.wake()
        await until(later.done)
        assert ["gateway", "latest", "live"] == types(later.result())
        await blocks.aclose()
