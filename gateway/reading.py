"""The types that flow through the stations: mqtt, intake, decode, devices, log, stream.

They are values: nothing here has a socket, a clock or a thread. Those that come with each message are hidden from the
garbage collector (``gc=False``): they hold no more than texts, numbers and each other, so they are in no circle.
Times are Unix milliseconds; ``received_at_ms`` is our clock, ``measured_at_ms`` the device's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeVar

import msgspec

Value = float | int | bool | str
"""What a metric can be: a finite number (integers within 2^53, so that JavaScript keeps them), a boolean, or text."""

Kind = Literal["reading", "device", "alert"]
"""What an entry is; an `alert` tells that readings of its device were dropped."""

_T = TypeVar("_T")


def project(values: Mapping[str, _T], metrics: frozenset[str]) -> dict[str, _T]:
    """Those of ``values``, by metric, whose metric is in ``metrics``; all of them when no metric is named."""
    if not metrics:
        return dict(values)
    return {metric: value for metric, value in values.items() if metric in metrics}


class Wanted(NamedTuple):
    """Which entries count when entries are counted: those of ``kind``, or of any kind when it is None.

    With ``metrics`` a reading that has none of them does not count; a reading with one of them does, and so does an entry
    of another kind.
    """

    kind: Kind | None = None
    metrics: frozenset[str] = frozenset()


Availability = Literal["online", "offline"]

ByeReason = Literal["stopping", "busy"]
"""Why the gateway ends a stream: it stops, or too many streams are open."""

Station = Literal["ingest", "append", "devices"]
"""Where something can stand in the way of readings: at the broker, on the way into the log, or in learning of the devices."""

Reason = Literal[
    "bad_json",
    "bad_name",
    "bad_utf8",
    "bad_value",
    "empty",
    "fault",
    "huge_integer",
    "no_topic_matches",
    "not_finite",
    "text_too_long",
    "too_deep",
    "too_large",
    "too_many_devices",
    "too_many_metrics",
    "too_many_readings",
]
"""Why something a device sent was not taken; the closed list of `sensor_gateway_rejected_total{reason}`."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One PUBLISH as it came from the broker; ``packet_id`` is 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    received_at_ms: int


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What one device reported at one moment; ``retained`` when the broker had kept it, so that its age is not known."""

    device: str
    values: dict[str, Value]
    received_at_ms: int
    measured_at_ms: int | None = None
    retained: bool = False


class MetricInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a metric: ``unit`` is a SenML unit code where one exists."""

    unit: str = ""
    label: str = ""


class DeviceInfo(msgspec.Struct, frozen=True):
    """What a device, or the broker for it, says about it; a field that is None or empty says nothing new."""

    device: str
    received_at_ms: int
    availability: Availability | None = None
    label: str = ""
    model: str = ""
    metrics: dict[str, MetricInfo] = {}


class Rejected(msgspec.Struct, frozen=True):
    """Theirs, not ours: counted by ``reason`` and sampled in the log, never raised."""

    reason: Reason
    detail: str


Decoded = Reading | DeviceInfo | Rejected


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An entry that has no number yet; ``data`` is its JSON text, encoded once.

    ``content`` is what ``data`` was encoded from, where that is at hand: it saves decoding. It goes with the draft, so
    that what is kept of many entries holds their bytes alone.
    """

    kind: Kind
    device: str
    received_at_ms: int
    data: bytes
    content: msgspec.Struct | None = None


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One numbered item of the log; ``frame`` is its SSE block, the same bytes in replay and live (law 3)."""

    seq: int
    kind: Kind
    device: str
    received_at_ms: int
    frame: bytes


class Page(msgspec.Struct, frozen=True):
    """What one read found: entries in order of seq, and the position that a stream has reached with them."""

    entries: list[Entry]
    position: int


ANY = Wanted()


ANY = Wanted()


class Place(NamedTuple):
    """Where a time lies in the log.

    ``position`` is that of the newest entry that arrived before it. ``is_whole`` is whether all that arrived since is still
    held; False also where that is not known.
    """

    position: int
    is_whole: bool


GapReason = Literal["expired", "corrupt", "lost", "ahead"]


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Entries after ``asked`` up to and including ``floor`` are not to be had (law 7); reading goes on at ``floor``."""

    asked: int
    floor: int
    head: int
    reason: GapReason
