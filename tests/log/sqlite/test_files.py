from __future__ import annotations

from pathlib import Path

import pytest

from gateway.log.sqlite import files
from gateway.log.store import UnavailableError


def test_names_are_padded_so_that_a_listing_is_in_order(tmp_path: Path) -> None:
    assert "0000000000000042.sqlite3" == files.path_of(tmp_path, 42).name
    assert 42 == files.first_of(files.path_of(tmp_path, 42))


@pytest.mark.parametrize(
    "name",
    ["42.sqlite3", "x.sqlite3", "0000000000000042", "lock", "0000000000000042.sqlite3-wal", "\u0660" * 16 + ".sqlite3"],
)
def test_other_files_are_no_segments(name: str) -> None:
    assert None is files.first_of(Path(name))


def test_what_a_kill_left_of_a_removed_segment_goes_at_the_next_look(tmp_path: Path) -> None:
    kept = files.path_of(tmp_path, 2)
    for file in (kept, kept.with_name(kept.name + "-wal"), tmp_path / f"{1:016d}.sqlite3-wal", tmp_path / "notes-wal"):
        file.touch()
    assert [kept] == files.paths_in(tmp_path)
    assert [kept.name, f"{kept.name}-wal", "notes-wal"] == sorted(file.name for file in tmp_path.iterdir())


def test_removing_takes_everything_and_may_be_done_twice(tmp_path: Path) -> None:
    path = files.path_of(tmp_path, 1)
    for side in ("", *files.SIDES):
        path.with_name(path.name + side).touch()
    files.remove(path)
    files.remove(path)
    assert [] == list(tmp_path.iterdir())


def test_what_cannot_be_removed_is_a_storage_error(tmp_path: Path) -> None:
    path = files.path_of(tmp_path, 1)
    path.mkdir()
    with pytest.raises(UnavailableError, match="removing"):
        files.remove(path)


def test_the_size_counts_the_write_ahead_log(tmp_path: Path) -> None:
    path = files.path_of(tmp_path, 1)
    path.write_bytes(b"12345")
    path.with_name(path.name + "-wal").write_bytes(b"678")
    assert [8, 0] == [files.bytes_on_disk(path), files.bytes_on_disk(files.path_of(tmp_path, 2))]


def test_setting_aside_keeps_the_newest_few(tmp_path: Path) -> None:
    for number in range(12):
        path = files.path_of(tmp_path, number)
        path.touch()
        path.with_name(path.name + "-wal").touch()
        files.set_aside(path)
    names = [f"{number:016d}.sqlite3{side}.corrupt" for number in range(4, 12) for side in ("", "-wal")]
    assert sorted(names) == sorted(file.name for file in tmp_path.iterdir())
    assert [] == files.paths_in(tmp_path)


def test_setting_aside_what_is_gone_does_nothing(tmp_path: Path) -> None:
    files.set_aside(files.path_of(tmp_path, 1))
    assert [] == list(tmp_path.iterdir())
