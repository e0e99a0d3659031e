"""What browsers get of a device: the JSON of its entries, and of its state. `docs/wire.md` describes each key."""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.reading import MetricInfo, Value

Status = Literal["online", "offline", "silent", "unknown"]


class ReadingData(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The JSON of a `reading` entry; its keys stand in the order of `docs/wire.md`. Times are Unix milliseconds."""

    device: str
    at: int
    values: dict[str, Value]
    received_at: int | None = None
    retained: bool = False


class DeviceData(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The JSON of a `device` entry: its status, since when (Unix milliseconds), and what else changed."""

    device: str
    status: Status
    since: int
    label: str = ""
    model: str = ""
    metrics: dict[str, MetricInfo] = {}


class AlertData(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of an `alert` entry: ``dropped`` readings of this device were not kept since ``since`` (Unix milliseconds)."""

    device: str
    alert: Literal["overflow"]
    dropped: int
    since: int


class Latest(msgspec.Struct, omit_defaults=True):
    """The newest value of one metric, with its own times and what it is called and measured in."""

    value: Value
    at: int
    received_at: int
    unit: str = ""
    label: str = ""
    retained: bool = False


class ShownDevice(msgspec.Struct, omit_defaults=True):
    """The JSON of one device in `latest` blocks and in ``GET /api/devices``: its state without what is ours."""

    device: str
    status: Status
    since: int
    values: dict[str, Latest]
    label: str = ""
    model: str = ""
