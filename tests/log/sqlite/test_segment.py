from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.log.sqlite import query
from gateway.log.sqlite.faults import DamagedError
from gateway.log.sqlite.files import Seam, path_of
from gateway.log.sqlite.segment import CHECKPOINT_FRAMES, OpenSegment
from gateway.log.sqlite.spent import Spent
from gateway.log.store import UnavailableError
from gateway.reading import Draft, Entry
from gateway.selection import ALL
from tests.log.parts import FIRST, draft, drafts_of, entries, no_file_grows
from tests.log.sqlite.parts import open_segment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return path_of(tmp_path, FIRST)


def append(opened: OpenSegment, made: list[Entry]) -> None:
    opened.append(made[0].seq, drafts_of(made), b"")


class TestAppend:
    @pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 100, 199, 234])
    def test_a_batch_of_any_size_is_appended_whole_and_in_order(self, path: Path, count: int) -> None:
        opened = open_segment(path)
        opened.append(FIRST, drafts_of(made := entries(count)), b"")
        assert made == query.read(path, 0, FIRST + 999, ALL, 999)[0]
        opened.close()

    def test_a_batch_that_fails_leaves_nothing_behind(self, path: Path) -> None:
        opened = open_segment(path)
        with pytest.raises(UnicodeEncodeError):
            opened.append(FIRST, [draft(), draft(), Draft("reading", "\ud800", 1, b"{}")], b"")
        opened.append(FIRST, drafts_of(made := entries(1)), b"")
        assert made == query.read(path, 0, FIRST + 9, ALL, 10)[0]
        opened.close()

    def test_the_same_batch_may_be_appended_again(self, path: Path) -> None:
        opened = open_segment(path)
        opened.append(FIRST, drafts_of(made := entries(2)), b"")
        opened.append(FIRST, drafts_of(made), b"")
        assert made == query.read(path, 0, FIRST + 9, ALL, 10)[0]
        opened.close()

    @pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
    def test_durability_sets_how_far_a_commit_goes(self, path: Path, durability: str, synchronous: int) -> None:
        opened = open_segment(path, durability)
        assert [(synchronous,)] == opened._connection.execute("PRAGMA synchronous").fetchall()
        opened.close()

    def test_tables_and_seams_are_in_the_file_before_any_log_beside_it(self, path: Path) -> None:
        opened = open_segment(path, seams=(Seam(7, FIRST),))
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as other:
            assert [(FIRST, 7)] == other.execute("SELECT * FROM seam").fetchall()
        opened.close()

    def test_the_entry_table_has_no_index_beside_its_key(self, path: Path) -> None:
        opened = open_segment(path)
        opened.close()
        with closing(sqlite3.connect(path)) as other:
            assert [] == other.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()


def frames_in_wal(path: Path) -> int:
    """Frames of the write-ahead log as SQLite finds them, by another connection."""
    with closing(sqlite3.connect(path)) as other:
        return int(other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])


class TestCheckpoint:
    @pytest.fixture
    def opened(self, path: Path) -> Iterator[OpenSegment]:
        made = open_segment(path)
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
        with no_file_grows(path.stat().st_size), pytest.raises(UnavailableError):
            opened.checkpoint()
        assert opened.wants_checkpoint
        append(opened, entries(1, first=end))
        assert end == query.read(path, end - 1, end, ALL, 10)[0][0].seq
        opened.checkpoint()
        assert not opened.wants_checkpoint

    @pytest.mark.parametrize(("durability", "of_commits"), [("process", 0), ("power", 5)])
    def test_syncs_are_counted_as_strace_counts_them(self, path: Path, durability: str, of_commits: int) -> None:
        spent = Spent()
        opened = open_segment(path, durability, spent=spent)
        begun = spent.fsyncs
        for n in range(5):
            append(opened, entries(1, first=FIRST + n))
        assert begun + 2 + of_commits == spent.fsyncs
        opened.checkpoint()
        opened.close()
        assert (begun + 2 + of_commits + 2, 1) == (spent.fsyncs, spent.checkpoints)


class TestFaults:
    def test_a_fault_of_our_own_is_no_damage(self, path: Path) -> None:
        opened = open_segment(path)
        opened.close()
        with pytest.raises(UnavailableError, match="closed"):
            opened.append(FIRST, [draft()], b"")

    def test_a_file_that_was_removed_under_the_writer_takes_nothing_more(self, path: Path) -> None:
        opened = open_segment(path)
        path.unlink()
        with pytest.raises(DamagedError, match="gone"):
            opened.append(FIRST, [draft()], b"")
        opened.close()
