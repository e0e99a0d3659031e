"""SSE blocks, read back by a parser that follows the standard."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import frame
from gateway.reading import Draft, Gap

texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["\r\n\r\nevent: x\n\n", "a\0b", "\u2028\u2029", "\ufeff", "data: x\r", "</script>", "__proto__"]
)
values = st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False) | texts | st.booleans(), max_size=4)
seqs = st.integers(0, 2**53 - 1)


def parsed(stream: bytes) -> list[dict[str, str]]:
    """WHATWG HTML, 9.2.6: the fields of each block, with the line ends and the one blank that it takes away."""
    blocks: list[dict[str, str]] = [{}]
    for line in re.split("\r\n|\n|\r", stream.decode().removeprefix("\ufeff")):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            blocks.append({})
        elif name == "data":
            blocks[-1]["data"] = blocks[-1].get("data", "") + value + "\n"
        elif name in ("event", "retry") or (name == "id" and "\0" not in value):
            blocks[-1][name] = value
    return [{name: value.removesuffix("\n") for name, value in block.items()} for block in blocks if block]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["reading", "device", "alert"]), seqs, texts, values)
def test_whatever_a_device_says_its_frame_is_one_block_with_that_id_and_data(kind, seq, device, said):
    data = msgspec.json.encode({"device": device, "values": said})
    (entry,) = frame.numbered([Draft(kind, device, 1, data)], seq)
    (block,) = parsed(entry.frame)
    assert str(seq) == block["id"]
    assert {"device": device, "values": said} == json.loads(block["data"])
    assert (None if kind == "reading" else kind) == block.get("event")
    assert data == frame.entry_data(entry)
    structure = 3 if kind == "reading" else 4
    assert (structure, 0, 0) == (entry.frame.count(b"\n"), entry.frame.count(b"\r"), entry.frame.count(b"\0"))


@settings(max_examples=50, deadline=None)
@given(seqs | st.none(), texts, values)
def test_a_reading_made_for_one_stream_is_one_block_too(seq, device, said):
    (block,) = parsed(frame.reading({"device": device, "values": said}, seq))
    assert (None if seq is None else str(seq)) == block.get("id")
    assert {"device": device, "values": said} == json.loads(block["data"])


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        (
            frame.hello(5, 1, 9, 1795335752114, "every"),
            {
                "event": "hello",
                "id": "5",
                "data": '{"position":5,"floor":1,"head":9,"time":1795335752114,"mode":"every"}',
            },
        ),
        (frame.latest(b'{"device":"a"}'), {"event": "latest", "data": '{"device":"a"}'}),
        (frame.live(7), {"event": "live", "data": '{"position":7}'}),
        (frame.heartbeat(1, 8, 5), {"id": "8"}),
        (frame.heartbeat(2, 8, 5), {"id": "8"}),
        (
            frame.gap(Gap(1, 4, 9, "expired")),
            {"event": "gap", "id": "4", "data": '{"asked":1,"floor":4,"head":9,"reason":"expired"}'},
        ),
        (frame.bye("stopping", 1873), {"event": "bye", "retry": "1873", "data": '{"reason":"stopping"}'}),
        (frame.retry(2731), {"retry": "2731"}),
    ],
)
def test_each_block_says_what_the_wire_document_says(block, fields):
    assert [fields] == parsed(block)
    assert block.endswith(b"\n\n")


def test_blocks_in_one_piece_stay_apart():
    piece = frame.retry(1) + frame.hello(1, 0, 1, 2, "latest") + frame.live(1) + frame.heartbeat(1, 2, 5)
    assert 4 == len(parsed(piece))


def test_a_number_makes_an_entry_of_a_draft_and_changes_nothing_else():
    (entry,) = frame.numbered([Draft("reading", "a", 17, b'{"x":1}')], 3)
    assert (3, "reading", "a", 17) == (entry.seq, entry.kind, entry.device, entry.received_at_ms)
    assert b'id: 3\ndata: {"x":1}\n\n' == entry.frame
