from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.intake.repeats.receipts import RECEIPT, Receipts, content_hash


def test_a_message_is_known_by_its_packet_id_and_content() -> None:
    receipts = Receipts()
    receipts.add(1, 77)
    assert [True, False, False] == [receipts.knows(1, 77), receipts.knows(1, 78), receipts.knows(2, 77)]


def test_a_packet_id_that_is_used_again_forgets_the_message_before() -> None:
    receipts = Receipts()
    receipts.add(1, 77)
    receipts.add(1, 78)
    assert [False, True] == [receipts.knows(1, 77), receipts.knows(1, 78)]


def test_every_packet_id_has_its_place_and_no_more_is_held() -> None:
    receipts = Receipts()
    empty = sys.getsizeof(receipts._hashes)
    for packet_id in range(1, 65_536):
        receipts.add(packet_id, packet_id)
    assert all(receipts.knows(packet_id, packet_id) for packet_id in range(1, 65_536))
    assert empty == sys.getsizeof(receipts._hashes) < 600_000


def test_a_packet_id_that_was_never_seen_is_not_known() -> None:
    assert [False, False] == [Receipts().knows(1, 0), Receipts().knows(65_535, 0)]


def test_a_new_session_forgets_all() -> None:
    receipts = Receipts()
    receipts.add(1, 0)
    receipts.forget()
    assert not receipts.knows(1, 0)


def test_a_new_session_is_remembered_over_a_restart() -> None:
    receipts = Receipts()
    stored = receipts.add(1, 7)
    receipts.forget()
    stored += receipts.add(2, 8)
    stored += receipts.add(3, 9)
    again = Receipts(stored)
    assert [False, True, True] == [again.knows(1, 7), again.knows(2, 8), again.knows(3, 9)]


def test_stored_receipts_that_were_cut_short_are_read_as_far_as_they_go() -> None:
    assert Receipts(RECEIPT.pack(1, 7) + b"\x02").knows(1, 7)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2**64 - 1)), max_size=30))
def test_a_restart_knows_what_the_life_before_knew(messages: list[tuple[int, int]]) -> None:
    receipts = Receipts()
    stored = b"".join(receipts.add(*message) for message in messages)
    again = Receipts(stored)
    assert receipts._hashes == again._hashes


def test_topic_and_payload_do_not_run_together() -> None:
    assert content_hash("ab", b"c") != content_hash("a", b"bc")


@given(st.text(max_size=4) | st.just("t" * 300), st.binary(max_size=300))
def test_the_hash_stays_what_stored_receipts_were_made_with(topic: str, payload: bytes) -> None:
    name = topic.encode("utf-8", "surrogatepass")
    whole = hashlib.blake2b(len(name).to_bytes(4, "little") + name + payload, digest_size=8).digest()
    assert int.from_bytes(whole, "little") == content_hash(topic, payload) == content_hash(topic, payload)


def test_a_topic_that_is_no_unicode_has_a_hash_too() -> None:
    assert 0 <= content_hash("\udcff", b"") < 2**64


def test_the_hash_is_the_same_in_every_process() -> None:
    code = "from gateway.intake.repeats.receipts import content_hash; print(content_hash('a/b', b'1'))"
    root = Path(__file__).parents[3]
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=root)
    assert content_hash("a/b", b"1") == int(output.stdout)
