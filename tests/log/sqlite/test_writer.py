from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LogError
from gateway.intake.repeats.receipts import MARK
from gateway.log.sqlite import files, query
from gateway.log.sqlite.faults import StorageError
from gateway.log.sqlite.files import Seam
from gateway.log.sqlite.writer import JUMP, MAX_SEAMS, Opened, Roll, Writer
from gateway.reading import Entry
from gateway.selection import ALL
from tests.log.parts import HARM, crash, draft, overwrite, segments

NOW_MS = 1_800_000_000_000
FIRST = NOW_MS * 1000
BIG, OLD = 2**40, 2**40
NEVER = Roll(BIG, OLD)


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Callable[..., tuple[Writer, Opened]]]:
    """Begins a life of the log; the one before ends first."""
    writers: list[Writer] = []

    def begin(
        now_ms: int = NOW_MS, known: int = 0, roll: Roll = NEVER, packet_bytes: int = 100
    ) -> tuple[Writer, Opened]:
        for writer in writers:
            writer.close()
        writers.append(Writer(tmp_path, "process", roll))
        return writers[-1], writers[-1].open(now_ms, known, packet_bytes)

    yield begin
    for writer in writers:
        writer.close()


Lives = Callable[..., tuple[Writer, Opened]]


def commit(writer: Writer, count: int = 1, at: int = NOW_MS) -> list[Entry]:
    return writer.commit([draft(n, at=at) for n in range(count)], b"").entries


