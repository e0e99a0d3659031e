"""The nine laws of the log, each by name.

| law | held by |
| --- | --- |
| 1. numbers rise, and none is given twice | `TestNumbers` |
| 2. visible and acknowledged only after the commit | `TestCommitFirst` |
| 3. replayed bytes equal live bytes | `TestOnePath`, `TestFrames` |
| 4. a stream owns a position, a set of devices, a mode and one bit | `TestNothingGrows` |
| 5. a wake carries no data | `TestWake` |
| 6. no read stays open across a send | `TestNoReadStaysOpen` |
| 7. whoever asks for what is gone is told | `TestOnePath`, `TestGaps` |
| 8. everything has a limit, and hitting it is visible | `TestLimits` |
| 9. nothing that is sent can stop the gateway | `TestNothingStopsIt` |

`TestOnePath` is the main one: delivered plus declared lost = logged, whatever happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import Http
from gateway.devices.registry import Checkpoint
from gateway.devices.store import DeviceStore
from gateway.errors import LogError
from gateway.frame import entry_data
from gateway.log import Deposit, group_commit
from gateway.log.sqlite import store as store_module
from gateway.log.sqlite.opening import JUMP
from gateway.reading import Draft, Entry, Gap
from gateway.selection import ALL, select
from gateway.stream.plan import Plan
from tests.event_source import EventSource
from tests.log.one_path import OnePath
from tests.log.parts import (
    HARM,
    ONE_A_SEGMENT,
    append,
    crash,
    draft,
    fill,
    gaps,
    open_log,
    overwrite,
    read_all,
    segments,
    seqs,
    until,
)
from tests.stream.parts import blocks_of, stream_of

TestOnePath = OnePath.TestCase
TestOnePath.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


class TestOnePathForLong(OnePath.TestCase):
    settings = settings(max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
    pytestmark = pytest.mark.slow


# --- 1 ---------------------------------------------------------------------------------------------------------------


class Clock:
    """Stands still where a test puts it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s = 1_800_000_000
        monkeypatch.setattr(time, "time_ns", lambda: self.s * 1_000_000_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class TestNumbers:
    async def live(self, folder: Path, known_position: int = 0, entries: int = 3) -> list[int]:
        """One life of the log: the position it begins at, and the numbers it gives."""
        log = await open_log(folder, known_position)
        given = [log.head, *(entry.seq for entry in await append(log, *[draft(n) for n in range(entries)]))]
        await log.close()
        return given

    async def test_a_new_log_begins_at_the_clock(self, tmp_path: Path, clock: Clock) -> None:
        assert 1_800_000_000_000_000 == (await self.live(tmp_path))[1]

    async def test_a_restart_skips_a_million_or_goes_to_the_clock(self, tmp_path: Path, clock: Clock) -> None:
        first = await self.live(tmp_path)
        second = await self.live(tmp_path)
        clock.s += 10
        third = await self.live(tmp_path)
        assert [first[-1] + JUMP, 1_800_000_010_000_000] == [second[1], third[1]]

    @pytest.mark.parametrize("jump_s", [-3600, -1_800_000_000, 0, 5])
    async def test_no_number_comes_twice_when_the_clock_jumps(self, tmp_path: Path, clock: Clock, jump_s: int) -> None:
        first = await self.live(tmp_path)
        clock.s += jump_s
        assert max(first) < min(await self.live(tmp_path))

    async def test_a_position_told_by_a_life_without_entries_is_not_given_to_an_entry(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        told = await self.live(tmp_path, entries=0)
        clock.s -= 3600
        assert max(told) < min(await self.live(tmp_path))

    async def test_numbers_lost_with_the_write_ahead_log_are_not_given_again(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        log = await open_log(tmp_path / "a")
        given = await append(log, draft(), draft())
        copy = crash(tmp_path / "a", tmp_path / "b")
        await log.close()
        for file in copy.glob("*-wal"):
            file.unlink()
        clock.s -= 1
        assert given[-1].seq < min(await self.live(copy))

    async def test_a_deleted_newest_segment_gives_no_number_back_when_its_devices_are_known(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        await self.live(tmp_path)
        clock.s += 100
        newest = await self.live(tmp_path)
        segments(tmp_path)[-1].unlink()
        clock.s -= 3600
        assert max(newest) < min(await self.live(tmp_path, known_position=newest[-1]))

    async def test_a_deleted_folder_gives_no_number_back_when_its_devices_are_known(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        first = await self.live(tmp_path / "log")
        DeviceStore(tmp_path / "devices.sqlite3").save(Checkpoint({}, first[-1], is_whole=True))
        shutil.rmtree(tmp_path / "log")
        clock.s = 0
        _, position = DeviceStore(tmp_path / "devices.sqlite3").load()
        assert max(first) < min(await self.live(tmp_path / "log", position))

    @pytest.mark.parametrize("harm", HARM[:-1])
    async def test_a_damaged_newest_segment_gives_no_number_back(
        self, tmp_path: Path, clock: Clock, harm: Callable[[Path], None]
    ) -> None:
        await self.live(tmp_path)
        clock.s += 100
        newest = await self.live(tmp_path)
        harm(segments(tmp_path)[-1])
        clock.s -= 3600
        assert max(newest) < min(await self.live(tmp_path))

    @pytest.mark.parametrize("clock_s", [2**33, 10**12])
    async def test_a_clock_beyond_2112_is_not_believed(self, tmp_path: Path, clock: Clock, clock_s: int) -> None:
        clock.s = clock_s
        assert max(await self.live(tmp_path)) < 2**53 // 2

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(lives=st.lists(st.tuples(st.integers(-7200, 7200), st.integers(0, 3), st.booleans()), max_size=8))
    def test_numbers_rise_over_any_lives(
        self, tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[int, int, bool]]
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            clock, folder, given = Clock(patch), tmp_path_factory.mktemp("lives"), []
            for number, (jump_s, entries, is_killed) in enumerate(lives):
                clock.s += jump_s
                given += asyncio.run(self.live(folder, entries=entries))
                if is_killed:
                    folder = crash(folder, folder.with_name(f"{folder.name}-{number}"))
        assert sorted(set(given)) == given


# --- 2 ---------------------------------------------------------------------------------------------------------------


class TestCommitFirst:
    async def test_nothing_is_visible_or_acknowledged_while_the_commit_waits_for_a_lock(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        head, acknowledged = log.head, []
        with closing(sqlite3.connect(segments(tmp_path)[-1], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            log.append(Deposit([draft()], b"", lambda: acknowledged.append(log.head)))
            await asyncio.sleep(0.2)
            seen = await log.read(head, ALL, 10)
            assert [head, 1, [], []] == [log.head, log.commits.waiting, acknowledged, seen.entries]
            other.execute("ROLLBACK")
        await until(lambda: acknowledged)
        assert [log.head] == acknowledged
        assert [head + 1, 0] == [log.head, log.commits.waiting]
        await log.close()

    async def test_a_commit_that_fails_shows_nothing_and_is_tried_again(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        before, acknowledged = log.head, []
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            log.append(Deposit([draft()], b"", lambda: acknowledged.append(True)))
            await until(lambda: log.commits.failing)
            assert [before, []] == [log.head, acknowledged]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await until(lambda: acknowledged)
        assert [before + 1, ""] == [log.head, log.commits.failing]
        await log.close()

    async def test_a_listener_is_called_when_the_entry_is_on_disk(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        on_disk: list[int] = []

        def look(entries: list[Entry], _: list[Draft]) -> None:
            with closing(sqlite3.connect(f"file:{segments(tmp_path)[-1]}?mode=ro", uri=True)) as other:
                on_disk.extend(seq for (seq,) in other.execute("SELECT seq FROM entry"))

        log.listeners.append(look)
        await append(log, draft(), draft())
        assert [log.head - 1, log.head] == on_disk
        await log.close()


# --- 3 ---------------------------------------------------------------------------------------------------------------


class TestFrames:
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=8))
    def test_the_bytes_of_a_replay_are_those_of_the_live_stream(
        self, tmp_path_factory: pytest.TempPathFactory, texts: list[str]
    ) -> None:
        async def work() -> None:
            log = await open_log(tmp_path_factory.mktemp("frames"), tail_bytes=1)
            start = log.head
            drafts = [
                Draft("reading", text or "-", 1, msgspec.json.encode({"device": text, "values": {"text": text}}))
                for text in texts
            ]
            live = [entry.frame for entry in await append(log, *drafts)]
            assert live == [entry.frame for entry in await read_all(log, start)]
            await log.close()

        asyncio.run(work())


# --- 4 ---------------------------------------------------------------------------------------------------------------


class TestNothingGrows:
    async def test_a_reader_that_takes_nothing_holds_no_entry(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, tail_bytes=1)
        stream = stream_of(log, Plan(ALL), Http(page_entries=10))
        async with aclosing(blocks_of(stream)) as blocks:
            await anext(blocks)
            for round_ in range(20):
                await append(log, *[draft(round_) for _ in range(100)])
            gc.collect()
            held = [each for each in gc.get_objects() if isinstance(each, list) and each and isinstance(each[0], Entry)]
            assert [] == [each for each in held if len(each) > 100]
            assert 2000 == log.head - stream.cursor.position
        await log.close()

    async def test_all_memory_of_streams_and_entries_is_given_back(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, tail_bytes=1)
        for patterns in (["a"], ["*"], ["a*"]):
            async with aclosing(blocks_of(stream_of(log, Plan(select(patterns))))) as blocks:
                await anext(blocks)
                await append(log, draft(), draft(device="b"))
        assert [{}, {}, 0, 0] == [log._watches._groups, log._watches._by_device, len(log._tail), log.tail_bytes]
        await log.close()


# --- 5 ---------------------------------------------------------------------------------------------------------------


class TestWake:
    async def test_a_lost_wake_is_repaired_by_the_next_heartbeat(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        stream = stream_of(log, Plan(ALL), Http(heartbeat_s=0.05))
        source = EventSource()
        async with aclosing(blocks_of(stream)) as blocks:
            source.feed(await anext(blocks))
            asked = asyncio.ensure_future(anext(blocks))
            await asyncio.sleep(0)
            log._watches.wake = lambda devices: None  # type: ignore[method-assign]
            await append(log, draft(7))
            await asyncio.sleep(0.06)
            assert not asked.done()
            stream.wake_if_due(stream._sources.clock.elapsed_s())
            source.feed(await asyncio.wait_for(asked, 1))
        assert [7] == [event.data["values"]["x"] for event in source.of("message")]
        await log.close()

    async def test_one_wake_too_many_sends_nothing(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        stream = stream_of(log, Plan(ALL))
        async with aclosing(blocks_of(stream)) as blocks:
            await anext(blocks)
            asked = asyncio.ensure_future(anext(blocks))
            for _ in range(3):
                log._watches.wake(["a"])
                await asyncio.sleep(0.005)
            assert not asked.done()
            asked.cancel()
            await asyncio.wait([asked])
        await log.close()


# --- 6 ---------------------------------------------------------------------------------------------------------------


class TestNoReadStaysOpen:
    async def test_a_stopped_reader_keeps_no_file_open(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, tail_bytes=1, segment_bytes=ONE_A_SEGMENT)
        for number in range(5):
            await append(log, draft(number))
        stream = stream_of(log, Plan(ALL, log.floor), Http(page_entries=1))
        async with aclosing(blocks_of(stream)) as blocks:
            for _ in range(3):
                await anext(blocks)
            newest = str(segments(tmp_path)[-1])
            assert [] == [name for name in open_files(tmp_path) if not name.startswith(newest)]
        await log.close()


def open_files(folder: Path) -> list[str]:
    """The segments in ``folder`` that this process holds open."""
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(descriptor.readlink()))
    return [name for name in names if name.startswith(str(folder)) and ".sqlite3" in name]


# --- 7 ---------------------------------------------------------------------------------------------------------------


class TestGaps:
    async def test_retention_that_overtakes_a_reader_is_told(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, retention_bytes=0, tail_bytes=1)
        start, source = log.head, EventSource()
        for number in range(4):
            await append(log, draft(number))
        stream = stream_of(log, Plan(ALL, start), Http(page_entries=1))
        async with aclosing(blocks_of(stream)) as blocks:
            for _ in range(2):
                source.feed(await anext(blocks))
            await log.trim()
            while not source.of("live"):
                source.feed(await anext(blocks))
        gap = source.of("gap")[0].data
        assert {"asked": start + 1, "floor": start + 3, "head": start + 4, "reason": "expired"} == gap
        assert [start + 1, start + 4] == [int(event.id) for event in source.of("message")]
        await log.close()

    async def test_the_floor_rises_before_the_files_go(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, retention_bytes=0)
        for number in range(3):
            await append(log, draft(number))
        seen: list[tuple[int, int]] = []
        remove = store_module.remove

        def look(paths: list[Path]) -> None:
            seen.append((log.floor, len(segments(tmp_path))))
            remove(paths)

        monkeypatch.setattr(store_module, "remove", look)
        await log.trim()
        assert [(log.head - 1, 3)] == seen
        await log.close()

    async def test_a_read_that_retention_overtakes_gives_a_gap_and_no_page_with_holes(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, retention_bytes=0, tail_bytes=1)
        start = log.head
        for number in range(3):
            await append(log, draft(number))
        reading = asyncio.ensure_future(log.read(start, ALL, 10))
        await asyncio.sleep(0)
        log._store._shelf.remove(log._store._shelf.segments[0], "expired")
        assert Gap(start, start + 1, start + 3, "expired") == await reading
        await log.close()

    async def test_a_position_above_the_head_is_told(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        assert Gap(log.head + 1, log.floor, log.head, "ahead") == await log.read(log.head + 1, ALL, 10)
        await log.close()

    async def test_a_position_of_an_earlier_life_that_missed_nothing_gets_no_gap(self, tmp_path: Path) -> None:
        positions = []
        for number in range(4):
            log = await open_log(tmp_path)
            positions.append(log.head)
            positions += [entry.seq for entry in await append(log, *[draft(number)] * (number % 3))]
            await log.close()
        log = await open_log(tmp_path)
        await append(log, draft())
        assert [] == [gap for position in positions for gap in gaps(await read_all(log, position))]
        await log.close()


# --- 8 ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class TestLimits:
    async def test_a_full_disk_takes_the_oldest_segment_and_loses_no_reading(self, small_disk: Path) -> None:
        log = await open_log(small_disk / "log", segment_bytes=60_000, tail_bytes=1)
        start, logged = log.head, []
        for round_ in range(60):
            logged += await append(log, *[draft(round_ * 1000 + n) for n in range(200)])
        told = await read_all(log, start)
        (lost,) = gaps(told)
        assert [e.seq for e in logged if e.seq > lost[1]] == seqs(told)
        assert 12_000 == len(logged)
        assert log._counters.segments_removed_total > 0
        assert log._counters.commit_failures_total > 0
        await log.close()

    async def test_a_log_opens_on_a_full_disk_by_giving_up_its_oldest_segment(self, small_disk: Path) -> None:
        log = await open_log(small_disk / "log", segment_bytes=60_000)
        for _ in range(15):
            await append(log, *[draft()] * 200)
        head, before = log.head, log.size().segments
        await log.close()
        fill(small_disk)
        log = await open_log(small_disk / "log")
        assert log.size().segments < before + 1
        assert [] == gaps(await read_all(log, head))
        assert 1 == len(await append(log, draft()))
        await log.close()

    async def test_a_full_disk_with_one_segment_waits_and_says_so(
        self, small_disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(group_commit, "FULL_MESSAGES", 5)
        log = await open_log(small_disk / "log", max_waiting_messages=10)
        ballast = fill(small_disk)
        had_room: list[bool] = []
        log.commits.on_room(lambda: had_room.append(True))
        for number in range(40):
            log.append(Deposit([draft(number, device="d" * 200)] * 20))
        await until(lambda: log.commits.failing)
        assert [True, []] == [log.commits.is_full, had_room]
        assert "full" in log.commits.failing
        ballast.unlink()
        await until(lambda: not log.commits.waiting)
        assert ["", False, [True]] == [log.commits.failing, log.commits.is_full, had_room]
        await log.close()

    async def test_large_messages_fill_the_log_by_their_bytes(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        heavy = Draft("reading", "a", 1, b'"' + b"-" * 2**20 + b'"')
        log.commits.append(Deposit([heavy] * 63))
        assert not log.commits.is_full
        log.commits.append(Deposit([heavy]))
        assert log.commits.is_full
        log.commits._gathered.clear()
        await log.close()

    async def test_many_damaged_segments_keep_only_the_newest_few_for_a_person(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
        start = log.head
        for number in range(13):
            await append(log, draft(number))
        for path in segments(tmp_path)[:12]:
            overwrite(path)
        told = await read_all(log, start)
        assert ([log.head], 12) == (seqs(told), log._counters.segments_corrupt_total)
        assert 8 == len([name for name in os.listdir(tmp_path) if name.endswith(".sqlite3.corrupt")])  # noqa: PTH208
        await log.close()


# --- 9 ---------------------------------------------------------------------------------------------------------------


class TestNothingStopsIt:
    async def test_a_callback_that_raises_does_not_hold_up_the_log(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(str(context["exception"])))

        def raises() -> None:
            raise RuntimeError("our own fault")

        acknowledged: list[bool] = []
        log.append(Deposit([draft(1)], b"", raises))
        log.append(Deposit([draft(2)], b"", lambda: acknowledged.append(True)))
        await log.commits.drain()
        assert [["our own fault"], [True]] == [told, acknowledged]
        await append(log, draft(3))
        assert 3 == len(await read_all(log, log.floor))
        await log.close()

    async def test_a_device_name_that_no_database_takes_does_not_hold_up_the_log(self, tmp_path: Path) -> None:
        log = await open_log(tmp_path)
        told: list[type] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(type(context["exception"])))
        log.append(Deposit([draft(1, "a")]))
        log.append(Deposit([Draft("reading", "\ud800", 1, b"{}")]))
        await log.commits.drain()
        gc.collect()
        await asyncio.sleep(0)
        assert [UnicodeEncodeError] == told
        assert 1 == len(await append(log, draft(2)))
        await log.close()

    @pytest.mark.parametrize("harm", HARM)
    async def test_a_newest_segment_damaged_under_the_log_does_not_stop_it(
        self, tmp_path: Path, harm: Callable[[Path], None]
    ) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
        start = log.head
        first = await append(log, draft(1))
        await append(log, draft(2))
        harm(segments(tmp_path)[-1])
        last = await append(log, draft(3))
        told = await read_all(log, start)
        lost = {seq for asked, floor, _ in gaps(told) for seq in range(asked + 1, floor + 1)}
        assert {first[0].seq, first[0].seq + 1, last[0].seq} == lost | set(seqs(told))
        assert set() == lost & set(seqs(told))
        assert last[0].seq in seqs(told)
        await log.close()


# --- the process dies --------------------------------------------------------------------------------------------------

CHILD = """
import asyncio, sys, time
from pathlib import Path
from gateway.reading import Draft
from gateway.log import Deposit, group_commit
from tests.log.parts import open_log

async def main():
    folder, begin = Path(sys.argv[1]), int(sys.argv[2])
    log = await open_log(folder, commit_interval_ms=1, segment_bytes=100_000)
    for value in range(begin, begin + 10**9):
        draft = Draft("reading", "a", time.time_ns() // 10**6, b'{"device":"a","values":{"x":%d}}' % value)
        log.append(Deposit([draft], b"", lambda value=value: print(value, flush=True)))
        if value % 7 == 0 or log.commits.is_full:
            await asyncio.sleep(0.001)

asyncio.run(main())
"""


async def what_is_held(folder: Path) -> list[Entry | Gap]:
    log = await open_log(folder)
    told = await read_all(log, log.floor)
    await log.close()
    return told


def acknowledged_until_killed(folder: Path, begin: int, after_s: float) -> list[int]:
    """One life of a process that appends in a loop, and what it said was acknowledged."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", CHILD, str(folder), str(begin)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        time.sleep(after_s)
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
    return [int(line) for line in lines if line.endswith(b"\n")]


def test_nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_instant(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    numbers: list[int] = []
    for life in range(5):
        acknowledged += acknowledged_until_killed(tmp_path, life * 10**6, 0.03 + 0.05 * life)
        told = asyncio.run(what_is_held(tmp_path))
        values = [json.loads(entry_data(each))["values"]["x"] for each in told if isinstance(each, Entry)]
        assert [] == gaps(told)
        assert numbers == seqs(told)[: len(numbers)]
        numbers = seqs(told)
        assert sorted(set(numbers)) == numbers
        assert sorted(set(values)) == values
        assert set() == set(acknowledged) - set(values)
    assert len(acknowledged) > 100


async def test_two_gateways_cannot_use_one_log(tmp_path: Path) -> None:
    log = await open_log(tmp_path)
    with pytest.raises(LogError, match="another gateway uses"):
        await open_log(tmp_path)
    await log.close()
    await (await open_log(tmp_path)).close()
