"""The time that a device says it measured at, where it says so without doubt.

Doubtful, and so not used: a local time without zone (Tasmota, rtl_433), a number that fits no scale, a time further from
ours than a device can honestly be (a clock that was never set says 1970, or 2000). Those readings keep our time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

TIME_KEYS = ("time", "Time", "timestamp", "ts", "datetime", "measured_at", "measured_at_ms")
"""Top-level keys of a report that tell its time; they never become metrics. Tasmota writes `Time`."""

MAX_AHEAD_MS = 5 * 60_000
MAX_BEHIND_MS = 30 * 86_400_000
"""A device may have kept its readings for a month without a network; nothing honest is in the future."""

_SCALES = ((1e9, 1e11, 1e3), (1e12, 1e14, 1.0), (1e15, 1e17, 1e-3), (1e18, 1e20, 1e-6))
"""Seconds, milliseconds, microseconds and nanoseconds since 1970 do not overlap for the years 2001 to 5138."""

_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:?[0-5]\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unix_ms(value: object) -> int | None:
    """``value`` as Unix ms: ISO 8601 text with a zone, or a number whose scale is certain; None for all else."""
    if isinstance(value, str):
        return iso_ms(value)
    if not isinstance(value, int | float):
        return None
    for low, high, factor in _SCALES:
        if low <= value < high:
            return round(value * factor)
    return None


def iso_ms(text: str) -> int | None:
    """An ISO 8601 date and time with zone, with up to nine digits of a second, as Unix ms; None when it is not one."""
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone == 'Z' else zone}")
        whole = (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
    return whole + int((fraction or ".0")[1:4].ljust(3, "0"))


def measured_at_ms(report: dict[str, object], received_at_ms: int) -> int | None:
    """When the report was measured, by its first usable time key, or None."""
    for key in TIME_KEYS:
        if key in report:
            moment = unix_ms(report[key])
            if moment is not None and -MAX_BEHIND_MS <= moment - received_at_ms <= MAX_AHEAD_MS:
                return moment
    return None
