from __future__ import annotations

from pathlib import Path

import pytest

from gateway.log.sqlite import files
from gateway.log.sqlite.files import MAX_ENTRIES, path_of
from gateway.log.sqlite.survey import newest_receipts, recent, survey
from gateway.log.store import UnavailableError
from tests.log.parts import draft, overwrite, zero_header
from tests.log.sqlite.parts import open_segment


def make(folder: Path, first: int, count: int, receipts: bytes = b"") -> Path:
    opened = open_segment(path_of(folder, first))
    opened.append(first, [draft(n) for n in range(count)], receipts)
    opened.close()
    return opened.path


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert ([], [], 0, False) == (*survey(tmp_path), survey(tmp_path).has_lost_newest)


def test_sound_segments_come_in_order(tmp_path: Path) -> None:
    for first in (300, 100, 200):
        make(tmp_path, first, 10)
    found = survey(tmp_path)
    assert ([100, 200, 300], [], 309) == ([facts.first for facts in found.sound], found.damaged, found.last)


@pytest.mark.parametrize(("harmed", "found"), [(0, []), (1, ["0000000000001000.sqlite3"])])
def test_only_the_newest_with_entries_is_checked_whole(tmp_path: Path, harmed: int, found: list[str]) -> None:
    path = [make(tmp_path, 100, 300), make(tmp_path, 1000, 300)][harmed]
    make(tmp_path, 2000, 0)
    # A page in the middle: the ends of the table, which facts are read from, are sound.
    pages = path.read_bytes()
    path.write_bytes(pages[:-8192] + b"\xa5" * 4096 + pages[-4096:])
    assert found == survey(tmp_path).damaged


def test_nothing_can_exceed_the_number_told_even_where_files_cannot_be_read(tmp_path: Path) -> None:
    make(tmp_path, 100, 10)
    zero_header(make(tmp_path, 5000, 10))
    found = survey(tmp_path)
    assert (5000 + MAX_ENTRIES, True) == (found.last, found.has_lost_newest)


def test_a_half_begun_segment_goes_and_its_numbers_are_kept_clear(tmp_path: Path) -> None:
    path_of(tmp_path, 700).touch()
    found = survey(tmp_path)
    assert ([], [], 700 + MAX_ENTRIES, []) == (*found, files.paths_in(tmp_path))


def test_a_file_that_cannot_be_opened_is_told_and_not_set_aside(tmp_path: Path) -> None:
    path_of(tmp_path, 700).mkdir()
    with pytest.raises(UnavailableError):
        survey(tmp_path)
    assert path_of(tmp_path, 700).exists()


def test_receipts_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, 100, 10, b"1" * 10)
    make(tmp_path, 200, 300, b"2" * 10)
    make(tmp_path, 900, 10, b"3" * 10)
    held = survey(tmp_path).sound
    overwrite(held[1].path)
    assert b"1" * 10 + b"3" * 10 == newest_receipts(held, 100)


@pytest.mark.parametrize(
    ("entries", "page", "max_bytes", "whole_from", "floor", "held"),
    [
        (99, 1000, 2**20, 99, 99, [100, 101, 102, 200, 201, 202, 203]),
        (99, 2, 2**20, 99, 99, [100, 101, 102, 200, 201, 202, 203]),
        (99, 2, 2**20, 100, 100, [101, 102, 200, 201, 202, 203]),
        (99, 1000, 2**20, 199, 199, [200, 201, 202, 203]),
        (4, 1000, 2**20, 99, 199, [200, 201, 202, 203]),
        (3, 2, 2**20, 99, 199, [200, 201, 202, 203]),
        (1, 1, 2**20, 99, 202, [203]),
        (0, 1000, 2**20, 99, 299, []),
        (99, 1000, 0, 99, 299, []),
    ],
)
def test_the_newest_entries_reach_back_to_the_first_bound_that_is_met(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entries: int,
    page: int,
    max_bytes: int,
    whole_from: int,
    floor: int,
    held: list[int],
) -> None:
    monkeypatch.setattr("gateway.log.sqlite.survey.RECENT_ENTRIES", entries)
    monkeypatch.setattr("gateway.log.sqlite.survey.RECENT_PAGE", page)
    for first, count in ((100, 3), (200, 4), (300, 0)):
        make(tmp_path, first, count)
    found = recent(survey(tmp_path).sound, whole_from, max_bytes)
    assert (floor, held) == (found.after, [entry.seq for entry in found.entries])


def test_what_cannot_be_read_ends_the_newest_entries(tmp_path: Path) -> None:
    for first in (100, 200):
        make(tmp_path, first, 3)
    found = survey(tmp_path).sound
    path_of(tmp_path, 100).unlink()
    assert 199 == recent(found, 99, 2**20).after
