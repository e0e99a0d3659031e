from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.log import Log
from gateway.log.sqlite import query
from gateway.log.sqlite import reader as reader_module
from gateway.reading import Gap, Wanted
from gateway.selection import ALL, select
from tests.log.parts import ONE_A_SEGMENT, append, delete, draft, gaps, open_log, overwrite, read_all, segments, seqs


async def log_of(folder: Path, *times: int) -> Log:
    """One entry a segment, of the devices a and b by turns, and nothing in the tail."""
    log = await open_log(folder, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
    for number, at in enumerate(times):
        await append(log, draft(number, "ab"[number % 2], at))
    return log


class TestPositions:
    async def test_a_time_finds_its_position_over_all_segments(self, tmp_path: Path) -> None:
        log = await log_of(tmp_path, 10, 20, 20, 30)
        begin = log.floor
        found = [(await log.position_at(ms)).position - begin for ms in (0, 10, 11, 20, 21, 30, 31)]
        assert [0, 0, 1, 1, 3, 3, 4] == found
        await log.close()

    async def test_the_time_of_an_empty_log_is_its_floor(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        assert log.floor == (await log.position_at(2**40)).position
        await log.close()

    async def test_only_readings_with_a_wanted_metric_are_counted_over_all_segments(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
        drafts = [draft(0, metric="x"), draft(1, metric="y"), draft(2, kind="device"), draft(3, metric="y")]
        entries = [entry for each in drafts for entry in await append(log, each)]
        wanted = [Wanted("reading", frozenset("x")), Wanted(None, frozenset("x")), Wanted("reading"), Wanted()]
        found = [await log.oldest_of(ALL, count, log.head, each) for each in wanted for count in (1, 2)]
        assert [entries[n].seq if n is not None else None for n in (0, None, 2, 0, 3, 1, 3, 2)] == found
        await log.close()

    async def test_too_few_entries_have_no_oldest(self, tmp_path: Path) -> None:
        log = await log_of(tmp_path, 10, 20, 30)
        assert None is await log.oldest_of(ALL, 4, log.head)
        assert log.head - 1 == await log.oldest_of(ALL, 1, log.head - 1)
        await log.close()

    @settings(max_examples=20, deadline=None)
    @given(
        counts=st.lists(st.integers(0, 12), min_size=1, max_size=4),
        patterns=st.sampled_from([[], ["a"], ["b*"], ["c"]]),
        count=st.integers(1, 30),
        below=st.integers(0, 45),
        above=st.integers(0, 45),
    )
    async def test_any_count_is_found_however_short_the_looks(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        counts: list[int],
        patterns: list[str],
        count: int,
        below: int,
        above: int,
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reader_module, "FIRST_LOOK", 2)
            patch.setattr(query, "SCAN_ENTRIES", 5)
            log = await open_log(tmp_path_factory.mktemp("log"), segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
            logged = [e for each in counts for e in await append(log, *[draft(n, "ab"[n % 2]) for n in range(each)])]
            end, after = log.head - below, log.floor + above
            fitting = [e.seq for e in logged if e.device in select(patterns) and after < e.seq <= end]
            found = await log.oldest_of(select(patterns), count, end, after=after)
            assert (fitting[-count] if len(fitting) >= count else None) == found
            await log.close()

    async def test_positions_are_found_around_a_damaged_segment(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
        for at in (10, 20, 30):
            await append(log, *[draft(n, at=at + n % 5) for n in range(300)])
        overwrite(segments(tmp_path)[1])
        assert log.floor + 300 == (await log.position_at(22)).position
        assert [log.floor + 300] == [gap[0] for gap in gaps(await read_all(log, log.floor))]
        await log.close()


class TestLooks:
    async def test_a_stream_looks_at_few_entries_first_and_then_at_more_and_more(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader_module, "FIRST_LOOK", 10)
        monkeypatch.setattr(query, "SCAN_ENTRIES", 100)
        log = await open_log(tmp_path, tail_bytes=1)
        # The last one is of the device, else it would be known without a look that nothing of it is there.
        await append(log, *[draft(n) for n in range(399)], draft(device="b"))
        begin = position = log.floor
        reached = []
        while position < log.head:
            position = (await log.read(position, select(["b"]), 500)).position  # type: ignore[union-attr] # no gap here
            reached.append(position - begin)
        assert [10, 30, 70, 150, 250, 350, 400] == reached
        await log.close()

    async def test_a_read_of_everything_looks_at_its_page_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader_module, "FIRST_LOOK", 1)
        log = await open_log(tmp_path, tail_bytes=1)
        await append(log, *[draft(n) for n in range(20)])
        assert 10 == len((await log.read(log.floor, ALL, 10)).entries)  # type: ignore[union-attr] # no gap here
        await log.close()

    async def test_what_is_remembered_of_reads_is_bounded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader_module, "MAX_LOOKS", 5)
        log = await open_log(tmp_path, tail_bytes=1)
        await append(log, *[draft(n) for n in range(20)])
        for position in range(log.floor, log.head):
            await log.read(position, ALL, 1)
        assert 5 == len(log._store._reader._looks)
        await log.close()


class TestTrouble:
    async def test_a_segment_that_cannot_be_opened_now_is_read_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader_module, "RETRY_S", 0.001)
        log = await log_of(tmp_path, 10, 20, 30)
        start, path = log.floor, segments(tmp_path)[0]
        away = path.rename(path.with_suffix(".away"))
        path.mkdir()
        page = await log.read(start, ALL, 10)
        assert ([], start) == (page.entries, page.position)
        assert 1 == log._counters.read_failures_total
        path.rmdir()
        away.rename(path)
        assert [start + 1, start + 2, start + 3] == seqs(await read_all(log, start))
        await log.close()

    @pytest.mark.parametrize(("place", "harm", "left"), [(0, overwrite, 2), (2, delete, 3)], ids=["oldest", "newest"])
    async def test_damage_that_several_readers_find_is_set_aside_once(
        self, tmp_path: Path, place: int, harm: Callable[[Path], None], left: int
    ) -> None:
        """The newest segment is replaced, as something must be written to."""
        log = await log_of(tmp_path, 10, 20, 30)
        start = log.floor
        harm(segments(tmp_path)[place])
        found = await asyncio.gather(*[log.read(start + place, ALL, 10) for _ in range(5)])
        assert [Gap(start + place, start + place + 1, start + 3, "corrupt")] * 5 == found
        assert (1, left) == (log._counters.segments_corrupt_total, log.size().segments)
        (entry,) = await append(log, draft())
        assert [entry.seq] == seqs(await read_all(log, start + 3))
        await log.close()

    async def test_a_reader_that_leaves_while_damage_is_set_aside_leaves_the_log_sound(self, tmp_path: Path) -> None:
        for turns in range(12):
            folder = tmp_path / str(turns)
            log = await log_of(folder, 10, 20, 30)
            start = log.floor
            segments(folder)[2].unlink()
            reading = asyncio.ensure_future(log.read(start + 2, ALL, 10))
            for _ in range(turns):
                await asyncio.sleep(0.0003)
            reading.cancel()
            (entry,) = await append(log, draft())
            told = await read_all(log, start)
            lost = {seq for asked, floor, _ in gaps(told) for seq in range(asked + 1, floor + 1)}
            assert {start + 1, start + 2, start + 3, entry.seq} == lost | set(seqs(told))
            await log.close()
