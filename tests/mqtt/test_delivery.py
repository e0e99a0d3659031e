from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.counters import Counters
from gateway.mqtt.delivery import Delivery
from gateway.mqtt.drops import DROPPED_TOPIC, Drops
from gateway.mqtt.facts import Facts
from gateway.mqtt.limit import STREAK
from gateway.mqtt.notices import Notices
from gateway.mqtt.window import AT_ONCE_S, Window
from gateway.reading import Message
from tests.parts import HandClock


def message(packet_id: int, payload: str = "1") -> Message:
    """At QoS 1 if it has a packet id."""
    return Message("sensors/boiler", payload.encode(), int(packet_id > 0), False, False, packet_id, 0)


def dropped(payload: bytes) -> Message:
    return Message(DROPPED_TOPIC, payload, 0, True, False, 0, 0)


class Ends:
    """Both ends of a delivery: the sink that its messages go to, and the connection that they come from."""

    def __init__(self, folder: Path) -> None:
        self.appended: list[int] = []
        self.events: list[object] = []
        self.commits: list[Callable[[], bool]] = []
        self.acknowledged: list[int] = []
        self.is_behind, self.has_room, self.pauses, self.now_s = False, True, 0, 1.0
        self.counters, self.notices = Counters(), Notices(HandClock())
        drops = Drops(Facts(folder, "localhost:1883", "us"), self.notices, self.counters)
        self.delivery = Delivery(self, self, drops, self.counters, self._new_window, lambda: self.now_s)
        self.delivery.begin(resumed=False)

    def _new_window(self) -> Window:
        return Window(1000, self.events.append)

    def connection_began(self, *, resumed: bool) -> None:
        self.events.append("resumed" if resumed else "new")

    def receive(self, messages: list[Message], acknowledge: Callable[[], bool], *, is_behind: bool) -> bool:
        self.events.append(f"received, behind: {is_behind}")
        self.appended += [message.packet_id for message in messages]
        self.commits.append(acknowledge)
        return self.has_room

    def acknowledge(self, packet_ids: list[int]) -> None:
        self.acknowledged += packet_ids

    def pause(self) -> None:
        self.pauses += 1


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return Ends(tmp_path)


def test_messages_are_acknowledged_together_when_they_are_committed_and_not_before(ends: Ends) -> None:
    ends.delivery.messages_came([message(1), message(0), message(2)])
    assert ([1, 0, 2], []) == (ends.appended, ends.acknowledged)
    assert ends.commits[0]()
    assert [1, 2] == ends.acknowledged
    assert (3, 3) == (ends.counters.messages_total, ends.counters.message_bytes_total)


def test_nothing_is_acknowledged_when_the_connection_is_lost(ends: Ends) -> None:
    ends.delivery.messages_came([message(1)])
    ends.delivery.end()
    assert (False, []) == (ends.commits[0](), ends.acknowledged)


def test_nothing_is_acknowledged_on_another_connection_than_it_came_by(ends: Ends) -> None:
    ends.delivery.messages_came([message(1)])
    ends.delivery.end()
    ends.delivery.begin(resumed=True)
    assert (False, []) == (ends.commits[0](), ends.acknowledged)


def test_what_came_before_the_broker_accepted_us_is_not_acknowledged(ends: Ends) -> None:
    ends.delivery.end()
    ends.delivery.messages_came([message(1)])
    ends.delivery.begin(resumed=True)
    assert (False, []) == (ends.commits[0](), ends.acknowledged)


def test_the_sink_hears_of_each_connection(ends: Ends) -> None:
    ends.delivery.end()
    ends.delivery.begin(resumed=True)
    assert ["new", "resumed"] == ends.events


def test_a_commit_is_hurried_when_the_messages_are_in_it(ends: Ends) -> None:
    ends.is_behind = True
    ends.delivery.messages_came([message(number + 1) for number in range(500)])
    assert ["received, behind: True", AT_ONCE_S] == ends.events[1:]


def test_a_full_sink_pauses_the_connection(ends: Ends) -> None:
    ends.delivery.messages_came([message(1)])
    assert 0 == ends.pauses
    ends.has_room = False
    ends.delivery.messages_came([message(2)])
    assert 1 == ends.pauses


def test_the_broker_s_count_of_drops_is_told_and_is_no_message(ends: Ends) -> None:
    ends.delivery.messages_came([dropped(b"5"), message(1), dropped(b"5")])
    assert ([1], 1, []) == (ends.appended, ends.counters.messages_total, ends.notices.told)
    ends.delivery.messages_came([dropped(b"12")])
    assert (1, 7) == (len(ends.commits), ends.counters.broker_dropped_total)


def test_a_new_connection_knows_nothing_of_the_broker_s_limit(ends: Ends) -> None:
    for _ in range(STREAK + 5):
        ends.now_s += 0.001
        ends.delivery.messages_came([message(1)] * 20)
        ends.now_s += 0.02
        ends.commits[-1]()
    assert 20 == ends.delivery.limit
    ends.delivery.begin(resumed=True)
    assert 0 == ends.delivery.limit
