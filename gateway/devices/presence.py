"""What a message means for its device: the drafts to append, changes of status among them. Pure.

A change of status is an entry, so a stream that comes back learns of it as of any reading. Statuses here run a few
milliseconds ahead of the log: they are those of the last draft, not of the last commit.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.decode.units import unit_for
from gateway.devices.registry import DeviceData, ReadingData, Registry, Status
from gateway.reading import Decoded, DeviceInfo, Draft, MetricInfo, Reading, Rejected

SILENT_AFTER_GAPS = 10
"""A device is silent after this many of its usual pauses, or `devices.silent_after_s`, whichever is longer."""

_encode = msgspec.json.Encoder().encode


class _Announced:
    """What was drafted of a device last."""

    __slots__ = ("label", "metrics", "model", "since", "status")

    def __init__(self, status: Status, since: int) -> None:
        self.status, self.since = status, since
        self.label = self.model = ""
        self.metrics: dict[str, MetricInfo] = {}


class Presence:
    """Makes drafts of what was decoded. Holds a small record a device, and lets in at most ``max_devices`` of them."""

    def __init__(
        self, registry: Registry, max_devices: int, silent_after_s: float, units: Mapping[str, str] | None = None
    ) -> None:
        self._registry = registry
        self._units = units or {}
        self._max_devices = max_devices
        self._silent_after_ms = silent_after_s * 1000
        self._announced: dict[str, _Announced] = {}
        for state in registry:
            known = self._announced[state.device] = _Announced(state.status, state.since)
            known.label, known.model, known.metrics = state.label, state.model, dict(state.metrics)

    def drafts(self, decoded: Decoded) -> list[Draft] | Rejected:
        """What to append for one decoded reading or info; a rejection is handed back."""
        if isinstance(decoded, Rejected):
            return decoded
        if decoded.device not in self._announced and len(self._announced) >= self._max_devices:
            return Rejected("too_many_devices", f"{decoded.device}: more than {self._max_devices}")
        return self._of_reading(decoded) if isinstance(decoded, Reading) else self._of_info(decoded)

    def _of_reading(self, reading: Reading) -> list[Draft]:
        if reading.retained and self._is_known(reading):
            return []
        known = self._announced.get(reading.device)
        drafts = []
        metrics = self._configured(reading, known) if self._units else {}
        if known is None or metrics or (known.status != "online" and not reading.retained):
            status: Status = "online" if not reading.retained else known.status if known else "unknown"
            drafts.append(self._announce(reading.device, status, reading.received_at_ms, metrics=metrics))
        measured, received = reading.measured_at_ms, reading.received_at_ms
        if measured is None:
            data = ReadingData(reading.device, received, reading.values, None, reading.retained)
        else:
            data = ReadingData(reading.device, measured, reading.values, received, reading.retained)
        drafts.append(Draft("reading", reading.device, received, _encode(data), data))
        return drafts

    def _is_known(self, reading: Reading) -> bool:
        """Whether a retained reading says what is known already: the broker kept what came live, and we subscribed again."""
        state = self._registry.get(reading.device)
        if state is None:
            return False
        known = [state.values.get(metric) for metric in reading.values]
        is_same = [latest.value if latest else None for latest in known] == list(reading.values.values())
        return is_same and all(latest and reading.measured_at_ms in (None, latest.at) for latest in known)

    def _configured(self, reading: Reading, known: _Announced | None) -> dict[str, MetricInfo]:
        """Units of the configuration for metrics that have none yet; a device's own word goes before it."""
        described = known.metrics if known else {}
        missing = (metric for metric in reading.values if not (metric in described and described[metric].unit))
        units = {metric: unit for metric in missing if (unit := unit_for(metric, self._units))}
        return self._news({metric: MetricInfo(unit=unit) for metric, unit in units.items()}, known)

    def _news(self, told: Mapping[str, MetricInfo], known: _Announced | None) -> dict[str, MetricInfo]:
        """What is new in ``told``, on top of what was known: an empty unit or label says nothing.

        Bounded as the registry is, by the metrics that came first: names that never end must not grow this either.
        """
        described = known.metrics if known else {}
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

    def _of_info(self, info: DeviceInfo) -> list[Draft]:
        known = self._announced.get(info.device)
        status: Status = info.availability or (known.status if known else "unknown")
        metrics = self._news(info.metrics, known)
        label = info.label if known is None or info.label != known.label else ""
        model = info.model if known is None or info.model != known.model else ""
        if known is not None and status == known.status and not (metrics or label or model):
            return []
        return [self._announce(info.device, status, info.received_at_ms, label, model, metrics)]

    def _announce(  # noqa: PLR0913, PLR0917 - the fields of one entry
        self,
        device: str,
        status: Status,
        now_ms: int,
        label: str = "",
        model: str = "",
        metrics: dict[str, MetricInfo] | None = None,
    ) -> Draft:
        known = self._announced.get(device)
        if known is None:
            known = self._announced[device] = _Announced(status, now_ms)
        elif known.status != status:
            known.status, known.since = status, now_ms
        known.label, known.model = label or known.label, model or known.model
        known.metrics.update(metrics or {})
        data = DeviceData(
            device=device, status=status, since=known.since, label=label, model=model, metrics=metrics or {}
        )
        return Draft("device", device, now_ms, _encode(data), data)

    def silent(self, now_ms: int, listening_since_ms: int) -> list[Draft]:
        """Drafts for devices that were online and say nothing for much longer than is usual for them.

        ``listening_since_ms`` is when the broker was reached: before that, silence was ours.
        """
        drafts = []
        for state in self._registry:
            known = self._announced.get(state.device)
            if known is None or known.status != "online":
                continue
            heard = max(state.last_reading_at_ms, listening_since_ms, known.since)
            if now_ms - heard > max(self._silent_after_ms, SILENT_AFTER_GAPS * state.usual_gap_ms):
                drafts.append(self._announce(state.device, "silent", now_ms))
        return drafts
