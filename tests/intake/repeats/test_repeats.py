"""Whether a message is decoded, and whether it is logged, for any broker and any sequence of what can happen."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.config import DevicesSection
from gateway.counters import Counters
from gateway.devices.presence import Presence
from gateway.devices.registry import Registry
from gateway.frame import numbered
from gateway.intake.repeats.receipts import Receipts
from gateway.intake.repeats.repeats import Arrival, Repeats
from gateway.intake.repeats.retained import Retained
from gateway.reading import Decoded, Message, Reading, Rejected
from tests.log.parts import fast_folder


def message(text: str, packet_id: int = 1, *, retain: bool = False, dup: bool = False, topic: str = "a") -> Message:
    """At QoS 1 if it has a packet id."""
    return Message(topic, text.encode(), int(packet_id > 0), retain, dup, packet_id, 0)


class Station:
    """Repeats with a decoder that counts: what was decoded, and what was to be logged."""

    def __init__(self, folder: Path, stored: bytes = b"") -> None:
        self.decoded: list[str] = []
        self.counters, self.registry = Counters(), Registry()
        self.retained = Retained(folder, "localhost:1883", "us")
        self.repeats = Repeats(self._decode, Receipts(stored), self.retained, self.registry, self.counters)
        self.repeats.connection_began(resumed=True)

    def _decode(self, message: Message) -> list[Decoded]:
        text = message.payload.decode()
        self.decoded.append(text)
        if text == "bad":
            return [Rejected("bad_json", text)]
        return [Reading(message.topic, {"x": text}, 1000, None, message.retain)]

    def receive(self, *messages: Message) -> tuple[list[str], Arrival]:
        """What is to be logged of messages that came together."""
        arrival = self.repeats.arrived(list(messages))
        said = [each for message in messages for each in self.repeats.news(message, arrival)]
        return [each.values["x"] if isinstance(each, Reading) else each.reason for each in said], arrival  # type: ignore[misc] # texts

    def logged(self, *messages: Message, is_acknowledged: bool = True) -> list[str]:
        """The same, when they are committed at once."""
        news, arrival = self.receive(*messages)
        self.repeats.committed(arrival, is_acknowledged=is_acknowledged)
        return news


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def test_a_packet_that_comes_again_and_says_so_is_neither_decoded_nor_logged(station: Station) -> None:
    assert ["1", "2"] == station.logged(message("1", 1), message("2", 2))
    assert [] == station.logged(message("1", 1, dup=True), message("2", 2, dup=True))
    assert (["1", "2"], 2) == (station.decoded, station.counters.redelivered_total)


def test_a_packet_that_says_so_but_never_came_is_logged(station: Station) -> None:
    station.logged(message("1", 1))
    assert ["2"] == station.logged(message("2", 1, dup=True))


def test_a_packet_that_comes_again_under_a_new_id_is_neither_decoded_nor_logged(station: Station) -> None:
    station.logged(message("1", 1), message("2", 2), is_acknowledged=False)
    station.repeats.connection_began(resumed=True)
    assert ["3"] == station.logged(message("1", 8), message("2", 9), message("3", 10))
    assert (["1", "2", "3"], 2) == (station.decoded, station.counters.redelivered_total)


def test_what_was_acknowledged_does_not_come_again(station: Station) -> None:
    station.logged(message("1", 1))
    station.repeats.connection_began(resumed=True)
    assert ["1"] == station.logged(message("1", 2)), "an equal message is news"


def test_a_new_session_knows_no_packet_of_the_one_before(station: Station) -> None:
    station.logged(message("1", 1), is_acknowledged=False)
    station.repeats.connection_began(resumed=False)
    assert ["1", "1"] == station.logged(message("1", 1, dup=True), message("1", 2))


def test_a_retained_message_that_comes_again_is_decoded_and_not_logged(station: Station) -> None:
    assert [["on"], [], []] == [station.logged(message("on", packet, retain=True)) for packet in (1, 2, 0)]
    assert (["on"] * 3, 2) == (station.decoded, station.counters.retained_repeats_total)


def test_a_retained_message_that_was_rejected_is_counted_once(station: Station) -> None:
    assert [["bad_json"], []] == [station.logged(message("bad", packet, retain=True)) for packet in (1, 2)]


def test_a_retained_packet_that_is_sent_again_is_decoded_once(station: Station) -> None:
    station.logged(message("on", 1, retain=True), is_acknowledged=False)
    station.logged(message("on", 2, retain=True), is_acknowledged=False)
    station.repeats.connection_began(resumed=True)
    assert [] == station.logged(*(message("on", packet, retain=True, dup=True) for packet in (1, 2)))
    assert (["on", "on"], 2) == (station.decoded, station.counters.redelivered_total)


def test_a_retained_message_is_remembered_over_restarts_once_it_is_committed(station: Station, tmp_path: Path) -> None:
    _, arrival = station.receive(message("on", retain=True))
    assert station.retained.changes() is None
    station.repeats.committed(arrival, is_acknowledged=False)
    save = station.retained.changes()
    assert save is not None
    save()
    again = Station(tmp_path)
    assert ([], ["on"]) == (again.logged(message("on", retain=True)), again.decoded)


def test_a_retained_copy_of_what_came_live_is_decoded_and_not_logged(station: Station) -> None:
    drafts = Presence(station.registry, DevicesSection()).drafts(Reading("a", {"x": "1"}, 1000))
    assert isinstance(drafts, list)
    station.registry.apply(numbered(drafts, 1))
    assert [] == station.logged(message("1", retain=True))
    assert (["1"], 0) == (station.decoded, station.counters.retained_repeats_total)
    assert ["2"] == station.logged(message("2", retain=True))
    assert ["1"] == station.logged(message("1")), "live, it is a reading like any other"


def test_equal_messages_at_qos_0_are_all_logged(station: Station) -> None:
    assert ["1", "1"] == station.logged(message("1", 0), message("1", 0))


TEXTS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=4)


@settings(deadline=None, max_examples=150, stateful_step_count=40)
class AnyBroker(RuleBasedStateMachine):
    """Live messages at QoS 1 through kills, reconnects and late commits: each is logged once, and decoded once a start.

    The broker sends in order, keeps what is not acknowledged, and sends it again first on a resumed session: with DUP under
    the old packet id, or without it under new ones. Where it does not set DUP, what a kill of ours left unacknowledged is
    logged again, as nothing tells; so there the gateway is not killed. Nor is it between a new session and the first commit
    after it: see `Receipts.forget`.
    """

    @initialize(sets_dup=st.booleans())
    def begin(self, sets_dup: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=fast_folder()))
        self.sets_dup = sets_dup
        self.published = 0
        self.packet_id = 0
        self.in_flight: list[tuple[int, str, int]] = []  # packet id, text, number of the message
        self.uncommitted: list[tuple[Arrival, list[str], list[int], int]] = []
        self.connection = 0
        self.logged: Counter[str] = Counter()
        self.stored = b""
        self.is_forgotten = True
        self.station = Station(self.folder)
        self.station.repeats.connection_began(resumed=False)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def _deliver(self, packets: list[tuple[int, str, int]], *, dup: bool) -> None:
        news, arrival = self.station.receive(*(message(text, packet_id, dup=dup) for packet_id, text, _ in packets))
        self.uncommitted.append((arrival, news, [packet_id for packet_id, *_ in packets], self.connection))

    @rule(texts=TEXTS)
    def publish(self, texts: list[str]) -> None:
        """New messages, many of them equal."""
        self._deliver(self._sent(texts), dup=False)

    @rule(texts=TEXTS)
    def publish_as_the_connection_breaks(self, texts: list[str]) -> None:
        """The broker has sent them and counts them as in flight; we never got them."""
        self._sent(texts)
        self.reconnect()

    def _sent(self, texts: list[str]) -> list[tuple[int, str, int]]:
        packets = []
        for text in texts:
            self.packet_id, self.published = self.packet_id + 1, self.published + 1
            packets.append((self.packet_id, text, self.published))
        self.in_flight += packets
        return packets

    @precondition(lambda self: self.uncommitted)
    @rule(is_sent=st.booleans())
    def commit(self, is_sent: bool) -> None:
        """The oldest commit ends. ``is_sent`` is whether the PUBACK reaches the broker, where the connection is the same."""
        arrival, news, packet_ids, connection = self.uncommitted.pop(0)
        self.logged.update(news)
        self.stored += b"".join(arrival.receipts)
        self.is_forgotten = self.is_forgotten or bool(arrival.receipts)
        is_acknowledged = connection == self.connection and is_sent
        self.station.repeats.committed(arrival, is_acknowledged=is_acknowledged)
        if is_acknowledged:
            self.in_flight = [packet for packet in self.in_flight if packet[0] not in packet_ids]

    @rule()
    def reconnect(self) -> None:
        """The session is resumed; all that was not acknowledged comes again at once, in its order."""
        self.connection += 1
        self.station.repeats.connection_began(resumed=True)
        if not self.sets_dup:
            renumbered = []
            for _, text, number in self.in_flight:
                self.packet_id += 1
                renumbered.append((self.packet_id, text, number))
            self.in_flight = renumbered
        if self.in_flight:
            self._deliver(self.in_flight, dup=self.sets_dup)

    @precondition(lambda self: self.sets_dup and self.is_forgotten)
    @rule()
    def kill(self) -> None:
        """What was not committed is gone with the process, and the broker still has it."""
        self.uncommitted = []
        self.station = Station(self.folder, self.stored)
        self.reconnect()

    @rule()
    def lose_session(self) -> None:
        """The broker forgets us, and what was in flight: what of it was not committed yet still will be."""
        self.connection += 1
        self.station.repeats.connection_began(resumed=False)
        self.in_flight = []
        self.drain()
        self.packet_id, self.is_forgotten = 0, False

    @rule()
    def drain(self) -> None:
        """Once all is committed, each message was logged once."""
        while self.uncommitted:
            self.commit(is_sent=True)
        assert self.published == sum(self.logged.values())

    @rule()
    def count(self) -> None:
        """No packet changed a decoder's state twice: what was decoded since the start is what was to be logged."""
        to_log = sum(len(news) for _, news, *_ in self.uncommitted)
        assert len(self.station.decoded) <= sum(self.logged.values()) + to_log


TestAnyBroker = AnyBroker.TestCase
