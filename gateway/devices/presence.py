"""What a message means for its device: the drafts to append, changes of status among them. Pure.

A change of status is an entry, so a stream that comes back learns of it as of any reading. Drafts are made from what was
drafted last, which is a few milliseconds ahead of the log: a status is drafted once, also while its entry is on its way.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.clock import Instant
from gateway.config.table import DevicesSection
from gateway.decode.units import unit_for
from gateway.devices.cadence import SILENT_AFTER_GAPS
from gateway.devices.device import Device
from gateway.devices.registry import Registry
from gateway.devices.wire import DeviceData, ReadingData, Status
from gateway.reading import Decoded, DeviceInfo, Draft, MetricInfo, Reading, Rejected

_encode = msgspec.json.Encoder().encode


class Presence:
    """Makes drafts of what was decoded. Holds nothing of its own: the record of each device is the registry's.

    ``units`` are those of the configuration, by metric.
    """

    def __init__(self, registry: Registry, settings: DevicesSection, units: Mapping[str, str] | None = None) -> None:
        self._registry, self._settings = registry, settings
        self._units = units or {}

    def drafts(self, decoded: Decoded) -> list[Draft] | Rejected:
        """What to append for one decoded reading or info; a rejection is handed back."""
        if isinstance(decoded, Rejected):
            return decoded
        device = self._registry.admit(decoded.device)
        if device is None:
            return Rejected("too_many_devices", f"{decoded.device}: more than {self._registry.max_devices}")
        return self._of_reading(decoded, device) if isinstance(decoded, Reading) else self._of_info(decoded, device)

    def _of_reading(self, reading: Reading, device: Device) -> list[Draft]:
        before, drafts = (device.drafted or device.state).status, []
        status: Status = before if reading.retained else "online"
        metrics = self._configured(reading, device) if self._units else {}
        # The status of a new device is unknown, so a live reading always changes it.
        if metrics or status != before or (reading.retained and _is_new(device)):
            drafts.append(self._announce(device, status, reading.received_at_ms, metrics=metrics))
        measured, received = reading.measured_at_ms, reading.received_at_ms
        if measured is None:
            data = ReadingData(reading.device, received, reading.values, None, reading.retained)
        else:
            data = ReadingData(reading.device, measured, reading.values, received, reading.retained)
        drafts.append(Draft("reading", reading.device, received, _encode(data), data))
        return drafts

    def _configured(self, reading: Reading, device: Device) -> dict[str, MetricInfo]:
        """Units of the configuration for metrics that have none yet; a device's own word goes before it."""
        described = device.newest.metrics
        missing = (metric for metric in reading.values if not (metric in described and described[metric].unit))
        units = {metric: unit for metric in missing if (unit := unit_for(metric, self._units))}
        return self._news({metric: MetricInfo(unit=unit) for metric, unit in units.items()}, device)

    def _news(self, told: Mapping[str, MetricInfo], device: Device) -> dict[str, MetricInfo]:
        """The part of ``told`` that is not known yet: an empty unit or label says nothing.

        A device is described by its first ``max_metrics`` metrics: names that never end would grow the log and the record.
        """
        described = device.newest.metrics
        room = self._registry.max_metrics - len(described)
        news = {}
        for metric, about in told.items():
            before = described.get(metric)
            if before is None:
                if room > 0:
                    room -= 1
                    news[metric] = about
            elif (merged := MetricInfo(about.unit or before.unit, about.label or before.label)) != before:
                news[metric] = merged
        return news

    def _of_info(self, info: DeviceInfo, device: Device) -> list[Draft]:
        newest = device.newest
        status = info.availability or newest.status
        metrics = self._news(info.metrics, device)
        label = info.label if info.label != newest.label else ""
        model = info.model if info.model != newest.model else ""
        if status == newest.status and not (metrics or label or model or _is_new(device)):
            return []
        return [self._announce(device, status, info.received_at_ms, label, model, metrics)]

    def _announce(
        self,
        device: Device,
        status: Status,
        now_ms: int,
        label: str = "",
        model: str = "",
        metrics: dict[str, MetricInfo] | None = None,
    ) -> Draft:
        newest, name = device.newest, device.state.device
        since = newest.since if status == newest.status and not _is_new(device) else now_ms
        data = DeviceData(
            device=name, status=status, since=since, label=label, model=model, metrics=metrics or {}
        )  # fmt: skip
        device.draft(data)
        return Draft("device", name, now_ms, _encode(data), data)

    def silent(self, now: Instant, listening_since_s: float) -> list[Draft]:
        """Drafts for devices that were online and have said nothing for much longer than is usual for them.

        Judged by elapsed seconds, so that a wall clock that is set makes nobody silent, and keeps nobody from it.
        ``listening_since_s`` is when the broker was reached: before that nothing could be heard. Call it once a second.
        """
        drafts = []
        for device in self._registry.records():
            # What is on its way to the log was said a moment ago.
            if device.state.status != "online" or device.drafted is not None:
                continue
            quiet_s = now.elapsed_s - max(device.heard_s, device.online_s, listening_since_s)
            if quiet_s > max(self._settings.silent_after_s, SILENT_AFTER_GAPS * device.usual_s):
                drafts.append(self._announce(device, "silent", now.wall_ms))
        return drafts


def _is_new(device: Device) -> bool:
    """Whether nothing was ever said of the device, neither in the log nor on the way there."""
    return device.drafted is None and not device.is_committed
