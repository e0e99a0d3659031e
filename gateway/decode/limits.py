"""What a value and a name may be, whatever the configuration says; limits that people may set are section `limits` of it.

Each limit has a `Reason` under which what exceeds it is counted.
"""

from __future__ import annotations

MAX_SAFE_INTEGER = 2**53 - 1
"""JavaScript keeps integers up to here; a counter above it would change on its way to the page."""

MAX_MAGNITUDE = 1e100
"""No quantity comes near. What is beyond is a broken sensor's way to say "no value" (C's DBL_MAX), and costs each reader
of the log 20 µs a number."""

NOTHING = 1 / MAX_MAGNITUDE
"""A number nearer to 0 than this is taken as 0."""

MAX_METRIC_CHARACTERS = 128
MAX_LABEL_CHARACTERS = 200
