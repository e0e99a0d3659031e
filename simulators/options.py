"""What the options of the command may say: each function takes the text and gives the value, or names what is wrong."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime

import click

from simulators.device import RATE_MAX, RATE_MIN
from simulators.profiles import INSTALLED_S, PROFILES

SPANS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def duration(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """``30s``, ``5m``, ``2h`` or a bare number of seconds, in seconds; above 0."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)?", text)
    if not match or float(match[1]) == 0:
        raise click.BadParameter(f"must be a time above 0 such as 30s, 5m or 2h (got {text!r})")
    return float(match[1]) * SPANS_S[match[2] or "s"]


def start(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """ISO 8601 with a zone, or Unix ms, in Unix ms; 2020 to 2099."""
    if text is None:
        return None
    ms = int(text) if text.isascii() and text.isdigit() else _iso_ms(text)
    if not INSTALLED_S * 1000 <= ms < LATEST.timestamp() * 1000:
        raise click.BadParameter(f"must be from 2020 (the devices are installed then) to 2099 (got {text!r})")
    return ms


def _iso_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        example = "2026-11-22T08:00:00Z"
        raise click.BadParameter(f"must be an ISO 8601 time with a zone, such as {example}, or Unix ms (got {text!r})")
    return round(moment.timestamp() * 1000)


def profiles(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of profiles; a slip of the keyboard gets a suggestion."""
    for name in names:
        if name not in PROFILES:
            close = difflib.get_close_matches(name, PROFILES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(PROFILES)}."
            raise click.BadParameter(f"{name!r} is no profile; {hint}")
    return names


def rate(_context: click.Context, _option: click.Parameter, rate: float) -> float:
    """Reports per second of one device, within the bounds of ``device``."""
    if not RATE_MIN <= rate <= RATE_MAX:  # also refuses nan
        raise click.BadParameter(f"must be {RATE_MIN} to {RATE_MAX:g} reports per second (got {rate:g})")
    return rate
