from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.errors import DataError
from gateway.mqtt.facts import MAX_CUTS_FOR_ASKING, Facts

OLD = (
    '{"broker":"localhost:1883","client_id":"us","filters":{"sensors/#":1},"retained":{"a":7},'
    '"dropped":5,"cut_for_asking":1}'
)
"""A `session.json` of before versions."""


def opened(folder: Path, broker: str = "localhost:1883", client_id: str = "us") -> Facts:
    return Facts(folder, broker, client_id)


def written(facts: Facts) -> bool:
    save = facts.changes()
    if save:
        save()
    return save is not None


def test_granted_filters_outlive_us_without_being_asked_to(tmp_path: Path) -> None:
    opened(tmp_path).granted({"sensors/#": 1})
    assert {"sensors/#": 1} == opened(tmp_path).filters


@pytest.mark.parametrize(("broker", "client_id"), [("other:1883", "us"), ("localhost:1883", "them")])
def test_what_belongs_to_another_session_counts_for_nothing(tmp_path: Path, broker: str, client_id: str) -> None:
    opened(tmp_path).granted({"sensors/#": 1})
    assert {} == opened(tmp_path, broker, client_id).filters


@pytest.mark.parametrize("text", ["", "{", '{"broker": 1}', '{"broker":"localhost:1883","client_id":"us","filters":3}'])
def test_a_file_that_makes_no_sense_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "session.json").write_text(text)
    assert {} == opened(tmp_path).filters


def test_a_file_of_before_versions_is_read_and_carries_the_version_from_its_next_change_on(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text(OLD)
    facts = opened(tmp_path)
    assert ({"sensors/#": 1}, True, 2) == (facts.filters, facts.may_ask_for_dropped, facts.dropped_since(7))
    assert written(facts)
    stored = json.loads((tmp_path / "session.json").read_text())
    assert (1, 7, False) == (stored["version"], stored["dropped"], "retained" in stored)


def test_a_newer_file_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text('{"version":2}')
    with pytest.raises(DataError, match=r"session\.json"):
        opened(tmp_path)
    assert '{"version":2}' == (tmp_path / "session.json").read_text()


def test_the_broker_s_count_of_dropped_messages_is_followed_over_restarts_of_both(tmp_path: Path) -> None:
    facts = opened(tmp_path)
    assert [0, 0, 5, 0] == [facts.dropped_since(count) for count in (100, 100, 105, 105)]
    assert written(facts)
    assert not written(facts)
    again = opened(tmp_path)
    assert 7 == again.dropped_since(112)
    assert 3 == again.dropped_since(3), "the broker began anew"


def test_a_broker_that_cuts_us_off_for_asking_is_not_asked_for_ever(tmp_path: Path) -> None:
    facts = opened(tmp_path)
    for _ in range(MAX_CUTS_FOR_ASKING):
        assert facts.may_ask_for_dropped
        facts.was_cut_for_asking()
    assert written(facts)
    assert not opened(tmp_path).may_ask_for_dropped


def test_a_folder_that_cannot_be_written_does_not_stop_us(tmp_path: Path) -> None:
    facts = opened(tmp_path / "gone")
    facts.granted({"a": 1})
    assert written(facts), "what could not be written is still to be"
    (tmp_path / "gone").mkdir()
    assert written(facts)
    assert {"a": 1} == opened(tmp_path / "gone").filters
