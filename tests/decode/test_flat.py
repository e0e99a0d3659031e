"""The short way says what the whole way says, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config import LimitsSection
from gateway.decode import Topics
from gateway.decode.device_time import TIME_KEYS
from gateway.decode.flat import MAX_NAMES, FlatReports
from gateway.reading import Message, Reading, Rejected
from gateway.topic import Pattern, Route

NOW = 1_795_335_752_114
PATTERNS = [Pattern("readings", "s/{device}/m/{metric}"), Pattern("readings", "s/{device}")]
TOPICS = ("s/d/m/x", "s/d/m/time", "s/d")
LIMITS = LimitsSection(max_payload_bytes=300, max_metrics=4, max_text_bytes=12)

NUMBERS = ["0", "-0", "-0.0", "0.0", "1e-101", "-1e-99", "1e100", "1.1e100", "-1e308", "1e400", "1e-400", "5e-324"]
NUMBERS += ["9007199254740991", "9007199254740992", "-9007199254740992", "9007199254740993.0", "18446744073709551616"]
NUMBERS += ["1" + "0" * 40, "NaN", "-Infinity", "nan", "+1", "01", ".5", "1.", str(NOW), str(NOW // 1000), "1" * 19]
WORDS = [
    "true",
    "false",
    "null",
    '"on"',
    '"\\ud800"',
    '"\\u0000"',
    '"' + "é" * 9 + '"',
    '"' + "x" * 13 + '"',
    '"unfinished',
]
WORDS += ['"2026-11-22T10:00:00Z"', '{"value":1,"unit":"W"}', '{"value":1}', "[]", "[1,2]", "{}", '{"a":{"b":1}}', "x"]
KEYS = ["a", "b", "unit", "value", "values", "", "a/b", "\x7f", "é", "n" * 128, "n" * 129, "\u202e", *TIME_KEYS]

scalars = st.sampled_from(NUMBERS + WORDS) | (st.integers() | st.floats() | st.text(max_size=14)).map(json.dumps)
names = (st.sampled_from(KEYS) | st.text(max_size=3)).map(json.dumps)


def joined(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{name}:{value}" for name, value in members) + "}"


objects = st.lists(st.tuples(names, scalars), max_size=6).map(joined)
usual = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(-1e6, 1e6) | st.booleans()).map(json.dumps)
payloads = st.one_of(
    usual, objects, st.lists(objects, max_size=3).map(lambda all_: f"[{','.join(all_)}]"), scalars
).map(str.encode) | st.binary(max_size=40)  # fmt: skip


def both(decoder: Topics, topic: str, payload: bytes) -> tuple[str, str]:
    """What a decoder says, and what it would say without the short way; text, so that 1, 1.0 and True differ."""
    message = Message(topic, payload, 1, False, False, 1, NOW)
    route = decoder._route(topic)
    assert not isinstance(route, Rejected)
    return repr(decoder._whole(route, message)), repr(decoder.decode(message))


@given(st.sampled_from(TOPICS), st.lists(payloads, min_size=1, max_size=3))
@example("s/d", [b'{"a":1,"a":-0.0}', b'\xef\xbb\xbf{"a":1}', b' {"a":1} ', b'{"a":1}x', b'{"a":"\xff"}', b""])
@example(
    "s/d", [b"[" * 200, b'{"a":' * 100, b'{"a":1,"b":' + b"[" * 9 + b"]" * 9 + b"}", b'{"a":"' + b"x" * 400 + b'"}']
)
def test_both_ways_say_the_same_of_anything(topic: str, sent: list[bytes]) -> None:
    decoder = Topics(PATTERNS, LIMITS)
    for payload in sent:
        whole, said = both(decoder, topic, payload)
        assert whole == said, payload


@given(st.binary(max_size=60) | payloads)
def test_both_ways_say_the_same_with_the_usual_limits(payload: bytes) -> None:
    whole, said = both(Topics(PATTERNS, LimitsSection()), "s/d", payload)
    assert whole == said


def short(payload: str, metric: str = "") -> Reading | None:
    message = Message("s/d", payload.encode(), 1, False, False, 1, NOW)
    return FlatReports(LIMITS).reading(Route("readings", "d", metric), message)


@pytest.mark.parametrize(
    ("payload", "metric", "values"),
    [
        ('{"a":21.5,"b":3,"c":true,"d":"on"}', "", {"a": 21.5, "b": 3, "c": True, "d": "on"}),
        ('{"a":1,"b":null}', "", {"a": 1}),
        ('{"time":0,"a":1}', "", {"a": 1}),
        ("21.5", "x", {"x": 21.5}),
        ("false", "x", {"x": False}),
    ],
)
def test_what_is_usual_goes_the_short_way(payload: str, metric: str, values: dict[str, Any]) -> None:
    assert Reading("d", values, NOW) == short(payload, metric)


def test_what_is_not_usual_goes_the_whole_way() -> None:
    for payload in ("{}", '{"a":null}', '{"a":{}}', '{"a":1e-200}', '{"":1}', '{"a":"é"}', "[1]", "1", "nan"):
        assert short(payload) is None, payload
    assert short('{"a":1}', "x") is None


def test_names_that_never_end_are_not_remembered_for_ever() -> None:
    flat, route = FlatReports(LimitsSection()), Route("readings", "d", "")
    for first in range(0, MAX_NAMES + 100, 25):
        payload = json.dumps({str(first + each): 1 for each in range(25)}).encode()
        assert flat.reading(route, Message("s/d", payload, 1, False, False, 1, NOW)) is not None
    assert 0 < len(flat._names) <= MAX_NAMES
