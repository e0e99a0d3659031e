from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.counters import Counters
from gateway.intake.repeats.retained import Remembered
from gateway.mqtt import delivery as delivery_module
from gateway.mqtt.delivery import Delivery
from gateway.mqtt.notices import Notices
from gateway.mqtt.subscriptions import DROPPED_TOPIC
from gateway.mqtt.window import STREAK
from gateway.reading import Message


def message(packet_id: int, payload: str = "1", *, retain: bool = False, dup: bool = False) -> Message:
    """At QoS 1 if it has a packet id."""
    return Message("sensors/boiler", payload.encode(), int(packet_id > 0), retain, dup, packet_id, 0)


def dropped(payload: bytes) -> Message:
    return Message(DROPPED_TOPIC, payload, 0, True, False, 0, 0)


class Ends:
    """Both ends of a delivery: what came to the log, what it may call after its commits, and what was acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.logged: list[int] = []
        self.commits: list[Callable[[], None]] = []
        self.acknowledged: list[int] = []
        self.counters, self.notices = Counters(), Notices()
        self.remembered = Remembered(folder / "session.json", "localhost:1883", "us")
        self.delivery = Delivery(
            self._deliver, self.acknowledged.extend, self.remembered, self.notices, self.counters, window=1000
        )
        self.delivery.begin(resumed=False)

    def _deliver(self, messages: list[Message], committed: Callable[[], None]) -> None:
        self.logged += [message.packet_id for message in messages]
        self.commits.append(committed)


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return Ends(tmp_path)


def test_messages_are_acknowledged_together_when_they_are_committed_and_not_before(ends: Ends) -> None:
    ends.delivery.messages_came([message(1), message(0), message(2)])
    assert ([1, 0, 2], []) == (ends.logged, ends.acknowledged)
    ends.commits[0]()
    assert [1, 2] == ends.acknowledged
    assert (3, 3) == (ends.counters.messages_total, ends.counters.message_bytes_total)


def test_nothing_is_acknowledged_when_the_connection_is_lost(ends: Ends) -> None:
    ends.delivery.messages_came([message(1)])
    ends.delivery.end()
    ends.commits[0]()
    assert [] == ends.acknowledged


def test_nothing_is_acknowledged_on_another_connection_than_it_came_by(ends: Ends) -> None:
    ends.delivery.messages_came([message(1)])
    ends.delivery.end()
    ends.delivery.begin(resumed=True)
    ends.commits[0]()
    assert [] == ends.acknowledged


def test_what_came_before_the_broker_accepted_us_is_not_acknowledged(ends: Ends) -> None:
    ends.delivery.end()
    ends.delivery.messages_came([message(1)])
    ends.delivery.begin(resumed=True)
    ends.commits[0]()
    assert [] == ends.acknowledged


def test_what_comes_again_under_a_new_number_is_acknowledged_and_not_handed_on(ends: Ends) -> None:
    ends.delivery.messages_came([message(1, "a"), message(2, "b")])
    ends.delivery.end()
    ends.delivery.begin(resumed=True)
    ends.delivery.messages_came([message(8, "a"), message(9, "b"), message(10, "c")])
    assert [1, 2, 10] == ends.logged
    assert 2 == ends.counters.redelivered_total
    ends.commits[1]()
    assert [8, 9, 10] == ends.acknowledged


def test_what_comes_again_and_says_so_is_left_to_the_log(ends: Ends) -> None:
    ends.delivery.messages_came([message(1)])
    ends.delivery.end()
    ends.delivery.begin(resumed=True)
    ends.delivery.messages_came([message(1, dup=True)])
    assert ([1, 1], 0) == (ends.logged, ends.counters.redelivered_total)


def test_a_retained_message_is_handed_on_once_and_acknowledged_each_time(ends: Ends) -> None:
    for packet_id in (1, 2):
        ends.delivery.messages_came([message(packet_id, retain=True)])
        ends.commits[-1]()
    assert ([1], [1, 2]) == (ends.logged, ends.acknowledged)
    assert 1 == ends.counters.retained_repeats_total


def test_a_retained_message_is_remembered_for_the_next_life_when_it_is_committed(ends: Ends) -> None:
    ends.delivery.messages_came([message(1, retain=True), message(2)])
    assert ends.remembered.changes() is None
    ends.delivery.end()
    ends.commits[-1]()
    assert ends.remembered.changes() is not None


def test_the_broker_s_count_of_drops_is_told_and_is_no_message(ends: Ends) -> None:
    ends.delivery.messages_came([dropped(b"5"), message(1), dropped(b"5")])
    assert ([1], 1, []) == (ends.logged, ends.counters.messages_total, ends.notices.told)
    ends.delivery.messages_came([dropped(b"12")])
    assert 1 == len(ends.commits)
    assert 7 == ends.counters.broker_dropped_total
    assert "the broker has dropped 7 messages" in ends.notices.told[0]


@pytest.mark.parametrize("payload", [b"", b"-1", b"1.5", "²".encode(), b"9" * 19, b"9" * 5000])
def test_a_count_that_is_none_says_nothing(ends: Ends, payload: bytes) -> None:
    for each in (b"5", payload, b"6"):
        ends.delivery.messages_came([dropped(each)])
    assert 1 == ends.counters.broker_dropped_total


def test_a_new_connection_knows_nothing_of_the_broker_s_limit(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(delivery_module, "time", SimpleNamespace(monotonic=lambda: now))
    for _ in range(STREAK + 5):
        now += 0.001
        ends.delivery.messages_came([message(1)] * 20)
        now += 0.02
        ends.commits[-1]()
    assert 20 == ends.delivery.limit
    ends.delivery.begin(resumed=True)
    assert 0 == ends.delivery.limit
