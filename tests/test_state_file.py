from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DataError
from gateway.state_file import StateFile


class Kept(msgspec.Struct):
    version: int = 3
    count: int = 0


def write(file: StateFile, count: int) -> None:
    file.changed()
    save = file.changes(lambda: Kept(count=count))
    assert save is not None
    save()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(StateFile(tmp_path / "kept.json", 3), 7)
    assert Kept(count=7) == StateFile(tmp_path / "kept.json", 3).read(Kept)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"count":"x"}', b'{"version":"x"}', b"\xff\xfe", b'{"version":null}']
)
def test_a_file_that_makes_no_sense_is_as_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "kept.json").write_bytes(text)
    assert StateFile(tmp_path / "kept.json", 3).read(Kept) is None


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_raise_anything_but_the_refusal(text: bytes) -> None:
    class Bytes(StateFile):
        def __init__(self) -> None:
            super().__init__(Path("/dev/null"), 3)
            self._path = self  # type: ignore[assignment] # it is read only

        def read_bytes(self) -> bytes:
            return text

    try:
        assert Bytes().read(Kept) is None or msgspec.json.decode(text, type=Kept)
    except DataError:
        assert msgspec.json.decode(text)["version"] > 3


def test_a_newer_file_is_refused_by_name_and_both_versions_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text('{"version":4,"count":{"of":"another kind"}}')
    with pytest.raises(DataError, match=r"kept\.json was written by a newer gateway: .* version 4 .* version 3"):
        StateFile(path, 3).read(Kept)
    assert '{"version":4,"count":{"of":"another kind"}}' == path.read_text()


def test_a_file_of_before_versions_is_read_and_newer_ones_can_be_left_out(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "kept.json", 3)
    (tmp_path / "kept.json").write_text('{"count":5,"more":1}')
    assert 5 == (file.read(Kept, newest=0) or Kept()).count
    (tmp_path / "kept.json").write_text('{"version":1,"count":5}')
    assert (True, None) == (file.read(Kept) is not None, file.read(Kept, newest=0))


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "kept.json", 3)
    assert file.changes(Kept) is None
    write(file, 1)
    assert file.changes(Kept) is None


def test_a_write_that_was_never_run_or_failed_is_to_be_done_again_and_a_failure_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = StateFile(tmp_path / "gone/kept.json", 3)
    file.changed()
    assert file.changes(Kept) is not None
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            save = file.changes(Kept)
            assert save is not None
            save()
        (tmp_path / "gone").mkdir()
        write(file, 2)
    assert [True] == ["cannot be written" in message for message in caplog.messages]
    assert (None, 2) == (file.changes(Kept), (file.read(Kept) or Kept()).count)


def test_an_older_write_that_runs_late_does_not_undo_a_newer_one(tmp_path: Path) -> None:
    """As when a save was cancelled, and its thread goes on."""
    file = StateFile(tmp_path / "kept.json", 3)
    file.changed()
    late = file.changes(lambda: Kept(count=1))
    write(file, 2)
    assert late is not None
    thread = threading.Thread(target=late)
    thread.start()
    thread.join()
    assert Kept(count=2) == file.read(Kept)
