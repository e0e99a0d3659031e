from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.log import segment
from gateway.log.faults import DamagedError, StorageError
from gateway.log.files import Seam, path_of
from gateway.log.segment import CHECKPOINT_FRAMES, OpenSegment
from gateway.log.written import Written
from gateway.reading import Draft, Entry
from gateway.selection import ALL, select
from tests.log.parts import HARM, draft, drafts_of, no_file_grows, numbered

FIRST = 1_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return path_of(tmp_path, FIRST)


def entries(count: int, device: str = "a", first: int = FIRST) -> list[Entry]:
    return [numbered(draft(n, device, at=first + n), first + n) for n in range(count)]


def make(path: Path, made: list[Entry], packets: bytes = b"") -> None:
    opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
    for entry in made:
        opened.append(entry.seq, drafts_of([entry]), b"")
    opened.append(FIRST, [], packets)
    opened.close()


def append(opened: OpenSegment, made: list[Entry], packets: bytes = b"") -> None:
    opened.append(made[0].seq, drafts_of(made), packets)


def read_seqs(path: Path, after: int, until: int, patterns: list[str], limit: int) -> tuple[list[int], int]:
    found, position = segment.read(path, after, until, select(patterns), limit)
    return [entry.seq for entry in found], position


class TestAppendAndRead:
    def test_what_was_appended_is_read_byte_for_byte(self, path: Path) -> None:
        make(path, made := entries(3))
        assert (made, FIRST + 2) == segment.read(path, 0, FIRST + 2, ALL, 10)

    @pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 100, 199, 234])
    def test_a_batch_of_any_size_is_appended_whole_and_in_order(self, path: Path, count: int) -> None:
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        opened.append(FIRST, drafts_of(made := entries(count)), b"")
        assert made == segment.read(path, 0, FIRST + 999, ALL, 999)[0]
        opened.close()

    def test_a_full_page_ends_at_its_last_entry(self, path: Path) -> None:
        make(path, entries(5))
        assert ([FIRST, FIRST + 1], FIRST + 1) == read_seqs(path, 0, FIRST + 4, [], 2)

    def test_a_page_without_entries_of_the_selection_reaches_the_end(self, path: Path) -> None:
        make(path, entries(5))
        assert ([], FIRST + 4) == read_seqs(path, 0, FIRST + 4, ["b"], 2)

    def test_nothing_beyond_the_given_end_is_read(self, path: Path) -> None:
        make(path, entries(5))
        assert ([FIRST, FIRST + 1, FIRST + 2], FIRST + 2) == read_seqs(path, 0, FIRST + 2, [], 10)

    def test_the_open_segment_can_be_read(self, path: Path) -> None:
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        opened.append(FIRST, drafts_of(made := entries(3)), b"")
        assert (made, FIRST + 2) == segment.read(path, 0, FIRST + 2, ALL, 10)
        opened.close()

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        devices=st.lists(st.sampled_from(["a", "b", "k/x", "k/y", "[*?", "[", "]", "A", "ä/x"]), max_size=30),
        patterns=st.lists(
            st.sampled_from(["a", "b", "k/*", "*", "*x", "[*", "z", "[a]*", "?*", "*]", "[[]*", "ä*", "*[*?*"]),
            max_size=3,
        ),
        after=st.integers(-5, 31),
        limit=st.integers(1, 8),
    )
    def test_any_page_is_what_a_naive_filter_gives(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        devices: list[str],
        patterns: list[str],
        after: int,
        limit: int,
    ) -> None:
        path = path_of(tmp_path_factory.mktemp("segment"), FIRST)
        made = [numbered(draft(n, device), FIRST + n) for n, device in enumerate(devices)]
        make(path, made)
        selection, end = select(patterns), FIRST + len(made) - 1
        wanted = [entry for entry in made if entry.device in selection and entry.seq > FIRST + after][:limit]
        position = wanted[-1].seq if len(wanted) == limit else end
        assert (wanted, position) == segment.read(path, FIRST + after, end, selection, limit)

    @settings(max_examples=200, deadline=None)
    @given(
        device=st.text("ab[]?*^-/ä", max_size=8), glob=st.text("ab[]?*^-/ä", max_size=8).map(lambda text: f"{text}*")
    )
    def test_a_glob_means_the_same_in_a_query_as_in_memory(self, device: str, glob: str) -> None:
        where = segment._where(selection := select([glob]))
        with closing(sqlite3.connect(":memory:")) as connection:
            query = f"SELECT count(*) FROM (SELECT ? AS device) WHERE 1 {where.text}"
            (fits,) = connection.execute(query, [device, *where.patterns]).fetchone()
        assert (device in selection) == bool(fits)

    def test_a_name_with_any_sign_in_it_can_be_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "a ?#%41 &=b"
        folder.mkdir()
        make(path_of(folder, FIRST), made := entries(2))
        assert made == segment.read(path_of(folder, FIRST), 0, FIRST + 1, ALL, 10)[0]

    def test_a_batch_that_fails_leaves_nothing_behind(self, path: Path) -> None:
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        with pytest.raises(UnicodeEncodeError):
            opened.append(FIRST, [draft(), draft(), Draft("reading", "\ud800", 1, b"{}")], b"")
        opened.append(FIRST, drafts_of(made := entries(1)), b"")
        assert made == segment.read(path, 0, FIRST + 9, ALL, 10)[0]
        opened.close()

    def test_the_same_batch_may_be_appended_again(self, path: Path) -> None:
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        opened.append(FIRST, drafts_of(made := entries(2)), b"")
        opened.append(FIRST, drafts_of(made), b"")
        assert made == segment.read(path, 0, FIRST + 9, ALL, 10)[0]
        opened.close()

    @pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
    def test_durability_sets_how_far_a_commit_goes(
        self, path: Path, durability: segment.Durability, synchronous: int
    ) -> None:
        opened = OpenSegment(path, durability, (Seam(FIRST - 1, FIRST),))
        assert [(synchronous,)] == opened._connection.execute("PRAGMA synchronous").fetchall()
        opened.close()

    def test_tables_and_seams_are_in_the_file_before_any_log_beside_it(self, path: Path) -> None:
        opened = OpenSegment(path, "process", (Seam(7, FIRST),))
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as other:
            assert [(FIRST, 7)] == other.execute("SELECT * FROM seam").fetchall()
        opened.close()

    def test_the_entry_table_has_no_index_beside_its_key(self, path: Path) -> None:
        make(path, entries(1))
        with closing(sqlite3.connect(path)) as other:
            assert [] == other.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()


