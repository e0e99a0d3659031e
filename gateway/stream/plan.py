"""What is asked of a stream: which devices, from where, how much of them and how often. Values only."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gateway.selection import Selection

Mode = Literal["every", "latest"]
"""Every entry; or, when several wait, the newest value of each metric of each device."""


class Since(NamedTuple):
    """Start by the time of arrival, in Unix ms."""

    ms: int


class Last(NamedTuple):
    """Start so that this many entries are sent before the stream is live."""

    entries: int


EARLIEST = -1
"""As a position: start with everything that is held."""

Start = int | Since | Last | None
"""Where a stream starts: after a position, at a time, at a count, or (None) at the head at the moment it opens."""


class Plan(NamedTuple):
    """One stream as it was asked for.

    With ``metrics`` only these are sent, and readings that have none of them are left out. ``interval_s`` is the least
    time between two pieces, 0 for none. With ``snapshot`` a stream that starts at the head begins with `latest` blocks.
    """

    selection: Selection
    start: Start = None
    mode: Mode = "every"
    interval_s: float = 0
    metrics: frozenset[str] = frozenset()
    snapshot: bool = True
