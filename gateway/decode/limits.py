"""What a payload may hold; each limit has a `Reason` under which what exceeds it is counted."""

from __future__ import annotations

from typing import NamedTuple

MAX_SAFE_INTEGER = 2**53 - 1
"""JavaScript keeps integers up to here; a counter above it would change on its way to the page."""

MAX_MAGNITUDE = 1e100
"""No quantity comes near; what is beyond is a broken sensor's way to say "no value" (C's DBL_MAX), and costs each reader
of the log 20 µs a number."""

NOTHING = 1 / MAX_MAGNITUDE
"""Numbers nearer to 0 are 0."""

MAX_METRIC_CHARACTERS = 128
MAX_LABEL_CHARACTERS = 200


class Limits(NamedTuple):
    """Defaults are those of `config.toml`; all are inclusive."""

    max_payload_bytes: int = 262_144
    max_depth: int = 8
    max_metrics: int = 200
    max_readings: int = 1_000
    max_text_bytes: int = 256
    max_device_bytes: int = 128
