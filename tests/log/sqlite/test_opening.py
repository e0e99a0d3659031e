from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import LogError
from gateway.log import LogSettings
from gateway.log.sqlite.opening import Life, begin
from gateway.selection import ALL
from tests.log.parts import ONE_A_SEGMENT, draft, overwrite, segments


def lived(folder: Path, commits: int) -> list[int]:
    """A life with so many commits, each in a segment of its own; returns the numbers of its last entries."""
    life = begin(LogSettings(folder, segment_bytes=ONE_A_SEGMENT), 0)
    last = [life.writer.commit([draft(n) for n in range(200)], b"").entries[-1].seq for _ in range(commits)]
    life.writer.close()
    return last


def seqs_in_tail(life: Life) -> list[int]:
    head = life.shelf.newest.last
    return [entry.seq for entry in life.tail.read(life.tail.floor, ALL, 9999, head).entries]


def test_a_first_life_begins_with_nothing(tmp_path: Path) -> None:
    life = begin(LogSettings(tmp_path), 0)
    head = life.shelf.newest.last
    assert (head, head, 0) == (life.shelf.floor, life.tail.floor, len(life.tail))
    assert 0 < life.written.fsyncs
    life.writer.close()


def test_the_tail_begins_with_what_is_on_the_shelf(tmp_path: Path) -> None:
    last = lived(tmp_path, 2)
    life = begin(LogSettings(tmp_path), 0)
    assert (last[0] - 200, [*range(last[0] - 199, last[1] + 1)]) == (life.tail.floor, seqs_in_tail(life))
    assert life.shelf.floor == life.tail.floor
    life.writer.close()


@pytest.mark.parametrize(("harmed", "reason"), [([], "expired"), ([1], "expired"), ([0, 1], "corrupt")])
def test_the_floor_is_called_corrupt_only_when_the_oldest_was_found_damaged(
    tmp_path: Path, harmed: list[int], reason: str
) -> None:
    """The oldest is looked at whole only where nothing newer is sound."""
    lived(tmp_path, 2)
    for place in reversed(harmed):
        overwrite(segments(tmp_path)[place])
    life = begin(LogSettings(tmp_path), 0)
    assert (len(harmed), reason) == (len(life.opened.damaged), life.shelf.floor_reason)
    life.writer.close()


def test_a_folder_in_use_begins_no_second_life(tmp_path: Path) -> None:
    life = begin(LogSettings(tmp_path), 0)
    with pytest.raises(LogError, match="another gateway"):
        begin(LogSettings(tmp_path), 0)
    life.writer.close()
