"""Which readings a history holds, and whether it is honest about what is missing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.history.query import History, HistoryPlan
from gateway.log import Log
from gateway.reading import Draft, Place
from gateway.selection import select
from tests.http.parts import House, ask
from tests.log.parts import ONE_A_SEGMENT, append, draft, lose, open_log

EVERYTHING = HistoryPlan(None, None, None, frozenset(), 10_000, None)
FOR_EVER_S = 10**10
"""A retention by age that takes nothing, though the tests' readings arrived in 1970."""


async def log_of(folder: Path, *times: int, **options: Any) -> Log:
    """Readings of `a` that arrived at ``times``, each in a segment of its own."""
    options = {"segment_bytes": ONE_A_SEGMENT, "retention_age_s": FOR_EVER_S, **options}
    log = await open_log(folder, **options)
    for number, at in enumerate(times):
        await append(log, draft(number, at=at))
    return log


async def found(log: Log, plan: HistoryPlan) -> tuple[list[Any], bool]:
    """The values, and whether they are called complete."""
    history = await History.find(log, select(["a"]), plan)
    values = [next(iter(reading["values"].values())) async for page in history.pages() for reading in page]
    return values, history.complete


class TestLimit:
    """A limit counts what is sent."""

    async def test_three_held_readings_of_a_door_are_found_behind_many_of_another_metric(self, log: Log) -> None:
        await append(
            log, *[draft(n, metric="open") for n in range(3)], *[draft(n, metric="battery") for n in range(50)]
        )
        answer = (await ask(House(log).gate, "/api/devices/a/readings?metric=open&limit=10")).json()
        assert [0, 1, 2] == [reading["values"]["open"] for reading in answer["readings"]]
        assert True is answer["complete"]

    @settings(max_examples=60, deadline=None)
    @given(
        said=st.lists(
            st.tuples(
                st.sampled_from(["reading", "reading", "device", "alert"]),
                st.dictionaries(
                    st.sampled_from(["x", "y", 'a"b', "$", "."]), st.integers(0, 9), min_size=1, max_size=2
                ),
            ),
            max_size=14,
        ),
        metrics=st.frozensets(st.sampled_from(["x", 'a"b', "$", ".", "none"]), max_size=2),
        limit=st.integers(1, 6),
    )
    async def test_it_keeps_the_newest_readings_that_have_a_wanted_metric(
        self, tmp_path_factory: pytest.TempPathFactory, said: Any, metrics: frozenset[str], limit: int
    ) -> None:
        log = await open_log(tmp_path_factory.mktemp("log"))
        texts = [json.dumps({"device": "a", "at": 7, "values": values}, separators=(",", ":")) for _, values in said]
        await append(log, *[Draft(kind, "a", 7, text.encode()) for (kind, _), text in zip(said, texts, strict=True)])
        fitting = [
            {metric: value for metric, value in values.items() if metric in metrics or not metrics}
            for kind, values in said
            if kind == "reading"
        ]
        fitting = [values for values in fitting if values]
        history = await History.find(log, select(["a"]), EVERYTHING._replace(metrics=metrics, limit=limit))
        readings = [reading["values"] async for page in history.pages() for reading in page]
        assert (fitting[-limit:], len(fitting) <= limit) == (readings, history.complete)
        await log.close()


