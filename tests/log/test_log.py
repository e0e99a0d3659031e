from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.log import Deposit, Log, group_commit
from gateway.log.sqlite import opening, segment, survey
from gateway.reading import Entry, Gap, Page
from gateway.selection import ALL, select
from tests.log.parts import (
    ONE_A_SEGMENT,
    append,
    crash,
    delete,
    draft,
    fast_folder,
    gaps,
    halve,
    no_file_grows,
    open_log,
    overwrite,
    packet_ids,
    read_all,
    receipt,
    segments,
    seqs,
    until,
    wal_of,
    zero_header,
)
from tests.log.sqlite.parts import opened


class TestAppendAndRead:
    async def test_an_empty_log_has_its_floor_at_its_head(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        assert log.floor == log.head
        assert Page([], log.head) == await log.read(log.head, ALL, 10)
        await log.close()

    async def test_what_was_appended_is_read_from_the_tail_and_from_disk_alike(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        start = log.head
        made = await append(log, *[draft(n, "ab"[n % 2]) for n in range(10)])
        of_b = [entry for entry in made if entry.device == "b"]
        assert of_b == await read_all(log, start, select(["b"]), 2)
        await log.close()
        log = await open_log(tmp_path)
        assert of_b == await read_all(log, start, select(["b"]), 2)
        await log.close()

    async def test_reads_are_counted_by_where_they_come_from(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, tail_bytes=900)
        start = log.head
        await append(log, *[draft(n) for n in range(10)])
        await log.read(start, ALL, 10)
        await log.read(log.head - 1, ALL, 10)
        assert {"segments": 1, "tail": 1} == dict(log._counters.reads_total)
        await log.close()

    async def test_entries_are_counted_by_kind(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        await append(log, draft(), draft(), draft(kind="device"))
        assert {"reading": 2, "device": 1} == dict(log._counters.entries_total)
        await log.close()

    async def test_a_watch_is_set_after_the_head_has_moved(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        bit, start = asyncio.Event(), log.head
        watch = log.watch(select(["a"]), bit.set)
        log.append(Deposit([draft()]))
        await asyncio.wait_for(bit.wait(), 1)
        assert start + 1 == log.head
        watch.close()
        await log.close()

    async def test_a_stream_of_a_quiet_device_needs_no_disk(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, tail_bytes=1)
        start = log.head
        await append(log, *[draft(n, "busy") for n in range(10)])
        assert Page([], log.head) == await log.read(start, select(["quiet"]), 10)
        assert {"tail": 1} == dict(log._counters.reads_total)
        await log.close()

    async def test_receipts_of_the_newest_messages_come_back_after_a_kill_over_rolls(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(opening, "RECEIPTS_KEPT", 4)
        log = await open_log(tmp_path / "a", segment_bytes=ONE_A_SEGMENT)
        for packet_id in range(1, 7):
            log.append(Deposit([draft()], receipt(packet_id, 7)))
            await log.commits.drain()
        copy = crash(tmp_path / "a", tmp_path / "b")
        await log.close()
        for _ in range(2):
            begun = opened(copy)
            assert [3, 4, 5, 6] == packet_ids(begun.receipts)[-4:]
            begun.writer.close()

    async def test_nothing_of_a_batch_is_kept_for_itself_when_it_is_committed(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        await append(log, *[draft(n) for n in range(100)])
        assert () == log._batch.drafts
        await log.close()


class Past:
    """A folder that lives of a log have left, and positions that streams may hold from them: around each begin and end."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder, self.copies = home, home / "log0", 0
        self.positions: set[int] = {0}

    async def live(self, batches: list[int], end: str) -> None:
        log = await open_log(self.folder, segment_bytes=26_000, retention_bytes=90_000)
        self.positions |= {log.floor, log.head}
        for count in batches:
            made = await append(log, *[draft(n, "ab"[n % 2]) for n in range(count)])
            self.positions |= {made[0].seq, made[count // 2].seq, made[-1].seq}
        if end == "trim":
            await log.trim()
        self.copies += 1
        copy = crash(self.folder, self.home / f"log{self.copies}")
        await log.close()
        if end in {"kill", "lose", "lose untold"}:
            self.folder = copy
        if end in {"lose", "lose untold"}:
            for wal in copy.glob("*-wal"):
                wal.write_bytes(wal.read_bytes()[:5_000])
        if end == "lose untold":
            (copy / "newest").unlink()

    async def told(self, fill: int) -> dict[tuple[int, str], list[Entry | Gap]]:
        """What streams get that come back with any position, or one beside it, at a log whose tail was filled so far."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(survey, "RECENT_ENTRIES", fill)
            patch.setattr(survey, "RECENT_PAGE", 15)
            log = await open_log(crash(self.folder, self.home / f"told{fill}"), segment_bytes=26_000)
        around = {each for position in self.positions for each in (position - 1, position, position + 1) if each >= 0}
        found = {}
        for part in (0, 3):
            await append(log, *[draft(n, "ab"[n % 2], at=2**41) for n in range(part)])
            around |= {log.head + 1}
            for position in around:
                found[position, f"a{part}"] = await read_all(log, position, select(["a"]), 20)
                found[position, f"all{part}"] = await read_all(log, position, ALL, 500)
        await log.close()
        return found


class TestTailAfterARestart:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        lives=st.lists(
            st.tuples(
                st.lists(st.integers(1, 40), max_size=3),
                st.sampled_from(["close", "close", "kill", "lose", "lose untold", "trim", "damage", "delete"]),
            ),
            min_size=1,
            max_size=5,
        ),
        fill=st.sampled_from([1, 20, 20_000]),
    )
    async def test_a_stream_gets_the_same_whether_the_tail_was_filled_or_not(
        self, lives: list[tuple[list[int], str]], fill: int
    ) -> None:
        with pytest.MonkeyPatch.context() as clock, TemporaryDirectory(dir=fast_folder()) as home:
            seconds = 1_800_000_000
            past = Past(Path(home))
            for batches, end in lives:
                seconds += 10
                clock.setattr(time, "time_ns", lambda now=seconds: now * 1_000_000_000)
                await past.live(batches, end)
                if end in {"damage", "delete"}:
                    (overwrite if end == "damage" else delete)(segments(past.folder)[-1])
            assert await past.told(0) == await past.told(fill)

    async def test_streams_that_return_after_a_restart_find_theirs_in_memory(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT)
        made = [entry for _ in range(3) for entry in await append(log, *[draft(n) for n in range(10)])]
        await log.close()
        log = await open_log(tmp_path)
        assert made[5:] == await read_all(log, made[4].seq)
        assert {"tail": 1} == dict(log._counters.reads_total)
        await log.close()

    async def test_a_tail_is_filled_up_to_its_bytes(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        await append(log, *[draft(n) for n in range(3000)])
        await log.close()
        log = await open_log(tmp_path, tail_bytes=100_000)
        assert 50_000 < log.tail_bytes <= 100_000
        await log.close()

    async def test_a_damaged_segment_ends_the_filling_and_is_told_to_who_comes_there(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT)
        start = log.floor
        for _ in range(3):
            await append(log, *[draft(n) for n in range(200)])
        await log.close()
        overwrite(segments(tmp_path)[1])
        log = await open_log(tmp_path)
        assert start + 400 == log._tail.floor
        assert [(start + 200, start + 400, "corrupt")] == gaps(await read_all(log, start))
        await log.close()


class TestDamageByReading:
    """A reader comes from the floor, with nothing in the tail; the middle one of three segments is harmed."""

    @pytest.mark.parametrize("harm", [zero_header, overwrite, halve, delete])
    @pytest.mark.parametrize("is_restarted", [False, True])
    async def test_a_hole_is_told_where_it_is_and_all_else_is_delivered(
        self, tmp_path: Path, harm: object, is_restarted: bool
    ) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
        start = log.floor
        for _ in range(3):
            await append(log, *[draft(n) for n in range(200)])
        if is_restarted:
            await log.close()
        harm(segments(tmp_path)[1])  # type: ignore[operator]
        if is_restarted:
            log = await open_log(tmp_path, tail_bytes=1)
        told = await read_all(log, start, limit=70)
        assert [(start + 200, start + 400, "corrupt")] == gaps(told)
        assert [*range(start + 1, start + 201), *range(start + 401, start + 601)] == seqs(told)
        await log.close()

    @pytest.mark.parametrize(
        ("position", "told"),
        [(199, None), (200, (200, 400)), (201, (201, 400)), (399, (399, 400)), (400, None), (401, None)],
    )
    async def test_the_bounds_of_a_hole_are_exact(
        self, tmp_path: Path, position: int, told: tuple[int, int] | None
    ) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
        start = log.floor
        for _ in range(3):
            await append(log, *[draft(n) for n in range(200)])
        delete(segments(tmp_path)[1])
        await read_all(log, start)
        found = await log.read(start + position, ALL, 1)
        assert told == ((found.asked - start, found.floor - start) if isinstance(found, Gap) else None)
        await log.close()

    async def test_a_write_ahead_log_that_was_cut_off_is_told_to_everybody_who_comes_to_it(
        self, tmp_path: Path
    ) -> None:
        log = await open_log(tmp_path / "a")
        first = await append(log, draft(1), draft(2))
        await log.close()
        log = await open_log(tmp_path / "a")
        start = log.head
        second = await append(log, draft(3))
        copy = crash(tmp_path / "a", tmp_path / "b")
        await log.close()
        (wal,) = copy.glob("*-wal")
        wal.write_bytes(wal.read_bytes()[:40])
        log = await open_log(copy)
        assert seqs(await read_all(log, log.floor)) == [entry.seq for entry in first]
        told = [gaps(await read_all(log, position)) for position in (first[-1].seq, start, second[0].seq)]
        assert [[log.head]] * 3 == [[floor for _, floor, _ in each] for each in told]
        await log.close()

    async def test_what_is_known_to_be_missing_is_told_to_who_comes_to_it(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT)
        for number in range(3):
            await append(log, draft(number))
        start, head = log.floor, log.head
        await log.close()
        delete(segments(tmp_path)[-1])
        log = await open_log(tmp_path, known_position=head)
        told = await read_all(log, start)
        assert ([start + 1, start + 2], [(start + 2, log.head, "corrupt")]) == (seqs(told), gaps(told))
        await log.close()

    async def test_a_damaged_oldest_segment_raises_the_floor_and_says_why(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT)
        start = log.floor
        for number in range(3):
            await append(log, draft(number))
        await log.close()
        zero_header(segments(tmp_path)[0])
        log = await open_log(tmp_path)
        assert [(start, start + 1, "corrupt")] == gaps(await read_all(log, start))
        assert 1 == log._counters.segments_corrupt_total
        await log.close()

    async def test_damage_while_a_commit_is_under_way_loses_only_what_it_held(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, tail_bytes=1)
        start = log.head
        await append(log, *[draft(n) for n in range(300)])
        log._store._reader._threads.submit(time.sleep, 0.01)
        delete(segments(tmp_path)[0])
        acknowledged: list[int] = []
        log.append(Deposit([draft(7)], b"", lambda: acknowledged.append(1)))
        log.commits._begin()
        told = await read_all(log, start)
        await log.commits.drain()
        told += await read_all(log, max([start + 300, *seqs(told)]))
        lost = {seq for asked, floor, _ in gaps(told) for seq in range(asked + 1, floor + 1)}
        assert set(range(start + 1, start + 302)) == lost | set(seqs(told))
        assert ([1], log.head) == (acknowledged, start + 301)
        await log.close()


class TestTrim:
    async def test_old_segments_go_by_bytes(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, retention_bytes=50_000)
        for number in range(6):
            await append(log, draft(number))
        head = log.head
        await log.trim()
        assert log.size().bytes <= 50_000 + segments(tmp_path)[-1].stat().st_size + 100_000
        assert (head, log.size().segments) == (log.head, len(segments(tmp_path)))
        assert log.size().segments < 6
        await log.close()

    async def test_a_log_that_fell_silent_is_emptied_by_age(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, retention_age_s=10)
        await append(log, draft(at=1000), draft(at=2000))
        head = log.head
        await log.trim()
        assert (head, head, 1) == (log.head, log.floor, log.size().segments)
        assert [] == await read_all(log, head)
        assert Gap(head - 1, head, head, "expired") == await log.read(head - 1, ALL, 10)
        assert head + 1 == (await append(log, draft()))[0].seq
        await log.close()

    async def test_an_empty_log_is_left_alone(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, retention_age_s=0, retention_bytes=0)
        for _ in range(3):
            await log.trim()
        assert 1 == log.size().segments
        await log.close()

    async def test_trimming_while_a_commit_is_under_way_loses_nothing_new(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, retention_age_s=5, retention_bytes=0, tail_bytes=1)
        start = log.head
        for at in (1000, 2000, 3000):
            await append(log, draft(at=at))
        log.append(Deposit([draft(9)]))
        log.commits._begin()
        await log.trim()
        await log.commits.drain()
        told = await read_all(log, start)
        assert [(start, start + 3, "expired")] == gaps(told)
        assert [start + 4] == seqs(told)
        await log.close()

    async def test_a_disk_that_refuses_stops_no_trim(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        log = await open_log(tmp_path, retention_age_s=5)
        (entry,) = await append(log, draft(at=1000))
        blocking = segments(tmp_path)[0].with_name(f"{entry.seq + 1:016d}.sqlite3")
        blocking.mkdir()
        await log.trim()
        assert "cannot be ended" in caplog.text
        blocking.rmdir()
        assert entry.seq + 1 == (await append(log, draft()))[0].seq
        assert [entry.seq, entry.seq + 1] == seqs(await read_all(log, log.floor))
        await log.close()


class TestCheckpoint:
    """Fifty entries a commit; a few dozen commits want one."""

    async def commits(self, log: Log, count: int) -> None:
        for _ in range(count):
            await append(log, *[draft(n) for n in range(50)])

    async def test_it_comes_after_the_commit_was_acknowledged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(segment, "CHECKPOINT_FRAMES", 1)
        log = await open_log(tmp_path)
        told: list[int] = []
        log.append(Deposit([draft()], b"", lambda: told.append(log._store._spent.checkpoints)))
        await until(lambda: log._store._spent.checkpoints)
        assert ([0], 1) == (told, log.head - log.floor)
        await log.close()

    async def test_the_write_ahead_log_stays_small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(segment, "CHECKPOINT_FRAMES", 20)
        log = await open_log(tmp_path)
        await self.commits(log, 100)
        wal = wal_of(tmp_path)
        assert wal.stat().st_size < 60 * segment.PAGE_BYTES
        await log.close()

    async def test_one_that_fails_is_counted_told_once_and_tried_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(segment, "CHECKPOINT_FRAMES", 10)
        log = await open_log(tmp_path)
        await self.commits(log, 40)
        wal = wal_of(tmp_path)
        with no_file_grows(segments(tmp_path)[0].stat().st_size):
            while log._counters.checkpoint_failures_total < 3:
                assert wal.stat().st_size < segments(tmp_path)[0].stat().st_size
                await self.commits(log, 1)
        done = log._store._spent.checkpoints
        await self.commits(log, 1)
        await until(lambda: log._store._spent.checkpoints > done)
        assert 1 == len([text for text in caplog.messages if text.startswith("a checkpoint failed")])
        assert (log.head - log.floor, "") == (len(await read_all(log, log.floor)), log.commits.failing)
        await log.close()


class TestClose:
    async def test_closing_commits_what_waits(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        start, acknowledged = log.head, []
        log.append(Deposit([draft()], b"", lambda: acknowledged.append(1)))
        await log.close()
        log = await open_log(tmp_path)
        assert ([1], 1) == (acknowledged, len(await read_all(log, start)))
        await log.close()

    async def test_closing_while_the_disk_refuses_ends_and_acknowledges_nothing(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT)
        (entry,) = await append(log, draft())
        blocking = segments(tmp_path)[0].with_name(f"{entry.seq + 1:016d}.sqlite3")
        blocking.mkdir()
        acknowledged: list[int] = []
        log.append(Deposit([draft()], b"", lambda: acknowledged.append(1)))
        await until(lambda: log.commits.failing)
        async with asyncio.timeout(2):
            await log.close()
        blocking.rmdir()
        assert [] == acknowledged
        log = await open_log(tmp_path)
        assert [entry.seq] == seqs(await read_all(log, log.floor))
        await log.close()

    async def test_closing_in_the_middle_of_a_commit_waits_for_its_thread(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(group_commit, "FULL_MESSAGES", 5000)
        for pause in (0, 0.0005, 0.002):
            log = await open_log(tmp_path)
            for n in range(2000):
                log.append(Deposit([draft(n)]))
            log.commits._begin()
            await asyncio.sleep(pause)
            log.commits._failing = "as if the disk had refused before"
            await log.close()
        log = await open_log(tmp_path)
        numbers = seqs(await read_all(log, log.floor))
        assert sorted(set(numbers)) == numbers
        assert 0 == len(numbers) % 2000
        await log.close()

    async def test_a_log_can_be_opened_again_at_once(self, tmp_path: Path) -> None:
        heads = []
        for _ in range(5):
            log = await open_log(tmp_path)
            heads.append(log.head)
            await log.close()
        assert sorted(set(heads)) == heads
        assert 1 == len(segments(tmp_path))
