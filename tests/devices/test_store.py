from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.devices import store as known
from tests.log.parts import halve, overwrite, zero_header


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.sqlite3"


def test_what_is_saved_is_loaded(path: Path) -> None:
    known.save(path, {"a": b'{"device":"a"}', "k\u00fcche": b"{}"}, 42)
    assert ({"a": b'{"device":"a"}', "k\u00fcche": b"{}"}, 42) == known.load(path)


def test_a_save_changes_only_what_it_names(path: Path) -> None:
    known.save(path, {"a": b"1", "b": b"2"}, 1)
    known.save(path, {"b": b"3"}, 2)
    assert ({"a": b"1", "b": b"3"}, 2) == known.load(path)


def test_a_file_that_is_not_there_knows_nothing(path: Path) -> None:
    assert ({}, 0) == known.load(path)


@pytest.mark.parametrize("harm", [zero_header, overwrite, halve])
def test_a_damaged_file_knows_nothing_and_can_be_saved_again(path: Path, harm: Callable[[Path], None]) -> None:
    known.save(path, {f"device {n}": b"{}" * 200 for n in range(100)}, 42)
    harm(path)
    assert ({}, 0) == known.load(path)
    for _ in range(2):
        known.save(path, {"a": b"1"}, 43)
    states, position = known.load(path)
    assert (b"1", 43) == (states.get("a"), position)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE device SET state = NULL",
        "UPDATE device SET state = x'ff'",
        "UPDATE position SET position = -1",
        "UPDATE position SET position = 9007199254740992",
        "UPDATE position SET position = 'x'",
        "DROP TABLE device",
    ],
)
def test_values_that_make_no_sense_are_not_believed(path: Path, change: str) -> None:
    known.save(path, {"a": b"1"}, 42)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(change)
    states, position = known.load(path)
    assert {} == states
    assert position in {0, 42}


def test_a_folder_that_is_gone_is_told_in_the_log_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known.save(tmp_path / "gone" / "devices.sqlite3", {}, 1)
    assert ["what is known of the devices cannot be saved: unable to open database file"] == caplog.messages


def test_a_save_waits_for_nobody_and_loses_nothing_when_the_file_is_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known.save(path, {"a": b"1"}, 1)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, timeout=0.01))
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        known.save(path, {"a": b"2"}, 2)
        other.execute("ROLLBACK")
    assert ({"a": b"1"}, 1) == known.load(path)
    assert ["what is known of the devices cannot be saved: database is locked"] == caplog.messages