class TestComplete:
    """`complete` is true only when all that was asked for is held."""

    async def trimmed(self, folder: Path) -> Log:
        """Of readings at 10, 20, 30 and 40 ms only the last is held."""
        log = await log_of(folder, 10, 20, 30, 40, retention_bytes=0)
        await log.trim()
        return log

    @pytest.mark.parametrize("since", [0, 15, 30])
    async def test_not_since_a_time_of_which_retention_took_some(self, tmp_path: Path, since: int) -> None:
        log = await self.trimmed(tmp_path)
        assert ([3], False) == await found(log, EVERYTHING._replace(since_ms=since))
        assert ([], False) == await found(log, EVERYTHING._replace(since_ms=since and 15, until_ms=35))
        await log.close()

    async def test_since_a_time_after_all_that_retention_took(self, tmp_path: Path) -> None:
        log = await self.trimmed(tmp_path)
        assert [([3], True), ([3], True), ([], True)] == [
            await found(log, EVERYTHING._replace(since_ms=since)) for since in (31, 40, 41)
        ]
        await log.close()
        # Opened again, all that was trimmed is still known to be gone.
        log = await open_log(tmp_path, retention_age_s=FOR_EVER_S)
        assert [([3], False), ([3], True)] == [await found(log, EVERYTHING._replace(since_ms=s)) for s in (30, 31)]
        await log.close()

    async def test_without_bounds_everything_held_is_complete(self, tmp_path: Path) -> None:
        log = await self.trimmed(tmp_path)
        assert ([3], True) == await found(log, EVERYTHING)
        assert ([], True) == await found(log, EVERYTHING._replace(until_ms=25))
        await log.close()

    async def test_not_after_a_position_below_the_floor(self, tmp_path: Path) -> None:
        log = await self.trimmed(tmp_path)
        assert ([3], False) == await found(log, EVERYTHING._replace(after=log.floor - 1))
        assert ([3], True) == await found(log, EVERYTHING._replace(after=log.floor))
        await log.close()

    async def test_a_position_that_is_held_makes_up_for_a_time_that_is_not(self, tmp_path: Path) -> None:
        log = await self.trimmed(tmp_path)
        assert ([3], True) == await found(log, EVERYTHING._replace(since_ms=15, after=log.floor))
        assert ([3], False) == await found(log, EVERYTHING._replace(since_ms=15, after=log.floor - 1))
        await log.close()

    async def test_since_a_time_that_is_held(self, tmp_path: Path) -> None:
        log = await log_of(tmp_path, 10, 20, 30)
        assert ([1, 2], True) == await found(log, EVERYTHING._replace(since_ms=20))
        assert ([1], True) == await found(log, EVERYTHING._replace(since_ms=20, until_ms=20))
        await log.close()

    async def test_since_a_time_at_the_floor_of_which_nothing_is_gone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = await log_of(tmp_path, 10, 20)

        async def position_at(ms: int) -> Place:
            return Place(log.floor, is_whole=True)

        monkeypatch.setattr(log, "position_at", position_at)
        assert ([0, 1], True) == await found(log, EVERYTHING._replace(since_ms=5))
        await log.close()

    @pytest.mark.parametrize(("until", "values"), [(25, [0]), (15, [0]), (35, [0, 2]), (None, [0, 2, 3])])
    async def test_not_when_a_damaged_segment_lies_in_it_or_at_its_end(
        self, tmp_path: Path, until: int | None, values: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = await log_of(tmp_path, 10, 20, 30, 40, tail_bytes=1)
        lose(log, 1)
        exact = log.position_at

        async def position_at(ms: int) -> Place:
            return (await exact(ms))._replace(is_whole=False)

        monkeypatch.setattr(log, "position_at", position_at)
        assert (values, False) == await found(log, EVERYTHING._replace(until_ms=until))
        await log.close()

    @pytest.mark.parametrize("query", ["limit=9", "buckets=2", "format=ndjson", "format=csv", "metric=x"])
    async def test_every_format_says_what_it_can(self, tmp_path: Path, query: str) -> None:
        log = await self.trimmed(tmp_path)
        answer = await ask(House(log).gate, f"/api/devices/a/readings?since=15&{query}")
        if "format" in query:
            rows = list(csv.reader(io.StringIO(answer.text))) if "csv" in query else answer.text.splitlines()
            assert 1 == len(rows[1:] if "csv" in query else rows)
            assert str(log.head) == answer.headers["X-Position"]
        else:
            assert False is answer.json()["complete"]
        await log.close()


class TestBuckets:
    async def test_they_begin_with_the_oldest_reading_that_has_a_wanted_metric(self, log: Log) -> None:
        now = 1_900_000_000_000
        await append(
            log,
            draft(0, at=now, kind="device"),
            draft(1, at=now + 1000, metric="y"),
            draft(2, at=now + 5000),
            draft(3, at=now + 9000),
        )
        body = (await ask(House(log).gate, f"/api/devices/a/readings?buckets=2&metric=x&until={now + 10_000}")).json()
        assert [now + 5000, now + 7500] == [bucket["at"] for bucket in body["buckets"]]
        assert [2, 3] == [bucket["values"]["x"]["mean"] for bucket in body["buckets"]]

    async def test_without_a_reading_there_are_none(self, log: Log) -> None:
        await append(log, draft(0, kind="device"))
        body = (await ask(House(log).gate, "/api/devices/a/readings?buckets=2")).json()
        assert ([], True) == (body["buckets"], body["complete"])
