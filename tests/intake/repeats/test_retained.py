from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from gateway.intake.repeats.retained import MAX_RETAINED, Remembered


def opened(folder: Path, broker: str = "localhost:1883", client_id: str = "us") -> Remembered:
    return Remembered(folder / "session.json", broker, client_id)


def written(remembered: Remembered) -> bool:
    save = remembered.changes()
    if save:
        save()
    return save is not None


def test_granted_filters_outlive_us_without_being_asked_to(tmp_path: Path) -> None:
    opened(tmp_path).filters = {"sensors/#": 1}
    assert {"sensors/#": 1} == opened(tmp_path).filters


@pytest.mark.parametrize(("broker", "client_id"), [("other:1883", "us"), ("localhost:1883", "them")])
def test_what_belongs_to_another_session_counts_for_nothing(tmp_path: Path, broker: str, client_id: str) -> None:
    opened(tmp_path).filters = {"sensors/#": 1}
    assert {} == opened(tmp_path, broker, client_id).filters


@pytest.mark.parametrize("text", ["", "{", '{"broker": 1}', '{"broker":"localhost:1883","client_id":"us","filters":3}'])
def test_a_file_that_makes_no_sense_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "session.json").write_text(text)
    assert {} == opened(tmp_path).filters


def test_a_retained_message_is_repeated_when_nothing_in_it_changed(tmp_path: Path) -> None:
    remembered = opened(tmp_path)
    assert [False, True, False, False, True] == [
        remembered.is_repeated(topic, payload)
        for topic, payload in [("a", b"1"), ("a", b"1"), ("a", b"2"), ("b", b"2"), ("b", b"2")]
    ]
    assert not written(remembered)


def test_a_retained_message_is_known_after_a_restart_only_when_it_was_committed(tmp_path: Path) -> None:
    remembered = opened(tmp_path)
    for payload in (b"1", b"2"):
        assert not remembered.is_repeated("a", payload)
    remembered.was_committed("a", b"1")
    assert written(remembered)
    assert (True, False) == (remembered.is_repeated("a", b"2"), remembered.is_repeated("a", b"1"))
    again = opened(tmp_path)
    assert [True, False] == [again.is_repeated("a", payload) for payload in (b"1", b"2")]


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    remembered = opened(tmp_path)
    assert not remembered.is_repeated("a", b"1")
    remembered.was_committed("a", b"1")
    assert written(remembered)
    assert remembered.is_repeated("a", b"1")
    assert not written(remembered)


def test_topics_that_never_end_do_not_grow_it(tmp_path: Path) -> None:
    remembered = opened(tmp_path)
    for number in range(MAX_RETAINED + 10):
        remembered.is_repeated(str(number), b"")
    assert 10 == len(remembered._uncommitted)
    for number in range(MAX_RETAINED + 10):
        remembered.was_committed(str(number), b"")
    assert written(remembered)
    assert 0 == len(remembered._uncommitted)
    assert 10 == len(json.loads((tmp_path / "session.json").read_bytes())["retained"])


def test_the_broker_s_count_of_dropped_messages_is_followed_over_restarts_of_both(tmp_path: Path) -> None:
    remembered = opened(tmp_path)
    assert [0, 0, 5, 0] == [remembered.dropped_since(count) for count in (100, 100, 105, 105)]
    assert written(remembered)
    again = opened(tmp_path)
    assert 7 == again.dropped_since(112)
    assert 3 == again.dropped_since(3), "the broker began anew"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remembered = opened(tmp_path / "gone")
    with caplog.at_level(logging.WARNING):
        remembered.filters = {"a": 1}
        assert written(remembered), "what could not be written is still to be"
        (tmp_path / "gone").mkdir()
        assert written(remembered)
        assert not written(remembered)
    assert [True] == ["cannot be remembered" in record.message for record in caplog.records], "told once"
    assert {"a": 1} == opened(tmp_path / "gone").filters
