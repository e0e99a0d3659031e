"""What a client may ask of a stream: where it starts, how much it gets, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.conftest import Pair, wait_until
from tests.reader import Reader

pytestmark = pytest.mark.broker
Read = Callable[..., Reader]
OPTIONS = ["--set", "http.heartbeat_s=1"]
COUNT = 200


@pytest.fixture(scope="module")
def filled(pair: Pair) -> Pair:
    """200 readings of a boiler, each followed by one of a stove."""
    lines = [f'{{"temperature": {number}, "humidity": 5}}' for number in range(COUNT)]
    pair.broker.publish_lines("sensors/boiler", lines)
    pair.broker.publish_lines("sensors/stove/temperature", range(COUNT))
    wait_until(lambda: pair.gateway.counter('entries_total{kind="reading"}') == 2 * COUNT)
    return pair


def stream(query: str = "") -> str:
    return f"/api/devices/boiler/stream{query}"


def test_after_earliest_replays_all_that_is_held(filled: Pair, read: Read) -> None:
    reader = read(filled.gateway, stream("?after=earliest")).live()
    assert list(range(COUNT)) == reader.values("temperature")
    assert [] == reader.of("latest")
    order = [block.event for block in reader.blocks]
    assert ["", "hello", "device"] == order[:3]
    assert "live" == order[-1]


def test_after_head_replays_nothing(filled: Pair, read: Read) -> None:
    assert [] == read(filled.gateway, stream("?after=head")).live().readings


def test_after_an_id_goes_on_behind_it(filled: Pair, read: Read) -> None:
    everything = read(filled.gateway, stream("?after=earliest")).live().readings
    rest = read(filled.gateway, stream(f"?after={everything[149].id}")).live().readings
    assert everything[150:] == rest


def test_last_event_id_wins_over_the_address(filled: Pair, read: Read) -> None:
    everything = read(filled.gateway, stream("?after=earliest")).live().readings
    headers = {"Last-Event-ID": everything[-2].id}
    assert everything[-1:] == read(filled.gateway, stream("?after=earliest"), headers=headers).live().readings


def test_a_last_event_id_that_is_none_of_ours_leaves_the_address_to_say(filled: Pair, read: Read) -> None:
    reader = read(filled.gateway, stream("?last=3"), headers={"Last-Event-ID": "abc"}).live()
    assert [COUNT - 3, COUNT - 2, COUNT - 1] == reader.values("temperature")


def test_a_position_above_the_head_is_a_gap(filled: Pair, read: Read) -> None:
    reader = read(filled.gateway, stream(f"?after={2**53 - 1}")).live()
    assert ["ahead"] == [block.data["reason"] for block in reader.of("gap")]


def test_a_position_below_the_floor_is_a_gap_and_then_all_that_is_held(filled: Pair, read: Read) -> None:
    reader = read(filled.gateway, stream("?after=1")).live()
    assert [1] == [block.data["asked"] for block in reader.of("gap")]
    assert list(range(COUNT)) == reader.values("temperature")


def test_since_starts_by_time(filled: Pair, read: Read) -> None:
    assert list(range(COUNT)) == read(filled.gateway, stream("?since=5m")).live().values("temperature")
    assert [] == read(filled.gateway, stream(f"?since={int(time.time() * 1000) + 1}")).live().readings


def test_last_starts_by_count_of_these_devices(filled: Pair, read: Read) -> None:
    assert list(range(COUNT))[-7:] == read(filled.gateway, stream("?last=7")).live().values("temperature")


def test_metric_leaves_the_others_out(filled: Pair, read: Read) -> None:
    reader = read(filled.gateway, "/api/stream?after=earliest&metric=humidity").live()
    assert [{"humidity": 5}] * COUNT == [block.data["values"] for block in reader.readings]
    assert reader.last_id == str(reader.of("live")[0].data["position"]) or reader.last_id.isdigit()


def test_a_snapshot_tells_what_is_known_unless_declined(filled: Pair, read: Read) -> None:
    (latest,) = read(filled.gateway, stream()).live().of("latest")
    assert (COUNT - 1, "") == (latest.data["values"]["temperature"]["value"], latest.id)
    assert [] == read(filled.gateway, stream("?snapshot=no")).live().of("latest")
    (projected,) = read(filled.gateway, stream("?metric=humidity")).live().of("latest")
    assert ["humidity"] == list(projected.data["values"])


def test_mode_latest_conflates_a_replay_to_the_newest_of_each_metric(filled: Pair, read: Read) -> None:
    reader = read(filled.gateway, stream("?after=earliest&mode=latest")).live()
    assert [COUNT - 1] == reader.values("temperature")
    assert [COUNT] == [block.data["merged"] for block in reader.readings]
    assert "latest" == reader.of("hello")[0].data["mode"]


@pytest.mark.parametrize("mode", ["every", "latest"])
def test_interval_paces_what_is_sent(pair: Pair, read: Read, mode: str) -> None:
    device = f"paced-{mode}"
    reader = read(pair.gateway, f"/api/devices/{device}/stream?interval=300ms&mode={mode}").live()
    for number in range(30):
        pair.broker.publish(f"sensors/{device}/temperature", str(number))
        time.sleep(0.02)
    reader.wait(lambda reader: 29 in reader.values("temperature"))
    moments = sorted(
        {
            round(moment, 2)
            for moment, block in zip(reader.arrived, reader.blocks, strict=False)
            if block.data and not block.event
        }
    )
    assert all(later - earlier > 0.2 for earlier, later in pairwise(moments)), moments
    if mode == "every":
        assert list(range(30)) == reader.values("temperature")
    else:
        assert len(reader.readings) < 15


def test_a_quiet_stream_has_a_heart_that_beats(filled: Pair, read: Read) -> None:
    reader = read(filled.gateway, stream()).live()
    reader.wait(
        lambda reader: [block for block in reader.blocks if block.id and not block.event and block.data is None]
    )
    assert [] == reader.readings
    assert reader.of("hello")[0].id == reader.last_id