def frames_in_wal(path: Path) -> int:
    """Frames of the write-ahead log as SQLite finds them, by another connection."""
    with closing(sqlite3.connect(path)) as other:
        return int(other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])


class TestCheckpoint:
    @pytest.fixture
    def opened(self, path: Path) -> Iterator[OpenSegment]:
        made = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        yield made
        made.close()

    def fill(self, opened: OpenSegment, first: int = FIRST) -> int:
        """Commit until a checkpoint is wanted; returns the next number."""
        while not opened.wants_checkpoint:
            append(opened, entries(50, first=first))
            first += 50
        return first

    def test_no_commit_makes_one(self, path: Path, opened: OpenSegment) -> None:
        self.fill(opened)
        size = path.stat().st_size
        append(opened, entries(50, first=FIRST + 10**6 - 50))
        assert size == path.stat().st_size

    def test_it_is_wanted_at_about_so_many_pages(self, path: Path, opened: OpenSegment) -> None:
        self.fill(opened)
        assert 0.8 * CHECKPOINT_FRAMES <= frames_in_wal(path) <= 2 * CHECKPOINT_FRAMES

    def test_it_is_wanted_no_more_and_the_log_begins_at_its_start_again(self, path: Path, opened: OpenSegment) -> None:
        wal = path.with_name(path.name + "-wal")
        first = self.fill(opened)
        size = wal.stat().st_size
        for _ in range(3):
            opened.checkpoint()
            assert not opened.wants_checkpoint
            first = self.fill(opened, first)
        assert wal.stat().st_size < 1.2 * size

    def test_a_reader_that_stays_puts_it_off_until_it_has_gone(self, path: Path, opened: OpenSegment) -> None:
        append(opened, entries(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM entry").fetchone()
            self.fill(opened, FIRST + 1)
            opened.checkpoint()
            assert opened.wants_checkpoint
        opened.checkpoint()
        assert not opened.wants_checkpoint

    def test_one_that_fails_stays_wanted_and_loses_nothing(self, path: Path, opened: OpenSegment) -> None:
        end = self.fill(opened)
        with no_file_grows(path.stat().st_size), pytest.raises(StorageError):
            opened.checkpoint()
        assert opened.wants_checkpoint
        append(opened, entries(1, first=end))
        assert end == segment.read(path, end - 1, end, ALL, 10)[0][0].seq
        opened.checkpoint()
        assert not opened.wants_checkpoint

    @pytest.mark.parametrize(("durability", "of_commits"), [("process", 0), ("power", 5)])
    def test_syncs_are_counted_as_strace_counts_them(
        self, path: Path, durability: segment.Durability, of_commits: int
    ) -> None:
        written = Written()
        opened = OpenSegment(path, durability, (Seam(FIRST - 1, FIRST),), written)
        begun = written.fsyncs
        for n in range(5):
            append(opened, entries(1, first=FIRST + n))
        assert begun + 2 + of_commits == written.fsyncs
        opened.checkpoint()
        opened.close()
        assert (begun + 2 + of_commits + 2, 1) == (written.fsyncs, written.checkpoints)


class TestFacts:
    def test_facts_tell_numbers_times_and_seams(self, path: Path) -> None:
        make(path, entries(3))
        facts = segment.facts(path)
        assert facts is not None
        assert (FIRST, FIRST + 2, FIRST, FIRST + 2, (Seam(FIRST - 1, FIRST),)) == facts[1:6]
        assert path.stat().st_size == facts.bytes

    def test_an_empty_segment_ends_before_its_first_number(self, path: Path) -> None:
        make(path, [])
        facts = segment.facts(path)
        assert facts is not None
        assert (True, FIRST - 1) == (facts.is_empty, facts.last)

    def test_a_file_whose_beginning_was_cut_short_has_none(self, path: Path) -> None:
        path.touch()
        assert None is segment.facts(path)

    def test_facts_fold_in_the_log_that_a_crash_left(self, path: Path, tmp_path: Path) -> None:
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        opened.append(FIRST, drafts_of(entries(3)), b"")
        copy = path_of(tmp_path / "copy", FIRST)
        copy.parent.mkdir()
        for side in ("", "-wal"):
            copy.with_name(copy.name + side).write_bytes(path.with_name(path.name + side).read_bytes())
        opened.close()
        facts = segment.facts(copy)
        assert facts is not None
        assert (FIRST + 2, [copy.name]) == (facts.last, [file.name for file in copy.parent.iterdir()])

    @pytest.mark.parametrize("seq", [FIRST - 1, FIRST + 1_000_000, 2**60])
    def test_numbers_that_do_not_fit_the_name_are_damage(self, path: Path, seq: int) -> None:
        make(path, [numbered(draft(), seq)])
        with pytest.raises(DamagedError, match="do not fit its name"):
            segment.facts(path)


class TestDamage:
    @pytest.mark.parametrize("harm", HARM)
    def test_a_harmed_file_is_called_damaged_when_it_is_read(self, path: Path, harm: Callable[[Path], None]) -> None:
        make(path, entries(200))
        harm(path)
        with pytest.raises(DamagedError):
            segment.read(path, 0, FIRST + 199, ALL, 500)

    @pytest.mark.parametrize("harm", HARM[:3])
    def test_a_harmed_file_is_called_damaged_when_it_is_checked(self, path: Path, harm: Callable[[Path], None]) -> None:
        make(path, entries(200))
        harm(path)
        with pytest.raises(DamagedError):
            segment.check(path)

    @pytest.mark.parametrize(
        "change",
        [
            "data = NULL",
            "data = 7",
            "data = x'ff'",
            "data = CAST(x'ff' AS TEXT)",
            "data = char(123, 10, 10, 125)",
            "data = char(13)",
            "kind = 'hello'",
            "kind = NULL",
            "device = 1.5",
        ],
    )
    def test_a_row_that_makes_no_sense_is_damage_and_never_a_block(self, path: Path, change: str) -> None:
        make(path, entries(1))
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("CREATE TABLE bare (seq INTEGER PRIMARY KEY, kind, device, received_at_ms, data, marks)")
            other.execute("INSERT INTO bare SELECT * FROM entry")
            other.execute(f"UPDATE bare SET {change}")
            other.execute("DROP TABLE entry")
            other.execute("ALTER TABLE bare RENAME TO entry")
        with pytest.raises(DamagedError):
            segment.read(path, 0, FIRST, ALL, 10)

    def test_a_file_that_cannot_be_opened_is_no_damage(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StorageError):
            segment.read(path, 0, FIRST, ALL, 10)

    def test_a_bad_sector_is_damage(self, path: Path) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        with pytest.raises(DamagedError), segment._translated("reading", path):
            raise error

    def test_a_fault_of_our_own_is_no_damage(self, path: Path) -> None:
        make(path, [])
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        opened.close()
        with pytest.raises(StorageError, match="closed"):
            opened.append(FIRST, [draft()], b"")

    def test_a_file_that_was_removed_under_the_writer_takes_nothing_more(self, path: Path) -> None:
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        path.unlink()
        with pytest.raises(DamagedError, match="gone"):
            opened.append(FIRST, [draft()], b"")
        opened.close()


class TestSearch:
    def test_a_time_finds_the_newest_entry_before_it(self, path: Path) -> None:
        make(path, [numbered(draft(at=ms), FIRST + n) for n, ms in enumerate([10, 10, 20, 20, 30])])
        found = [segment.position_before(path, ms) for ms in (10, 11, 20, 21, 30, 31)]
        assert [None, FIRST + 1, FIRST + 1, FIRST + 3, FIRST + 3, FIRST + 4] == found

    def test_an_empty_segment_has_nothing_before_any_time(self, path: Path) -> None:
        make(path, [])
        assert None is segment.position_before(path, 2**40)

    @given(times=st.lists(st.integers(1, 20), min_size=1, max_size=20).map(sorted), asked=st.integers(0, 21))
    @settings(max_examples=40, deadline=None)
    def test_any_time_finds_what_a_naive_search_finds(
        self, tmp_path_factory: pytest.TempPathFactory, times: list[int], asked: int
    ) -> None:
        path = path_of(tmp_path_factory.mktemp("times"), FIRST)
        make(path, [numbered(draft(at=ms), FIRST + 3 * n) for n, ms in enumerate(times)])
        before = [FIRST + 3 * n for n, ms in enumerate(times) if ms < asked]
        assert (before[-1] if before else None) == segment.position_before(path, asked)

    @pytest.mark.parametrize(
        ("patterns", "after", "until", "found"),
        [([], 1, 3, [2, 3]), (["a"], -9, 4, [0, 2, 4]), (["b*"], 0, 99, [1, 3, 5, 7, 9]), (["c"], -1, 9, [])],
    )
    def test_numbers_are_those_of_the_selection_in_the_range(
        self, path: Path, patterns: list[str], after: int, until: int, found: list[int]
    ) -> None:
        make(path, [numbered(draft(n, "ab"[n % 2]), FIRST + n) for n in range(10)])
        numbers = segment.numbers(path, FIRST + after, FIRST + until, select(patterns))
        assert found == [number - FIRST for number in numbers]

    def test_numbers_can_be_held_to_one_kind(self, path: Path) -> None:
        make(path, [numbered(draft(kind=kind), FIRST + n) for n, kind in enumerate(["reading", "device", "device"])])
        assert [FIRST + 1, FIRST + 2] == segment.numbers(path, 0, FIRST + 2, ALL, "device")

    def test_marks_with_and_without_entries_come_in_the_order_of_their_commits(self, path: Path) -> None:
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        opened.append(FIRST, [], b"1")
        append(opened, entries(2), b"2")
        opened.append(FIRST, [], b"3")
        opened.append(FIRST, [], b"4")
        append(opened, entries(2, first=FIRST + 2), b"5")
        append(opened, entries(1, first=FIRST + 4))
        opened.append(FIRST, [], b"6")
        opened.close()
        assert [b"6", b"5", b"4", b"3", b"2", b"1"] == segment.packets(path, 99)

    def test_packet_marks_come_newest_batch_first_and_no_more_than_asked_for(self, path: Path) -> None:
        opened = OpenSegment(path, "process", (Seam(FIRST - 1, FIRST),))
        for batch in (b"aa", b"bb", b"cc"):
            opened.append(FIRST, [], batch)
        opened.close()
        assert [[b"cc", b"bb"], [b"cc", b"bb", b"aa"]] == [segment.packets(path, 3), segment.packets(path, 99)]
