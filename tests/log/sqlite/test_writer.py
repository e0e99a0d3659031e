from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import Clock
from gateway.errors import LogError
from gateway.log.sqlite import files, query
from gateway.log.sqlite.files import Seam
from gateway.log.sqlite.opening import JUMP, MAX_SEAMS, Start
from gateway.log.sqlite.writer import Change, Writer, remove
from gateway.log.store import RECEIPT_BYTES, Batch, UnavailableError
from gateway.reading import Draft, Entry
from gateway.selection import ALL
from tests.clocks import StillClock
from tests.log.parts import HARM, crash, draft, overwrite, packet_ids, receipt, segments
from tests.log.sqlite.parts import opened

NOW_MS = 1_800_000_000_000
FIRST = NOW_MS * 1000
BIG = 2**33


@pytest.fixture
def openings(tmp_path: Path) -> Iterator[Openings]:
    """Opens the log; the opening before is closed first."""
    writers: list[Writer] = []

    def open_(known: int = 0, clock: Clock | None = None, **settings: Any) -> tuple[Writer, Start]:
        for writer in writers:
            writer.close()
        beginning = opened(tmp_path, known, clock or StillClock(NOW_MS), **{"segment_bytes": BIG, **settings})
        writers.append(beginning.writer)
        return beginning.writer, beginning

    yield open_
    for writer in writers:
        writer.close()


Openings = Callable[..., tuple[Writer, Start]]
_batches = itertools.count(1)


def commit_of(writer: Writer, drafts: list[Draft], receipts: bytes = b"") -> Change:
    return writer.commit(Batch(next(_batches), drafts, receipts))


def commit(writer: Writer, count: int = 1, at: int = NOW_MS) -> list[Entry]:
    return commit_of(writer, [draft(n, at=at) for n in range(count)]).entries


