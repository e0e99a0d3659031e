from __future__ import annotations

from pathlib import Path

import pytest

from gateway.counters import Counters
from gateway.mqtt.drops import Drops
from gateway.mqtt.facts import Facts
from gateway.mqtt.notices import Notices
from tests.parts import HandClock


class Heard:
    """What is counted and told of drops."""

    def __init__(self, folder: Path) -> None:
        self.counters, self.notices = Counters(), Notices(HandClock())
        self.drops = Drops(Facts(folder, "localhost:1883", "us"), self.notices, self.counters)


def test_what_the_broker_dropped_since_its_last_word_is_counted_and_told(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    heard.drops.told(b"5")
    assert (0, []) == (heard.counters.broker_dropped_total, heard.notices.told)
    heard.drops.told(b"12")
    assert 7 == heard.counters.broker_dropped_total
    assert "the broker has dropped 7 messages" in heard.notices.told[0]


@pytest.mark.parametrize("payload", [b"", b"-1", b"1.5", "\u00b2".encode(), b"9" * 19, b"9" * 5000])
def test_a_count_that_is_none_says_nothing(tmp_path: Path, payload: bytes) -> None:
    heard = Heard(tmp_path)
    for each in (b"5", payload, b"6"):
        heard.drops.told(each)
    assert 1 == heard.counters.broker_dropped_total
