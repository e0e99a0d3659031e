"""The tests' own browser, against the examples of WHATWG HTML 9.2.6."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.event_source import Event, EventSource


def test_fields_make_an_event() -> None:
    assert [Event("gap", {"a": 1}, "7")] == EventSource().feed(b'event: gap\nid: 7\ndata: {"a":\ndata: 1}\n\n')


def test_an_id_without_data_fires_nothing_and_counts() -> None:
    source = EventSource("3")
    assert ([], "9") == (source.feed(b"id: 9\n\n"), source.last_event_id)


def test_an_unfinished_block_counts_for_nothing() -> None:
    source = EventSource("3")
    assert ([], "3") == (source.feed(b"id: 9\ndata: 1\n"), source.last_event_id)


def test_comments_unknown_fields_and_a_bad_retry_are_ignored() -> None:
    source = EventSource()
    source.feed(b"\xef\xbb\xbf: x\nfoo: y\nretry: 1x\nretry: 70\ndata:1\n\n")
    assert ([Event("message", 1, "")], 70) == (source.events, source.reconnection_ms)


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.integers(1, 9))
def test_any_cut_and_line_end_gives_the_same_events(end: bytes, size: int) -> None:
    text = b"id: 1\ndata: 1\n\nevent: live\ndata: 2\n\n".replace(b"\n", end)
    source = EventSource()
    for at in range(0, len(text), size):
        source.feed(text[at : at + size])
    source.feed(b"\n")
    assert [Event("message", 1, "1"), Event("live", 2, "1")] == source.events
