"""Payload bytes to plain values."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import LimitsSection
from gateway.decode.payload import LARGE_BYTES, parse
from gateway.reading import Rejected

LIMITS = LimitsSection()


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"21.5", 21.5),
        (b" 21.5\r\n", 21.5),
        (b"+21.5", 21.5),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"-3", -3),
        (b"+3", 3),
        (b"1e3", 1000.0),
        (b"true", True),
        (b"TRUE", True),
        (b"False", False),
        (b"null", None),
        (b"ON", "ON"),
        (b'"ON"', "ON"),
        ("größer als 5 µg".encode(), "größer als 5 µg"),
        (b"{}", {}),
        (b"[]", []),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"":1}', {"": 1}),
        (b'{"__proto__":{"x":1}}', {"__proto__": {"x": 1}}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b"\xef\xbb\xbf21.5", 21.5),
    ],
)
def test_json_numbers_booleans_and_text_are_taken(payload, value):
    parsed = parse(payload, LIMITS)
    assert (value, type(value)) == (parsed, type(parsed))


@pytest.mark.parametrize(
    "payload",
    [b"000005937E90", b"007", b"1,5", b"0x1F", b"12:30", b"1_000", "\uff11\uff12".encode(), "1\u0663".encode()],
)
def test_what_only_looks_like_a_number_is_text(payload):
    assert payload.decode() == parse(payload, LIMITS)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"x" * 262_145, "too_large"),
        (b"nan", "not_finite"),
        (b"-NaN", "not_finite"),
        (b"+Infinity", "not_finite"),
        (b"1e400", "not_finite"),
        (b'{"a":NaN}', "not_finite"),
        (b'{"a": nan, "b": 1}', "not_finite"),
        (b"[1, -Infinity]", "not_finite"),
        (b'{"a":-nan}', "not_finite"),
        (b'{"a":inf}', "not_finite"),
        (b'{"a":1e400}', "not_finite"),
        (b"\xff\xfe", "bad_utf8"),
        (b'{"a":"\xff"}', "bad_utf8"),
        (b'{"a":"\xed\xa0\x80"}', "bad_utf8"),
        (b"{", "bad_json"),
        (b'{"a":1,}', "bad_json"),
        (b"{'a':1}", "bad_json"),
        (b'{"info":x}', "bad_json"),
        (b'{"a":"\\ud800"}', "bad_json"),
        (b'{"a":"\\udc00x"}', "bad_json"),
        (b"[1][2]", "bad_json"),
        (b"\xef\xbb\xbf\xef\xbb\xbf1", "bad_value"),
        (b"a\0b", "bad_value"),
        (b"21.5\0", "bad_value"),
        (b"a\x1b[31mb", "bad_value"),
        ("a\u202eb".encode(), "bad_value"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 40_000, "too_deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
        (b"9" * 10_000, "huge_integer"),
        (b'{"a":' + b"9" * 10_000 + b"}", "huge_integer"),
    ],
)
def test_what_cannot_be_taken_is_rejected_with_its_reason(payload, reason):
    rejected = parse(payload, LIMITS)
    assert isinstance(rejected, Rejected)
    assert reason == rejected.reason
    assert len(rejected.detail) < 300
    assert rejected.detail.isprintable()


def test_the_size_limit_is_inclusive():
    assert isinstance(parse(b"x" * 64, LimitsSection(max_payload_bytes=64)), str)
    assert isinstance(parse(b"x" * 65, LimitsSection(max_payload_bytes=64)), Rejected)


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63))
def test_small_and_large_payloads_read_a_number_alike(number):
    small = b"[%b]" % repr(number).encode()
    large = b"[%b%b]" % (repr(number).encode(), b" " * LARGE_BYTES)
    assert [number] == parse(small, LIMITS) == parse(large, LIMITS)
    assert type(parse(small, LIMITS)[0]) is type(parse(large, LIMITS)[0])


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False))
def test_a_plain_number_is_read_as_python_writes_it(number):
    parsed = parse(repr(number).encode(), LIMITS)
    assert number == parsed if math.isfinite(number) else "not_finite" == parsed.reason


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=40) | st.text(alphabet='{}[]":,0123456789eE+-.nNaAiIfFtru\\ud8 ', max_size=40).map(str.encode)
)
def test_no_bytes_whatever_raise(payload):
    parse(payload, LIMITS)


def test_pythons_own_limit_of_digits_raises_nothing():
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert "huge_integer" == parse(b"[" + b"9" * 4000 + b"]", LIMITS).reason
    finally:
        sys.set_int_max_str_digits(before)