class TestAnOpeningBegins:
    def test_a_new_log_has_one_empty_segment_named_after_its_first_number(self, openings: Openings) -> None:
        _, begun = openings()
        assert [(FIRST, FIRST - 1, (Seam(FIRST - 1, FIRST),))] == [
            (f.first, f.last, f.seams) for f in begun.shelf.segments
        ]

    def test_each_opening_with_entries_has_a_segment_of_its_own(self, openings: Openings) -> None:
        for opening in range(3):
            writer, _ = openings()
            (entry,) = commit(writer)
            assert FIRST + opening * JUMP == entry.seq
        _, begun = openings()
        assert [FIRST, FIRST + JUMP, FIRST + 2 * JUMP, FIRST + 3 * JUMP] == [f.first for f in begun.shelf.segments]

    def test_its_seam_joins_what_is_held_before(self, openings: Openings) -> None:
        writer, _ = openings()
        last = commit(writer, 3)[-1].seq
        _, begun = openings()
        assert (Seam(last, last + JUMP),) == begun.shelf.segments[-1].seams

    def test_an_empty_segment_gives_its_seams_to_the_next_and_goes(self, openings: Openings, tmp_path: Path) -> None:
        for _ in range(3):
            _, begun = openings()
        (only,) = begun.shelf.segments
        assert (Seam(FIRST - 1, FIRST), Seam(FIRST - 1, FIRST - 1 + JUMP)) == only.seams[:2]
        assert (3, [only.path]) == (len(only.seams), segments(tmp_path))

    def test_seams_do_not_grow_without_bound(self, openings: Openings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.log.sqlite.opening.MAX_SEAMS", 3)
        for _ in range(6):
            _, begun = openings()
        assert 3 == len(begun.shelf.segments[-1].seams) < MAX_SEAMS

    def test_a_known_position_above_what_is_held_leaves_a_hole(self, openings: Openings) -> None:
        writer, _ = openings()
        last = commit(writer)[-1].seq
        _, begun = openings(known=last + 5)
        first = last + 5 + JUMP
        assert (Seam(first - 1, first),) == begun.shelf.segments[-1].seams

    def test_a_known_position_that_is_held_leaves_none(self, openings: Openings) -> None:
        writer, _ = openings()
        last = commit(writer)[-1].seq
        _, begun = openings(known=last)
        assert last == begun.shelf.segments[-1].seams[0].after

    @pytest.mark.parametrize("harm", HARM[:3])
    def test_a_damaged_newest_segment_is_set_aside_and_leaves_a_hole(
        self, openings: Openings, tmp_path: Path, harm: Callable[[Path], None]
    ) -> None:
        for _ in range(2):
            writer, _ = openings()
            commit(writer, 300)
        writer.close()
        newest = segments(tmp_path)[-1]
        harm(newest)
        _, begun = openings()
        first = begun.shelf.segments[-1].first
        assert [newest.name] == begun.damaged
        assert (Seam(first - 1, first),) == begun.shelf.segments[-1].seams
        assert newest.with_name(newest.name + ".corrupt").exists()

    def test_older_damage_does_not_keep_the_log_from_opening(self, openings: Openings, tmp_path: Path) -> None:
        for _ in range(3):
            writer, _ = openings()
            commit(writer, 300)
        writer.close()
        overwrite(segments(tmp_path)[0])
        _, begun = openings()
        assert 3 <= len(begun.shelf.segments)

    @pytest.mark.parametrize("left", [b"", b"SQLite format 3\0"])
    def test_a_segment_that_a_kill_left_half_begun_is_no_loss(
        self, openings: Openings, tmp_path: Path, left: bytes
    ) -> None:
        writer, _ = openings()
        last = commit(writer)[-1].seq
        writer.close()
        files.path_of(tmp_path, last + 1).write_bytes(b"")
        _, begun = openings()
        assert ([], last) == (begun.damaged, begun.shelf.segments[-1].seams[0].after)
        assert begun.shelf.segments[-1].first > last + 1

    def test_the_newest_receipts_come_from_as_many_segments_as_needed(self, openings: Openings) -> None:
        for receipts in (b"1" * 10, b"2" * 10, b"3" * 10):
            writer, _ = openings()
            commit_of(writer, [draft()], receipts)
        assert (b"1" * 10 + b"2" * 10 + b"3" * 10) == openings()[1].receipts[-30:]

    def test_when_the_newest_entry_before_arrived_is_known(self, openings: Openings) -> None:
        first = openings()[0]
        assert 0 == first.facts.before_ms
        commit(first, at=NOW_MS + 7)
        assert [NOW_MS + 7] * 2 == [openings()[0].facts.before_ms, openings()[0].facts.before_ms]

    def test_when_it_arrived_is_not_known_where_a_segment_was_lost(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings()
        commit(writer, 300)
        writer.close()
        overwrite(segments(tmp_path)[-1])
        assert None is openings()[0].facts.before_ms

    @pytest.mark.parametrize("what", ["newest cut off", "known elsewhere"])
    def test_when_it_arrived_is_not_known_where_newer_entries_may_be_missing(
        self, openings: Openings, tmp_path: Path, what: str
    ) -> None:
        writer, _ = openings()
        last = commit(writer, 3)[-1].seq
        writer.close()
        if what == "newest cut off":
            high_water = tmp_path / "newest"
            high_water.write_text(high_water.read_text().replace(f'"last":{last}', f'"last":{last + 5}'))
        begun = openings(last + 5 if what == "known elsewhere" else 0)[0].facts
        assert (None, begun.first - 1) == (begun.before_ms, begun.seams[-1].after)

    def test_an_opening_whose_small_file_cannot_be_written_closes_what_it_began(
        self, openings: Openings, tmp_path: Path
    ) -> None:
        (tmp_path / "newest").mkdir()
        with pytest.raises(LogError):
            openings()
        assert [] == list(tmp_path.glob("*-wal"))
        (tmp_path / "newest").rmdir()
        openings()

    def test_a_folder_in_use_is_refused(self, openings: Openings, tmp_path: Path) -> None:
        openings()
        with pytest.raises(LogError, match="another gateway uses the log"):
            opened(tmp_path)

    def test_a_folder_that_cannot_be_made_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(LogError, match="Not a directory"):
            opened(tmp_path / "file" / "log")

    def test_an_opening_that_failed_lets_the_folder_go(self, openings: Openings, tmp_path: Path) -> None:
        blocking = files.path_of(tmp_path, FIRST + JUMP + files.MAX_ENTRIES)
        blocking.mkdir()
        with pytest.raises(UnavailableError):
            openings()
        blocking.rmdir()
        openings()


class TestCommit:
    def test_numbers_follow_each_other(self, openings: Openings) -> None:
        writer, _ = openings()
        assert [FIRST, FIRST + 1, FIRST + 2] == [e.seq for e in [*commit(writer, 2), *commit(writer)]]

    def test_nothing_to_commit_writes_nothing(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings()
        before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
        assert ([], [], [], False) == commit_of(writer, [])
        assert before == {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}

    def test_receipts_alone_take_no_number(self, openings: Openings) -> None:
        writer, _ = openings()
        commit_of(writer, [], b"x" * 10)
        assert FIRST == commit(writer)[0].seq

    def test_facts_follow_the_commit(self, openings: Openings) -> None:
        writer, _ = openings()
        (facts,) = commit_of(writer, [draft(at=NOW_MS), draft(at=NOW_MS + 9)]).segments
        assert (FIRST + 1, NOW_MS, NOW_MS + 9) == (facts.last, facts.first_received_at_ms, facts.last_received_at_ms)
        assert files.bytes_on_disk(facts.path) == facts.bytes

    def test_a_closed_log_takes_nothing(self, openings: Openings) -> None:
        writer, _ = openings()
        writer.close()
        with pytest.raises(LogError, match="closed"):
            commit(writer)


class TestRoll:
    def test_a_segment_ends_when_it_is_large(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings(segment_bytes=1)
        commit(writer, 3)
        ended, begun = commit_of(writer, [draft()]).segments
        assert [(FIRST, FIRST + 2), (FIRST + 3, FIRST + 3)] == [(ended.first, ended.last), (begun.first, begun.last)]
        assert (Seam(FIRST + 2, FIRST + 3),) == begun.seams

    def test_a_segment_ends_when_it_is_old(self, openings: Openings, tmp_path: Path) -> None:
        clock = StillClock(NOW_MS)
        writer, _ = openings(clock=clock, segment_age_s=1)
        for seconds in (0, 1, 0.001):
            clock.pass_s(seconds)
            commit(writer, at=clock.wall)
        assert 2 == len(segments(tmp_path))

    @pytest.mark.parametrize("step_s", [-864_000, 864_000])
    def test_a_wall_clock_that_steps_makes_no_segment_older(
        self, openings: Openings, tmp_path: Path, step_s: int
    ) -> None:
        clock = StillClock(NOW_MS)
        writer, _ = openings(clock=clock, segment_age_s=3600)
        for _ in range(3):
            commit(writer, at=clock.wall)
            clock.wall += step_s * 1000
        assert 1 == len(segments(tmp_path))

    def test_a_segment_ends_before_it_holds_more_than_its_name_allows(
        self, openings: Openings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.log.sqlite.newest.MAX_ENTRIES", 5)
        writer, _ = openings()
        for count in (3, 2, 1):
            commit(writer, count)
        assert [5, 1] == [len(query.read(path, 0, 2**53, ALL, 10)[0]) for path in segments(tmp_path)]

    def test_a_segment_that_ended_is_one_file(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings(segment_bytes=1)
        commit(writer)
        commit(writer)
        assert [segments(tmp_path)[0]] == list(tmp_path.glob(f"{FIRST}.*"))

    def test_rolling_over_ends_a_segment_without_a_commit(self, openings: Openings) -> None:
        writer, _ = openings()
        commit(writer)
        ended, begun = writer.roll_over().segments
        assert (FIRST, FIRST + 1, True) == (ended.last, begun.first, begun.is_empty)
        assert [begun] == writer.roll_over().segments

    def test_rolling_over_that_fails_leaves_the_segment_open_for_commits(
        self, openings: Openings, tmp_path: Path
    ) -> None:
        writer, _ = openings()
        commit(writer)
        files.path_of(tmp_path, FIRST + 1).mkdir()
        with pytest.raises(UnavailableError):
            writer.roll_over()
        assert [FIRST + 1] == [entry.seq for entry in commit(writer)]

    def test_a_beginning_that_fails_leaves_the_sound_segment_in_use(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings(segment_bytes=1)
        commit(writer)
        blocking = files.path_of(tmp_path, FIRST + 1)
        blocking.mkdir()
        for call in (lambda: commit(writer), writer.roll_over, lambda: commit(writer)):
            with pytest.raises(UnavailableError):
                call()
        blocking.rmdir()
        change = commit_of(writer, [draft()])
        assert [FIRST + 1] == [entry.seq for entry in change.entries]
        assert ([], [FIRST, FIRST + 1]) == (change.damaged, [facts.first for facts in change.segments])


class TestDamage:
    def test_a_damaged_newest_segment_is_replaced_in_the_same_commit(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings()
        commit(writer, 3)
        segments(tmp_path)[-1].unlink()
        change = commit_of(writer, [draft()])
        assert ([FIRST + 3], [FIRST]) == ([e.seq for e in change.entries], [facts.first for facts in change.damaged])
        assert (Seam(FIRST + 2, FIRST + 3),) == change.segments[-1].seams

    def test_an_empty_one_is_replaced_under_another_name_and_nothing_is_missing(
        self, openings: Openings, tmp_path: Path
    ) -> None:
        writer, _ = openings()
        segments(tmp_path)[-1].unlink()
        change = commit_of(writer, [draft()])
        assert [FIRST + 1] == [entry.seq for entry in change.entries]
        assert (Seam(FIRST - 1, FIRST), Seam(FIRST - 1, FIRST + 1)) == change.segments[-1].seams

    def test_what_a_reader_found_is_set_aside_once(self, openings: Openings, tmp_path: Path) -> None:
        writer, begun = openings()
        commit(writer)
        first = writer.discard(begun.shelf.segments[0])
        again = writer.discard(begun.shelf.segments[0])
        assert [[FIRST], []] == [[facts.first for facts in change.damaged] for change in (first, again)]
        assert [FIRST + 1] == [files.first_of(path) for path in segments(tmp_path)]

    def test_a_replacement_that_fails_halfway_is_finished_by_the_next_commit(
        self, openings: Openings, tmp_path: Path
    ) -> None:
        writer, begun = openings()
        commit(writer)
        blocking = files.path_of(tmp_path, FIRST + 1)
        blocking.mkdir()
        with pytest.raises(UnavailableError):
            writer.discard(begun.shelf.segments[0])
        with pytest.raises(UnavailableError):
            commit(writer)
        blocking.rmdir()
        change = commit_of(writer, [draft()])
        assert ([FIRST + 1], [FIRST]) == ([e.seq for e in change.entries], [facts.first for facts in change.damaged])

    def test_what_cannot_be_unlinked_is_told_and_stops_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = files.path_of(tmp_path, 1)
        folder.mkdir()
        remove([folder])
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
        writer = opened(folder, segment_bytes=26_000).writer
        for step in steps:
            if isinstance(step, int):
                commit(writer, step)
            elif step == "refused":
                with pytest.raises(UnicodeEncodeError):
                    commit_of(writer, [draft(), msgspec.structs.replace(draft(), device="\ud800")])
            elif step == "roll":
                writer.roll_over()
            elif step == "discard":
                writer.discard(writer.facts)
            else:
                if step == "kill":
                    folder = crash(folder, folder.with_name(f"{folder.name}k"))
                writer.close()
                writer = opened(folder, segment_bytes=26_000).writer
        writer.close()
        for path in segments(folder):
            facts = query.facts(path)
            assert facts is not None
            assert list(range(facts.first, facts.last + 1)) == query.numbers(path, 0, facts.last, ALL)


class TestReceipts:
    """What tells a redelivered message must outlive the segment that its entry is in."""

    def test_receipts_outlive_the_segments_that_retention_takes(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings(segment_bytes=8 * 40)
        for number in range(10):
            commit_of(writer, [draft(number)], receipt(number + 1, 7))
        *gone, newest = segments(tmp_path)
        assert len(gone) > 3
        remove(gone)
        _, begun = openings()
        assert [7, 8, 9, 10] == packet_ids(begun.receipts)[-4:]
        assert newest.exists()

    def test_an_opening_without_a_message_hands_them_on(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings()
        commit_of(writer, [draft()], receipt(5, 7))
        openings()
        writer, _ = openings()
        commit_of(writer, [draft()])
        oldest, *_ = segments(tmp_path)
        remove([oldest])
        assert receipt(5, 7) == openings()[1].receipts

    def test_they_take_no_more_than_an_eighth_of_a_segment(self, openings: Openings, tmp_path: Path) -> None:
        writer, _ = openings(segment_bytes=8 * 40)
        for number in range(50):
            commit_of(writer, [draft(number)], receipt(number + 1, 7))
        writer.close()
        assert all(40 + RECEIPT_BYTES >= len(b"".join(query.receipts(path, 1000))) for path in segments(tmp_path))
