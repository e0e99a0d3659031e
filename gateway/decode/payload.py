"""Payload bytes to plain values: JSON where it is JSON, else a number, a boolean or text."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

from gateway.decode.limits import Limits
from gateway.reading import Rejected

_decode_json = msgspec.json.Decoder().decode

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d{1,3})?|[+-]?\.\d+(?:[eE][+-]?\d{1,3})?")
"""Decimal numbers only: a leading zero marks an id (`000005937E90` would be a float to Python's eyes)."""

_NOT_FINITE = frozenset({"nan", "+nan", "-nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
"""ESPHome prints a sensor without a value as `nan`; Python's float() would take it and no browser can."""


class NotFiniteError(ValueError):
    """JSON held NaN or an infinity, which Python writes and no browser reads."""


def parse(payload: bytes, limits: Limits) -> Any:
    """What the payload says: dict, list, int, float, bool, str or None; or a `Rejected`."""
    if not payload:
        return Rejected("empty", "no payload")
    if len(payload) > limits.max_payload_bytes:
        return Rejected("too_large", f"{len(payload)} bytes")
    try:
        return _decode_json(payload)
    except UnicodeDecodeError:
        return Rejected("bad_utf8", _sample(payload))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _not_json(payload)


def _not_json(payload: bytes) -> Any:
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return Rejected("bad_utf8", _sample(payload))
    if text[:1] in ("{", "["):
        return _why_not_json(text)
    return _plain(text)


def _plain(text: str) -> Any:
    if not text:
        return Rejected("empty", "only blanks")
    if text.lower() in _NOT_FINITE:
        return Rejected("not_finite", text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    # The length is checked before the conversion: Python refuses to turn very long digit strings into integers.
    if len(text) <= 400 and _NUMBER.fullmatch(text):
        number = float(text)
        return int(text) if text.lstrip("+-").isdecimal() else number
    if not text.isprintable():
        return Rejected("bad_value", _sample(text.encode()))
    return text


def _why_not_json(text: str) -> Rejected:
    """Only for text that is no JSON: the slower parser of the standard library says why."""
    try:
        json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=int)
    except NotFiniteError as error:
        return Rejected("not_finite", str(error))
    except RecursionError:
        return Rejected("too_deep", _sample(text.encode()))
    except ValueError as error:
        # Python refuses integers of over 4,300 digits with a plain ValueError.
        if "integer string conversion" in str(error):
            return Rejected("huge_integer", str(error))
        return Rejected("bad_json", str(error))
    return Rejected("bad_json", _sample(text.encode()))


def _refuse(constant: str) -> NoReturn:
    raise NotFiniteError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotFiniteError(text[:40])
    return number


def _sample(payload: bytes) -> str:
    return repr(payload[:60])
