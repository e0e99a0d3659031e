from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import LogError
from gateway.log.sqlite.opening import Start
from gateway.log.store import Batch
from tests.log.parts import ONE_A_SEGMENT, draft, overwrite, segments
from tests.log.sqlite.parts import opened


def filled(folder: Path, commits: int) -> list[int]:
    """An opening with this number of commits, each in a segment of its own; the numbers of their last entries."""
    writer = opened(folder, segment_bytes=ONE_A_SEGMENT).writer
    drafts = [draft(n) for n in range(200)]
    last = [writer.commit(Batch(n, drafts)).entries[-1].seq for n in range(1, commits + 1)]
    writer.close()
    return last


def recent_seqs(begun: Start) -> list[int]:
    return [entry.seq for entry in begun.recent.entries]


def test_a_first_opening_begins_with_nothing(tmp_path: Path) -> None:
    begun = opened(tmp_path)
    span = begun.shelf.span
    assert (span.head, span.head, []) == (span.floor, begun.recent.after, recent_seqs(begun))
    begun.writer.close()


def test_the_newest_entries_of_earlier_openings_are_brought_along(tmp_path: Path) -> None:
    last = filled(tmp_path, 2)
    begun = opened(tmp_path)
    assert (last[0] - 200, [*range(last[0] - 199, last[1] + 1)]) == (begun.recent.after, recent_seqs(begun))
    assert begun.shelf.span.floor == begun.recent.after
    begun.writer.close()


@pytest.mark.parametrize(("harmed", "reason"), [([], "expired"), ([1], "expired"), ([0, 1], "corrupt")])
def test_the_floor_is_called_corrupt_only_when_the_oldest_was_found_damaged(
    tmp_path: Path, harmed: list[int], reason: str
) -> None:
    """The oldest is looked at whole only where nothing newer is sound."""
    filled(tmp_path, 2)
    for place in reversed(harmed):
        overwrite(segments(tmp_path)[place])
    begun = opened(tmp_path)
    assert (len(harmed), reason) == (len(begun.damaged), begun.shelf.span.floor_reason)
    begun.writer.close()


def test_a_folder_in_use_is_not_opened_again(tmp_path: Path) -> None:
    begun = opened(tmp_path)
    with pytest.raises(LogError, match="another gateway"):
        opened(tmp_path)
    begun.writer.close()
