from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.devices.device import DeviceState
from gateway.devices.wire import Latest
from gateway.errors import DataError
from gateway.intake.repeats.retained import MAX_RETAINED, Retained, says_nothing_new
from gateway.reading import Reading, Value

OLD = '{"broker":"localhost:1883","client_id":"us","filters":{"sensors/#":1},"retained":{"a":7},"dropped":5}'
"""A `session.json` of before versions, which held the memory of retained messages."""


def opened(folder: Path, broker: str = "localhost:1883", client_id: str = "us") -> Retained:
    return Retained(folder, broker, client_id)


def written(retained: Retained) -> bool:
    save = retained.changes()
    if save:
        save()
    return save is not None


def test_a_retained_message_came_before_when_nothing_in_it_changed(tmp_path: Path) -> None:
    retained = opened(tmp_path)
    said = [("a", 1), ("a", 1), ("a", 2), ("b", 2), ("b", 2)]
    assert [False, True, False, False, True] == [retained.came_before(*each) for each in said]
    assert not written(retained)


def test_it_is_known_after_a_restart_only_when_it_was_committed(tmp_path: Path) -> None:
    retained = opened(tmp_path)
    assert [False, False] == [retained.came_before("a", hashed) for hashed in (1, 2)]
    retained.committed("a", 1)
    assert written(retained)
    assert (True, False) == (retained.came_before("a", 2), retained.came_before("a", 1))
    again = opened(tmp_path)
    assert [True, False] == [again.came_before("a", hashed) for hashed in (1, 2)]


@pytest.mark.parametrize(("broker", "client_id"), [("other:1883", "us"), ("localhost:1883", "them")])
def test_what_belongs_to_another_session_counts_for_nothing(tmp_path: Path, broker: str, client_id: str) -> None:
    retained = opened(tmp_path)
    retained.committed("a", 1)
    assert written(retained)
    assert not opened(tmp_path, broker, client_id).came_before("a", 1)


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    retained = opened(tmp_path)
    retained.committed("a", 1)
    assert written(retained)
    assert retained.came_before("a", 1)
    assert not written(retained)


def test_topics_that_never_end_do_not_grow_it(tmp_path: Path) -> None:
    retained = opened(tmp_path)
    for number in range(MAX_RETAINED + 10):
        retained.came_before(str(number), 1)
    assert MAX_RETAINED == len(retained._uncommitted)
    for number in range(MAX_RETAINED + 10):
        retained.committed(str(number), 1)
    assert written(retained)
    kept = json.loads((tmp_path / "retained.json").read_bytes())["retained"]
    assert (MAX_RETAINED, "9" in kept, "10" in kept) == (len(kept), False, True)
    assert 0 == len(retained._uncommitted)


def test_the_memory_of_before_versions_is_taken_over_at_once_and_only_once(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text(OLD)
    assert opened(tmp_path).came_before("a", 7)
    assert {"a": 7} == json.loads((tmp_path / "retained.json").read_bytes())["retained"]
    (tmp_path / "session.json").write_text(OLD.replace('"a"', '"b"'))
    assert [True, False] == [opened(tmp_path).came_before(topic, 7) for topic in "ab"]


@pytest.mark.parametrize("name", ["retained.json", "session.json"])
def test_a_newer_file_is_refused_and_stays_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"version":2}')
    with pytest.raises(DataError, match=name):
        opened(tmp_path)
    assert {name: '{"version":2}'} == {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_a_session_file_with_a_version_holds_no_memory_of_retained_messages(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text(OLD.replace("{", '{"version":1,', 1))
    assert not opened(tmp_path).came_before("a", 7)


def reading(values: dict[str, Value], measured_at_ms: int | None = None) -> Reading:
    return Reading("a", values, 9000, measured_at_ms, retained=True)


@pytest.mark.parametrize(
    ("said", "is_known"),
    [
        (reading({"x": 1}), True),
        (reading({"x": 2}), False),
        (reading({"x": 1, "y": 1}), False),
        (reading({"x": 1}, 500), True),
        (reading({"x": 1}, 600), False),
    ],
)
def test_a_retained_reading_says_nothing_new_when_all_of_it_is_known(said: Reading, is_known: bool) -> None:
    state = DeviceState("a", values={"x": Latest(1, 500, 1000)}, metrics={})
    assert is_known == says_nothing_new(said, state)
    assert not says_nothing_new(said, None)
