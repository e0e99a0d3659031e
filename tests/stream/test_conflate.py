"""Projection and conflation."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import frame
from gateway.frame import projected
from gateway.reading import Draft, Entry
from gateway.stream.conflate import MAX_ALERTS, Conflation

METRICS = ("temperature", "humidity", "text")
values = st.dictionaries(st.sampled_from(METRICS), st.integers(0, 99) | st.text(max_size=3), min_size=1)
readings = st.tuples(st.just("reading"), st.sampled_from("abc"), values)
statuses = st.tuples(st.just("device"), st.sampled_from("abc"), st.sampled_from(["online", "offline"]))
alerts = st.tuples(st.just("alert"), st.sampled_from("ab"), st.just(None))
logs = st.lists(readings | statuses | alerts, max_size=12)


def entry(seq: int, kind: str, device: str, data: dict[str, Any]) -> Entry:
    return frame.numbered([Draft(kind, device, seq, msgspec.json.encode({"device": device, **data}))], seq)[0]


def reading(seq: int, device: str, said: dict[str, Any], **others: Any) -> Entry:
    return entry(seq, "reading", device, {"at": seq, "values": said, **others})


def entries_of(log: list[tuple[str, str, Any]]) -> list[Entry]:
    made = []
    for seq, (kind, device, said) in enumerate(log, 1):
        what = {"reading": {"at": seq, "values": said}, "device": {"status": said, "since": seq}, "alert": {"n": seq}}
        made.append(entry(seq, kind, device, what[kind]))
    return made


def conflated(
    entries: list[Entry], metrics: frozenset[str] = frozenset(), position: int = 1000
) -> tuple[list[bytes], int]:
    gathered = Conflation(metrics)
    for each in entries:
        gathered.add(each)
    return gathered.frames(position)


def fields(block: bytes) -> dict[str, Any]:
    found: dict[str, Any] = dict(line.split(": ", 1) for line in block.decode().strip().split("\n"))
    return {**found, "data": json.loads(found["data"])}


def newest(blocks: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    """What a reader knows in the end: the last value of each metric, and the last status, of each device."""
    known: dict[tuple[str, str], Any] = {}
    for block in blocks:
        data = block["data"]
        if block.get("event") == "device":
            known[data["device"], "status"] = data["status"]
        elif "event" not in block:
            known.update({(data["device"], f"values/{metric}"): value for metric, value in data["values"].items()})
    return known


@settings(max_examples=80, deadline=None)
@given(logs, st.sets(st.sampled_from(METRICS), max_size=2).map(frozenset))
def test_a_reader_of_conflated_blocks_ends_up_knowing_what_a_reader_of_all_knows(log, metrics):
    entries = entries_of(log)
    all_blocks = [fields(text) for each in entries if (text := projected(each, metrics))]
    blocks, left_out = conflated(entries, metrics)
    assert newest(all_blocks) == newest(list(map(fields, blocks)))
    assert len(all_blocks) == len(blocks) + left_out


@settings(max_examples=80, deadline=None)
@given(logs)
def test_only_the_last_block_has_an_id_unless_nothing_was_left_out_or_merged(log):
    entries = entries_of(log)
    blocks, left_out = conflated(entries)
    devices = [each.device for each in entries if each.kind != "alert"]
    if len(devices) == len(set(devices)):
        assert ([each.frame for each in entries], 0) == (blocks, left_out)
    else:
        assert [*[None] * (len(blocks) - 1), "1000"] == [fields(block).get("id") for block in blocks]


@settings(max_examples=40, deadline=None)
@given(logs)
def test_merged_says_how_many_readings_one_stands_for(log):
    blocks, _ = conflated(entries_of(log))
    merged = [block["data"].get("merged", 1) for block in map(fields, blocks) if "event" not in block]
    assert sum(kind == "reading" for kind, _, _ in log) == sum(merged)


def test_a_merged_reading_has_the_times_of_the_newest_and_every_metric():
    blocks, left_out = conflated(
        [reading(1, "a", {"x": 1, "y": 1}, received_at=9, retained=True), reading(2, "a", {"x": 2})]
    )
    assert [b'id: 1000\ndata: {"device":"a","at":2,"values":{"x":2,"y":1},"merged":2}\n\n'] == blocks
    assert 1 == left_out


def test_device_entries_are_merged_and_what_the_newest_does_not_say_is_kept():
    first = {"status": "online", "since": 1, "label": "Boiler", "metrics": {"x": {"unit": "W"}}}
    second = {"status": "offline", "since": 2, "metrics": {"y": {"unit": "V"}}}
    blocks, _ = conflated([entry(1, "device", "a", first), entry(2, "device", "a", second)])
    (block,) = map(fields, blocks)
    expected = {**first, **second, "device": "a", "metrics": {"x": {"unit": "W"}, "y": {"unit": "V"}}}
    assert expected == block["data"]


def test_a_device_that_left_after_its_last_reading_is_told_to_have_left_last():
    left = entry(3, "device", "a", {"status": "offline", "since": 3})
    blocks, _ = conflated([reading(1, "a", {"x": 1}), reading(2, "a", {"x": 2}), left])
    assert [None, "device"] == [fields(block).get("event") for block in blocks]


def test_a_device_that_appears_is_announced_before_its_readings():
    came = entry(1, "device", "a", {"status": "online", "since": 1})
    blocks, _ = conflated([came, reading(2, "a", {"x": 1}), reading(3, "a", {"x": 2})])
    assert ["device", None] == [fields(block).get("event") for block in blocks]


@pytest.mark.parametrize("with_reading", [False, True])
def test_of_very_many_alerts_the_newest_are_kept_and_the_others_counted(with_reading):
    waiting = [entry(seq, "alert", "a", {"n": seq}) for seq in range(MAX_ALERTS + 50)]
    waiting += [reading(900, "b", {"x": 1}), reading(901, "b", {"x": 2})] if with_reading else []
    blocks, left_out = conflated(waiting)
    told = [block["data"]["n"] for block in map(fields, blocks) if block.get("event") == "alert"]
    assert list(range(50, MAX_ALERTS + 50)) == told
    assert 50 + with_reading == left_out


def test_nothing_gathered_is_nothing_to_send():
    assert ([], 0) == conflated([])
    assert ([], 0) == conflated([reading(1, "a", {"x": 1})], frozenset({"y"}))


@settings(max_examples=40, deadline=None)
@given(values, st.sets(st.sampled_from(METRICS), max_size=3).map(frozenset))
def test_a_projected_reading_holds_the_wanted_metrics_and_the_rest_as_it_was(said, metrics):
    whole = reading(7, "a", said, received_at=8)
    text = projected(whole, metrics)
    wanted = {metric: value for metric, value in said.items() if metric in metrics or not metrics}
    if not wanted:
        assert text is None
    else:
        assert {"id": "7", "data": {"device": "a", "at": 7, "values": wanted, "received_at": 8}} == fields(text)


def test_projection_without_metrics_and_of_what_is_no_reading_changes_no_byte():
    whole, status = reading(1, "a", {"x": 1}), entry(2, "device", "a", {"status": "online", "since": 1})
    assert whole.frame is projected(whole, frozenset())
    assert status.frame is projected(status, frozenset({"x"}))


def test_projecting_an_entry_again_gives_the_same_bytes():
    live = reading(1, "a", {"x": 1.5, "y": "é", "z": True})
    replayed = Entry(live.seq, live.kind, live.device, live.received_at_ms, bytes(bytearray(live.frame)))
    for metrics in (frozenset(), frozenset({"x"}), frozenset({"y", "z"})):
        assert projected(live, metrics) == projected(replayed, metrics)
