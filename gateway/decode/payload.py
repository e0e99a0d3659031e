"""Payload bytes to plain values: JSON where it is JSON, else a number, a boolean or text."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.config import LimitsSection
from gateway.reading import Rejected

_decode_json = msgspec.json.Decoder().decode
_decode_large_json = msgspec.json.Decoder(float_hook=float).decode

LARGE_BYTES = 1024
"""Above this, numbers are read by Python's float(): msgspec is twice as fast with those that sensors send, but takes 17 µs
for one like 1e308, and 0.7 s for a payload full of them."""

_BOM = b"\xef\xbb\xbf"
"""Windows tools put one before JSON, and RFC 8259 allows to ignore it."""

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d{1,3})?|[+-]?\.\d+(?:[eE][+-]?\d{1,3})?", re.ASCII)
"""Decimal numbers only: a leading zero marks an id (`000005937E90` would be a float to Python's eyes)."""

_MAX_NUMBER_CHARACTERS = 400
"""Longer digits are text: Python refuses to turn very long ones into integers."""

_NOT_FINITE = frozenset({"nan", "+nan", "-nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
"""ESPHome prints a sensor without a value as `nan`; Python's float() would take it and no browser can."""

_PLACE = re.compile(r"\(byte (\d+)\)")
_NOT_FINITE_IN_JSON = re.compile(rb"[\[:,]\s*[+-]?(?:nan|inf)", re.IGNORECASE)
"""What Python's json and C's printf write into JSON for a missing value, and no browser reads."""


def parse(payload: bytes, limits: LimitsSection) -> Any:
    """What the payload says: dict, list, int, float, bool, str or None; or a `Rejected`."""
    if len(payload) > limits.max_payload_bytes:
        return Rejected("too_large", f"{len(payload)} bytes")
    payload = payload.removeprefix(_BOM)
    return _parsed(payload) if payload else Rejected("empty", "no payload")


def _parsed(payload: bytes) -> Any:
    try:
        return _decode_json(payload) if len(payload) <= LARGE_BYTES else _decode_large_json(payload)
    except msgspec.ValidationError as error:
        # Without a type to fit, only numbers can be wrong: out of range.
        return Rejected("huge_integer" if "Integer" in str(error) else "not_finite", str(error))
    except msgspec.DecodeError as error:
        return _not_json(payload, str(error))
    except UnicodeDecodeError:
        return Rejected("bad_utf8", _sample(payload))
    except RecursionError:
        return Rejected("too_deep", _sample(payload))


def _not_json(payload: bytes, why: str) -> Any:
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return Rejected("bad_utf8", _sample(payload))
    if text[:1] in ("{", "["):
        return Rejected("not_finite" if _is_not_finite(payload, why) else "bad_json", why)
    return _plain(text)


def _is_not_finite(payload: bytes, why: str) -> bool:
    """Whether it is NaN or an infinity that broke the JSON; the parser stands up to four bytes behind its beginning."""
    place = _PLACE.search(why)
    at = int(place[1]) if place else 0
    return place is not None and _NOT_FINITE_IN_JSON.search(payload, max(0, at - 8), at + 4) is not None


def _plain(text: str) -> Any:
    if not text:
        return Rejected("empty", "only blanks")
    if text.lower() in _NOT_FINITE:
        return Rejected("not_finite", text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if len(text) <= _MAX_NUMBER_CHARACTERS and _NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    if not text.isprintable():
        return Rejected("bad_value", _sample(text.encode()))
    return text


def _sample(payload: bytes) -> str:
    return repr(payload[:60])
