from __future__ import annotations

import pytest

from gateway.counters import Counters
from gateway.intake.rejections import SAMPLE_INTERVAL_S, Rejections
from gateway.reading import Rejected
from tests.parts import HandClock


def test_each_is_counted_and_one_a_minute_of_each_reason_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    counters, clock = Counters(), HandClock(elapsed_s=0.0)
    rejections = Rejections(counters, clock)
    for _ in range(3):
        rejections.count(Rejected("empty", "first"))
        rejections.count(Rejected("bad_json", "other"))
    clock.pass_s(SAMPLE_INTERVAL_S)
    rejections.count(Rejected("empty", "later"))
    assert {"empty": 4, "bad_json": 3} == dict(counters.rejected_total)
    assert ["(empty): first", "(bad_json): other", "(empty): later"] == [
        message.removeprefix("rejected ") for message in caplog.messages
    ]


def test_a_fault_of_ours_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    Rejections(Counters(), HandClock()).count(Rejected("fault", "5 bytes"), ZeroDivisionError("ours"))
    assert "ZeroDivisionError: ours" in caplog.text
