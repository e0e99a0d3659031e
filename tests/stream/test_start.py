from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Http
from gateway.log import Log
from gateway.reading import Place
from gateway.selection import ALL, select
from gateway.stream.plan import EARLIEST, Last, Plan, Since, Start
from gateway.stream.start import position_of
from gateway.stream.streams import Streams
from tests.event_source import EventSource
from tests.log.parts import ONE_A_SEGMENT, append, draft, lose, open_log, until
from tests.stream.parts import sources_of


class Browser:
    """A connection that takes everything."""

    line = None

    def __init__(self) -> None:
        self.source = EventSource()

    async def put(self, blocks: bytes) -> None:
        self.source.feed(blocks)

    def cut(self) -> bool:
        return False


async def told(log: Log, plan: Plan) -> EventSource:
    """What a stream says until it is live."""
    import asyncio

    browser = Browser()
    streams = Streams(sources_of(log), Http(), bytes)
    serving = asyncio.ensure_future(streams.serve(plan, browser))
    await until(lambda: browser.source.of("live"))
    serving.cancel()
    await asyncio.wait([serving])
    return browser.source


async def log_of(folder: Path, **options: Any) -> Log:
    """Four readings that arrived at 10, 20, 30 and 40 ms, each in a segment of its own."""
    log = await open_log(folder, segment_bytes=ONE_A_SEGMENT, **options)
    for number, at in enumerate((10, 20, 30, 40)):
        await append(log, draft(number, "ab"[number % 2], at))
    return log


@pytest.mark.parametrize(
    ("start", "place"),
    [(7, None), (EARLIEST, 0), (Last(1), 3), (Last(3), 1), (Last(99), 0), (Since(11), 1), (Since(41), 4)],
)
async def test_a_start_is_a_position(tmp_path: Path, start: Start, place: int | None) -> None:
    log = await log_of(tmp_path)
    expected = start if place is None else log.floor + place
    assert expected == await position_of(Plan(ALL, start), log)
    assert None is await position_of(Plan(ALL), log)
    await log.close()


async def test_a_count_counts_entries_of_the_selection(tmp_path: Path) -> None:
    log = await log_of(tmp_path)
    assert [2, 0] == [await position_of(Plan(select(["a"]), Last(n)), log) - log.floor for n in (1, 2)]
    await log.close()


class TestSince:
    """What was asked for by time and is gone is told (law 7)."""

    async def test_a_time_whose_entries_are_gone_begins_with_a_gap(self, tmp_path: Path) -> None:
        log = await log_of(tmp_path, retention_bytes=0, retention_age_s=10**10)
        await log.trim()
        source = await told(log, Plan(ALL, Since(15)))
        assert ["hello", "gap", "message", "live"] == [event.type for event in source.events]
        assert (log.floor, "expired") == (source.of("gap")[0].data["floor"], source.of("gap")[0].data["reason"])
        await log.close()

    async def test_a_time_that_is_held_begins_with_its_entries(self, tmp_path: Path) -> None:
        log = await log_of(tmp_path)
        source = await told(log, Plan(ALL, Since(20)))
        assert ["hello", "message", "message", "message", "live"] == [event.type for event in source.events]
        await log.close()

    async def test_a_time_at_the_floor_of_which_nothing_is_gone_has_no_gap(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = await log_of(tmp_path)
        monkeypatch.setattr(log, "position_at", held_from(log.floor, is_whole=True))
        source = await told(log, Plan(ALL, Since(5)))
        assert ["hello", *["message"] * 4, "live"] == [event.type for event in source.events]
        await log.close()

    async def test_a_hole_further_on_is_told_where_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        log = await log_of(tmp_path, tail_bytes=1)
        lose(log, 2)
        monkeypatch.setattr(log, "position_at", held_from(log.floor + 1, is_whole=False))
        source = await told(log, Plan(ALL, Since(20)))
        assert ["hello", "message", "gap", "message", "live"] == [event.type for event in source.events]
        await log.close()


def held_from(position: int, *, is_whole: bool) -> Any:
    async def position_at(_ms: int) -> Place:
        return Place(position, is_whole)

    return position_at


@settings(max_examples=40, deadline=None)
@given(
    metrics=st.lists(st.sampled_from(["x", "y", 'q"', "$.x"]), max_size=12),
    wanted=st.frozensets(st.sampled_from(["x", 'q"', "$.x", "none"]), max_size=2),
    count=st.integers(1, 6),
    mode=st.sampled_from(["every", "latest"]),
)
async def test_a_count_is_of_entries_that_are_sent(
    tmp_path_factory: pytest.TempPathFactory, metrics: list[str], wanted: frozenset[str], count: int, mode: Any
) -> None:
    log = await open_log(tmp_path_factory.mktemp("log"))
    escaped = [metric.replace('"', '\\"') for metric in metrics]
    await append(log, *[draft(n, metric=metric) for n, metric in enumerate(escaped)])
    source = await told(log, Plan(ALL, Last(count), mode, metrics=wanted))
    fitting = [n for n, metric in enumerate(metrics) if not wanted or metric in wanted]
    readings = [event.data for event in source.of("message")]
    assert min(count, len(fitting)) == sum(each.get("merged", 1) for each in readings)
    if mode == "every":
        assert fitting[-count:] == [next(iter(each["values"].values())) for each in readings]
    await log.close()