class TestALifeBegins:
    def test_a_new_log_has_one_empty_segment_named_after_its_first_number(self, lives: Lives) -> None:
        _, opened = lives()
        assert [(FIRST, FIRST - 1, (Seam(FIRST - 1, FIRST),))] == [(f.first, f.last, f.seams) for f in opened.segments]

    def test_each_life_with_entries_has_a_segment_of_its_own(self, lives: Lives) -> None:
        for life in range(3):
            writer, _ = lives()
            (entry,) = commit(writer)
            assert FIRST + life * (JUMP + 0) == entry.seq
        _, opened = lives()
        assert [FIRST, FIRST + JUMP, FIRST + 2 * JUMP, FIRST + 3 * JUMP] == [f.first for f in opened.segments]

    def test_its_seam_joins_what_is_held_before(self, lives: Lives) -> None:
        writer, _ = lives()
        last = commit(writer, 3)[-1].seq
        _, opened = lives()
        assert (Seam(last, last + JUMP),) == opened.segments[-1].seams

    def test_an_empty_segment_gives_its_seams_to_the_next_and_goes(self, lives: Lives, tmp_path: Path) -> None:
        for _ in range(3):
            _, opened = lives()
        (only,) = opened.segments
        assert (Seam(FIRST - 1, FIRST), Seam(FIRST - 1, FIRST - 1 + JUMP)) == only.seams[:2]
        assert (3, [only.path]) == (len(only.seams), segments(tmp_path))

    def test_seams_do_not_grow_without_bound(self, lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.log.sqlite.writer.MAX_SEAMS", 3)
        for _ in range(6):
            _, opened = lives()
        assert 3 == len(opened.segments[-1].seams) < MAX_SEAMS

    def test_a_known_position_above_what_is_held_leaves_a_hole(self, lives: Lives) -> None:
        writer, _ = lives()
        last = commit(writer)[-1].seq
        _, opened = lives(known=last + 5)
        first = last + 5 + JUMP
        assert (Seam(first - 1, first),) == opened.segments[-1].seams

    def test_a_known_position_that_is_held_leaves_none(self, lives: Lives) -> None:
        writer, _ = lives()
        last = commit(writer)[-1].seq
        _, opened = lives(known=last)
        assert last == opened.segments[-1].seams[0].after

    @pytest.mark.parametrize("harm", HARM[:3])
    def test_a_damaged_newest_segment_is_set_aside_and_leaves_a_hole(
        self, lives: Lives, tmp_path: Path, harm: Callable[[Path], None]
    ) -> None:
        for _ in range(2):
            writer, _ = lives()
            commit(writer, 300)
        writer.close()
        newest = segments(tmp_path)[-1]
        harm(newest)
        _, opened = lives()
        first = opened.segments[-1].first
        assert [newest.name] == opened.damaged
        assert (Seam(first - 1, first),) == opened.segments[-1].seams
        assert newest.with_name(newest.name + ".corrupt").exists()

    def test_older_damage_does_not_keep_the_log_from_opening(self, lives: Lives, tmp_path: Path) -> None:
        for _ in range(3):
            writer, _ = lives()
            commit(writer, 300)
        writer.close()
        overwrite(segments(tmp_path)[0])
        _, opened = lives()
        assert 3 <= len(opened.segments)

    @pytest.mark.parametrize("left", [b"", b"SQLite format 3\0"])
    def test_a_segment_that_a_kill_left_half_begun_is_no_loss(self, lives: Lives, tmp_path: Path, left: bytes) -> None:
        writer, _ = lives()
        last = commit(writer)[-1].seq
        writer.close()
        files.path_of(tmp_path, last + 1).write_bytes(b"")
        _, opened = lives()
        assert ([], last) == (opened.damaged, opened.segments[-1].seams[0].after)
        assert opened.segments[-1].first > last + 1

    def test_the_newest_marks_come_from_as_many_segments_as_needed(self, lives: Lives) -> None:
        for marks in (b"1" * 10, b"2" * 10, b"3" * 10):
            writer, _ = lives()
            writer.commit([draft()], marks)
        assert (b"1" * 10 + b"2" * 10 + b"3" * 10) == lives(packet_bytes=20)[1].packets[-30:]

    def test_the_newest_time_is_known(self, lives: Lives) -> None:
        commit(lives()[0], at=NOW_MS + 7)
        assert [NOW_MS + 7] * 2 == [lives()[1].last_received_at_ms, lives()[1].last_received_at_ms]

    def test_a_folder_in_use_is_refused(self, lives: Lives, tmp_path: Path) -> None:
        lives()
        with pytest.raises(LogError, match="another gateway uses the log"):
            Writer(tmp_path, "process", Roll(BIG, OLD)).open(NOW_MS, 0, 0)

    def test_a_folder_that_cannot_be_made_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(LogError, match="Not a directory"):
            Writer(tmp_path / "file" / "log", "process", Roll(BIG, OLD)).open(NOW_MS, 0, 0)

    def test_an_opening_that_failed_lets_the_folder_go(self, lives: Lives, tmp_path: Path) -> None:
        blocking = files.path_of(tmp_path, FIRST + JUMP + files.MAX_ENTRIES)
        blocking.mkdir()
        with pytest.raises(StorageError):
            lives()
        blocking.rmdir()
        lives()


class TestCommit:
    def test_numbers_follow_each_other(self, lives: Lives) -> None:
        writer, _ = lives()
        assert [FIRST, FIRST + 1, FIRST + 2] == [e.seq for e in [*commit(writer, 2), *commit(writer)]]

    def test_nothing_to_commit_writes_nothing(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives()
        before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
        assert ([], [], [], False) == writer.commit([], b"")
        assert before == {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}

    def test_marks_alone_take_no_number(self, lives: Lives) -> None:
        writer, _ = lives()
        writer.commit([], b"x" * 10)
        assert FIRST == commit(writer)[0].seq

    def test_facts_follow_the_commit(self, lives: Lives) -> None:
        writer, _ = lives()
        (facts,) = writer.commit([draft(at=NOW_MS), draft(at=NOW_MS + 9)], b"").segments
        assert (FIRST + 1, NOW_MS, NOW_MS + 9) == (facts.last, facts.first_received_at_ms, facts.last_received_at_ms)
        assert files.bytes_on_disk(facts.path) == facts.bytes

    def test_a_closed_log_takes_nothing(self, lives: Lives) -> None:
        writer, _ = lives()
        writer.close()
        with pytest.raises(LogError, match="closed"):
            commit(writer)


class TestRoll:
    def test_a_segment_ends_when_it_is_large(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives(roll=Roll(1, OLD))
        commit(writer, 3)
        ended, begun = writer.commit([draft()], b"").segments
        assert [(FIRST, FIRST + 2), (FIRST + 3, FIRST + 3)] == [(ended.first, ended.last), (begun.first, begun.last)]
        assert (Seam(FIRST + 2, FIRST + 3),) == begun.seams

    def test_a_segment_ends_when_it_is_old(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives(roll=Roll(BIG, 1000))
        for at in (0, 1000, 1001):
            commit(writer, at=NOW_MS + at)
        assert 2 == len(segments(tmp_path))

    def test_a_segment_ends_before_it_holds_more_than_its_name_allows(
        self, lives: Lives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.log.sqlite.writer.MAX_ENTRIES", 5)
        writer, _ = lives()
        for count in (3, 2, 1):
            commit(writer, count)
        assert [5, 1] == [len(query.read(path, 0, 2**53, ALL, 10)[0]) for path in segments(tmp_path)]

    def test_a_segment_that_ended_is_one_file(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives(roll=Roll(1, OLD))
        commit(writer)
        commit(writer)
        assert [segments(tmp_path)[0]] == list(tmp_path.glob(f"{FIRST}.*"))

    def test_rolling_over_ends_a_segment_without_a_commit(self, lives: Lives) -> None:
        writer, _ = lives()
        commit(writer)
        ended, begun = writer.roll_over().segments
        assert (FIRST, FIRST + 1, True) == (ended.last, begun.first, begun.is_empty)
        assert [begun] == writer.roll_over().segments

    def test_rolling_over_that_fails_leaves_the_segment_open_for_commits(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives()
        commit(writer)
        files.path_of(tmp_path, FIRST + 1).mkdir()
        with pytest.raises(StorageError):
            writer.roll_over()
        assert [FIRST + 1] == [entry.seq for entry in commit(writer)]

    def test_a_beginning_that_fails_leaves_the_sound_segment_in_use(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives(roll=Roll(1, OLD))
        commit(writer)
        blocking = files.path_of(tmp_path, FIRST + 1)
        blocking.mkdir()
        for call in (lambda: commit(writer), writer.roll_over, lambda: commit(writer)):
            with pytest.raises(StorageError):
                call()
        blocking.rmdir()
        change = writer.commit([draft()], b"")
        assert [FIRST + 1] == [entry.seq for entry in change.entries]
        assert ([], [FIRST, FIRST + 1]) == (change.damaged, [facts.first for facts in change.segments])


class TestDamage:
    def test_a_damaged_newest_segment_is_replaced_in_the_same_commit(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives()
        commit(writer, 3)
        segments(tmp_path)[-1].unlink()
        change = writer.commit([draft()], b"")
        assert ([FIRST + 3], [FIRST]) == ([e.seq for e in change.entries], [facts.first for facts in change.damaged])
        assert (Seam(FIRST + 2, FIRST + 3),) == change.segments[-1].seams

    def test_an_empty_one_is_replaced_under_another_name_and_nothing_is_missing(
        self, lives: Lives, tmp_path: Path
    ) -> None:
        writer, _ = lives()
        segments(tmp_path)[-1].unlink()
        change = writer.commit([draft()], b"")
        assert [FIRST + 1] == [entry.seq for entry in change.entries]
        assert (Seam(FIRST - 1, FIRST), Seam(FIRST - 1, FIRST + 1)) == change.segments[-1].seams

    def test_what_a_reader_found_is_set_aside_once(self, lives: Lives, tmp_path: Path) -> None:
        writer, opened = lives()
        commit(writer)
        first = writer.discard(opened.segments[0])
        again = writer.discard(opened.segments[0])
        assert [[FIRST], []] == [[facts.first for facts in change.damaged] for change in (first, again)]
        assert [FIRST + 1] == [files.first_of(path) for path in segments(tmp_path)]

    def test_a_replacement_that_fails_halfway_is_finished_by_the_next_commit(
        self, lives: Lives, tmp_path: Path
    ) -> None:
        writer, opened = lives()
        commit(writer)
        blocking = files.path_of(tmp_path, FIRST + 1)
        blocking.mkdir()
        with pytest.raises(StorageError):
            writer.discard(opened.segments[0])
        with pytest.raises(StorageError):
            commit(writer)
        blocking.rmdir()
        change = writer.commit([draft()], b"")
        assert ([FIRST + 1], [FIRST]) == ([e.seq for e in change.entries], [facts.first for facts in change.damaged])

    def test_what_cannot_be_unlinked_is_told_and_stops_nothing(
        self, lives: Lives, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        writer, _ = lives()
        folder = files.path_of(tmp_path, 1)
        folder.mkdir()
        writer.remove([folder])
        folder.rmdir()
        assert 1 == len(caplog.messages)


class TestDensity:
    """Reads count on it that numbers have no holes within a segment; `query.read` looks at so many numbers."""

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.one_of(st.integers(1, 9), st.sampled_from(["refused", "roll", "end", "kill", "discard"])), max_size=12
        )
    )
    def test_a_segment_holds_each_number_from_its_first_to_its_last(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[int | str]
    ) -> None:
        folder = tmp_path_factory.mktemp("log")
        writer = Writer(folder, "process", Roll(26_000, OLD))
        writer.open(NOW_MS, 0, 100)
        for step in steps:
            if isinstance(step, int):
                commit(writer, step)
            elif step == "refused":
                with pytest.raises(UnicodeEncodeError):
                    writer.commit([draft(), msgspec.structs.replace(draft(), device="\ud800")], b"")
            elif step == "roll":
                writer.roll_over()
            elif step == "discard":
                writer.discard(writer._facts)
            else:
                if step == "kill":
                    folder = crash(folder, folder.with_name(f"{folder.name}k"))
                writer.close()
                writer = Writer(folder, "process", Roll(26_000, OLD))
                writer.open(NOW_MS, 0, 100)
        writer.close()
        for path in segments(folder):
            facts = query.facts(path)
            assert facts is not None
            assert list(range(facts.first, facts.last + 1)) == query.numbers(path, 0, facts.last, ALL)


class TestMarks:
    """What tells a redelivered message must outlive the segment that its entry is in."""

    def test_marks_outlive_the_segments_that_retention_takes(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives(roll=Roll(8 * 40, OLD))
        for number in range(10):
            writer.commit([draft(number)], MARK.pack(number + 1, 7))
        *gone, newest = segments(tmp_path)
        assert len(gone) > 3
        writer.remove(gone)
        _, opened = lives(packet_bytes=1000)
        assert [7, 8, 9, 10] == [packet_id for packet_id, _ in MARK.iter_unpack(opened.packets)][-4:]
        assert newest.exists()

    def test_a_life_without_a_message_hands_them_on(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives()
        writer.commit([draft()], MARK.pack(5, 7))
        lives()
        writer, _ = lives()
        writer.commit([draft()], b"")
        oldest, *_ = segments(tmp_path)
        writer.remove([oldest])
        assert MARK.pack(5, 7) == lives(packet_bytes=1000)[1].packets

    def test_they_take_no_more_than_an_eighth_of_a_segment(self, lives: Lives, tmp_path: Path) -> None:
        writer, _ = lives(roll=Roll(8 * 40, OLD))
        for number in range(50):
            writer.commit([draft(number)], MARK.pack(number + 1, 7))
        writer.close()
        assert all(40 + MARK.size >= len(b"".join(query.packets(path, 1000))) for path in segments(tmp_path))
