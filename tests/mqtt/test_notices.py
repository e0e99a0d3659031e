from __future__ import annotations

import pytest

from gateway.mqtt import notices
from gateway.mqtt.notices import Notices


def test_the_newest_of_each_kind_stands() -> None:
    told = Notices()
    told.tell("dropped", "5 messages")
    told.tell("session", "forgotten")
    told.tell("dropped", "9 messages")
    assert ["9 messages", "forgotten"] == told.told


def test_a_notice_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "NOTICE_S", 0.0)
    told = Notices()
    told.tell("session", "forgotten")
    assert [] == told.told


def test_what_still_stands_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told = Notices()
    told.tell("session", "forgotten")
    told.tell("session", "forgotten")
    assert 1 == len(caplog.records)
