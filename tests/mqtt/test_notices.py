from __future__ import annotations

import pytest

from gateway.mqtt.notices import NOTICE_S, Notices
from tests.parts import HandClock


def test_the_newest_of_each_kind_is_shown() -> None:
    notices = Notices(HandClock())
    notices.tell("dropped", "5 messages")
    notices.tell("session", "forgotten")
    notices.tell("dropped", "9 messages")
    assert ["9 messages", "forgotten"] == notices.told


def test_a_notice_ends() -> None:
    clock = HandClock()
    notices = Notices(clock)
    notices.tell("session", "forgotten")
    clock.pass_s(NOTICE_S - 1)
    assert ["forgotten"] == notices.told
    clock.pass_s(1)
    assert [] == notices.told


def test_what_is_shown_already_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices(HandClock())
    notices.tell("session", "forgotten")
    notices.tell("session", "forgotten")
    assert 1 == len(caplog.records)
