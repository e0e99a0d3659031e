"""The oracle itself: it finds what is wrong, and says nothing of what is right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash.edge import Edge
from tests.crash.ledger import Key, Ledger, key_in, payload_of
from tests.crash.oracle import Evidence, Excuses, judge
from tests.crash.publisher import packet
from tests.crash.witness import Told, Track, Witness

A0, A1, B0 = Key("a", 1, 0), Key("a", 1, 1), Key("b", 2, 0)


def data_of(key: Key) -> bytes:
    return b'{"device":"%b","at":5,"values":{"lab/q":%d,"lab/n":%d}}' % (key.device.encode(), key.qos, key.number)


def everything(_device: str) -> bool:
    return True


@pytest.fixture
def evidence() -> Evidence:
    """Three acknowledged messages, logged as 11 to 13, seen by a watcher of all and one of device a."""
    ledger, witness = Ledger(), Witness()
    log = Track("log", everything, 10, 20)
    all_, of_a = Track("all", everything), Track("a", lambda device: device == "a")
    for track in (all_, of_a):
        track.begin(10)
    for seq, key in enumerate((A0, A1, B0), 11):
        ledger.sent(key, 1.0)
        ledger.acknowledged(key, 2.0)
        witness.take(seq, b"message", data_of(key))
        log.ids.append(seq)
        all_.entry(seq, key.device)
        if key.device == "a":
            of_a.entry(seq, key.device)
    for track in (all_, of_a):
        track.moved(20)
    return Evidence(ledger, witness, Edge(), Excuses(), log, [all_, of_a], [11, 12, 13])


def test_what_is_right_is_right(evidence: Evidence) -> None:
    verdict = judge(evidence)
    assert [] == verdict.faults
    assert (3, 3, 3, 5, 0) == (
        verdict.published, verdict.acknowledged, verdict.logged, verdict.delivered, verdict.declared_lost
    )  # fmt: skip


def lose_a_message(evidence: Evidence) -> None:
    evidence.ledger.sent(Key("c", 1, 0), 1.0)
    evidence.ledger.acknowledged(Key("c", 1, 0), 2.0)


def log_a_message_twice(evidence: Evidence) -> None:
    for track in (evidence.log, *evidence.tracks):
        track.position = 19
    evidence.witness.take(20, b"message", data_of(B0))
    evidence.log.ids.append(20)
    evidence.log.position = 20
    evidence.stored = None


def give_a_number_twice(evidence: Evidence) -> None:
    evidence.witness.take(12, b"message", data_of(B0))


def skip_an_entry(evidence: Evidence) -> None:
    evidence.tracks[0].ids.remove(12)


def repeat_an_entry(evidence: Evidence) -> None:
    evidence.tracks[0].entry(13, "b")


def send_a_foreign_device(evidence: Evidence) -> None:
    evidence.tracks[1].entry(21, "b")
    evidence.witness.take(21, b"message", data_of(B0))


def come_back_elsewhere(evidence: Evidence) -> None:
    evidence.tracks[0].begin(12)


def drop_from_the_log(evidence: Evidence) -> None:
    evidence.log.ids.remove(12)
    evidence.stored = [11, 13]


def hide_from_the_replay(evidence: Evidence) -> None:
    evidence.stored = [11, 12, 13, 14]


def tell_a_needless_gap(evidence: Evidence) -> None:
    evidence.tracks[0].gap(Told(20, 25, "expired"))


def log_what_nobody_sent(evidence: Evidence) -> None:
    evidence.witness.take(10, b"message", data_of(Key("z", 1, 7)))


def end_a_process(evidence: Evidence) -> None:
    evidence.told.append("the gateway ended by itself")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lose_a_message, "acknowledged and not in the log"),
        (log_a_message_twice, "in the log more than once"),
        (give_a_number_twice, "numbers that stand for two things"),
        (skip_an_entry, "missed and not told"),
        (repeat_an_entry, "repeated"),
        (send_a_foreign_device, "not asked for"),
        (come_back_elsewhere, "was put at"),
        (drop_from_the_log, "gone from the log, and not told"),
        (hide_from_the_replay, "in the files, but not replayed"),
        (tell_a_needless_gap, "gaps that no fault explains"),
        (log_what_nobody_sent, "never published"),
        (end_a_process, "ended by itself"),
    ],
)
def test_what_is_wrong_is_said(evidence: Evidence, spoil: Callable[[Evidence], None], told: str) -> None:
    spoil(evidence)
    assert any(told in fault for fault in judge(evidence).faults)


def test_a_gap_that_covers_what_was_missed_declares_it_lost(evidence: Evidence) -> None:
    evidence.excuses.gaps.add("expired")
    track = Track("late", everything, 10, 10)
    track.gap(Told(10, 12, "expired"))
    track.entry(13, "b")
    track.moved(20)
    evidence.tracks = [track]
    verdict = judge(evidence)
    assert [] == verdict.faults
    assert (1, 2) == (verdict.delivered, verdict.declared_lost)


def test_a_message_that_the_publisher_sent_twice_may_be_there_twice(evidence: Evidence) -> None:
    evidence.ledger.sent_again(B0)
    log_a_message_twice(evidence)
    assert [] == judge(evidence).faults


def test_a_broker_that_was_killed_may_lose_what_it_had_just_acknowledged(evidence: Evidence) -> None:
    lose_a_message(evidence)
    evidence.excuses.broker_killed_at.append(2.5)
    verdict = judge(evidence)
    assert [] == verdict.faults
    assert 1 == verdict.broker_lost


def publish(key: Key, packet_id: int, dup: int = 0) -> bytes:
    topic = f"sensors/{key.device}/lab".encode()
    body = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big") + payload_of(key)
    return packet(0x32 | dup << 3, body)


def test_the_edge_follows_deliveries_in_any_pieces() -> None:
    edge = Edge()
    for byte in publish(A0, 7) + publish(B0, 8):
        edge.observe(1, "down", bytes([byte]))
    edge.observe(1, "up", packet(0x40, b"\0\7"))
    assert {A0} == edge.acknowledged
    assert 1 == edge.flying


def test_a_redelivery_is_known_by_its_packet_id_and_flag() -> None:
    edge = Edge()
    edge.observe(1, "down", publish(A0, 7) + publish(B0, 8))
    edge.observe(2, "down", publish(A0, 7, dup=1) + publish(B0, 9))
    assert (1, 2) == (edge.fresh(A0), edge.fresh(B0))


def test_a_payload_carries_its_key() -> None:
    assert key_in("a", payload_of(A1)) == A1
    assert key_in("b", data_of(B0)) == B0
    assert key_in("a", b'{"temperature":21.5}') is None
