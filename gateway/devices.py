"""What is known of each device: a fold over the log's entries, so it is exact at every position.

Pure: `Registry.apply` is called with each commit's entries, before any stream wakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from gateway.frame import entry_data
from gateway.reading import Entry, MetricInfo, Value
from gateway.selection import Selection

Status = Literal["online", "offline", "silent", "unknown"]

GAP_WEIGHT = 0.2
"""How much the newest pause between readings counts in the usual one: a new rhythm is learned in about ten readings."""


class ReadingData(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The JSON of a reading; the order of its keys is that of `docs/wire.md`."""

    device: str
    at: int
    values: dict[str, Value]
    received_at: int | None = None
    retained: bool = False


class DeviceData(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The JSON of a `device` entry: its status, and what else changed."""

    device: str
    status: Status
    since: int
    label: str = ""
    model: str = ""
    metrics: dict[str, MetricInfo] = {}


class AlertData(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of an `alert` entry: ``dropped`` readings of this device were not kept since ``since``."""

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


class DeviceState(msgspec.Struct, omit_defaults=True):
    """All that is known of one device; at most ``max_metrics`` metrics, the first that came."""

    device: str
    status: Status = "unknown"
    since: int = 0
    label: str = ""
    model: str = ""
    values: dict[str, Latest] = {}
    metrics: dict[str, MetricInfo] = {}
    last_reading_at_ms: int = 0
    usual_gap_ms: float = 0


class _Shown(msgspec.Struct, omit_defaults=True):
    """The part of a state that goes to browsers."""

    device: str
    status: Status
    since: int
    values: dict[str, Latest]
    label: str = ""
    model: str = ""


_decode_reading = msgspec.json.Decoder(ReadingData).decode
_decode_device = msgspec.json.Decoder(DeviceData).decode
_decode_state = msgspec.json.Decoder(DeviceState).decode
_encode = msgspec.json.Encoder().encode


class Registry:
    """All devices, as of ``position``; bounded by the number of devices that ingest lets in."""

    def __init__(self, max_metrics: int = 200) -> None:
        self.position = 0
        self._states: dict[str, DeviceState] = {}
        self._shown: dict[str, bytes] = {}
        self._dirty: set[str] = set()
        self.max_metrics = max_metrics

    def load(self, states: dict[str, bytes], position: int) -> None:
        """Begin with stored states; one that cannot be read is left out and made again by what comes."""
        for device, text in states.items():
            try:
                self._states[device] = _decode_state(text)
            except msgspec.DecodeError:
                continue
        self.position = position

    def changes(self) -> tuple[dict[str, bytes], int]:
        """The states that changed since the last call, as JSON, and the position that they stand for."""
        changed = {device: _encode(self._states[device]) for device in self._dirty}
        self._dirty.clear()
        return changed, self.position

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, device: str) -> bool:
        return device in self._states

    def __iter__(self) -> Iterator[DeviceState]:
        return iter(self._states.values())

    def get(self, device: str) -> DeviceState | None:
        """The state of one device, or None when nothing is known of it."""
        return self._states.get(device)

    def shown(self, selection: Selection, metrics: frozenset[str] = frozenset()) -> list[bytes]:
        """The states of ``selection`` as JSON for browsers, by name; with ``metrics``, only those, and only where any is."""
        names = selection.names if not selection.globs else (name for name in self._states if name in selection)
        states = [self._states[name] for name in sorted(names) if name in self._states]
        if not metrics:
            return [self._show(state) for state in states]
        return [_encode(_shown(state, metrics)) for state in states if metrics & state.values.keys()]

    def _show(self, state: DeviceState) -> bytes:
        text = self._shown.get(state.device)
        if text is None:
            text = self._shown[state.device] = _encode(_shown(state))
        return text

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take what was appended, in order."""
        for entry in entries:
            self.position = entry.seq
            if entry.kind == "reading":
                self._apply_reading(_decode_reading(entry_data(entry)), entry.received_at_ms)
            elif entry.kind == "device":
                self._apply_device(_decode_device(entry_data(entry)))
            else:
                continue
            self._shown.pop(entry.device, None)
            self._dirty.add(entry.device)

    def _state(self, device: str) -> DeviceState:
        state = self._states.get(device)
        if state is None:
            state = self._states[device] = DeviceState(device, values={}, metrics={})
        return state

    def _apply_reading(self, reading: ReadingData, received_at_ms: int) -> None:
        state = self._state(reading.device)
        for metric, value in reading.values.items():
            known = state.values.get(metric)
            if known is None and len(state.values) >= self.max_metrics:
                continue
            # A report that was delayed on its way must not replace a newer one.
            if known is None or reading.at >= known.at or known.retained:
                info = state.metrics.get(metric) or MetricInfo()
                state.values[metric] = Latest(
                    value, reading.at, received_at_ms, info.unit, info.label, reading.retained
                )
        if not reading.retained:
            _learn_gap(state, received_at_ms)

    def _apply_device(self, told: DeviceData) -> None:
        state = self._state(told.device)
        state.status, state.since = told.status, told.since
        state.label = told.label or state.label
        state.model = told.model or state.model
        for metric, info in told.metrics.items():
            if metric in state.metrics or len(state.metrics) < self.max_metrics:
                state.metrics[metric] = info
                if latest := state.values.get(metric):
                    latest.unit, latest.label = info.unit, info.label


def _learn_gap(state: DeviceState, received_at_ms: int) -> None:
    if state.last_reading_at_ms:
        pause = received_at_ms - state.last_reading_at_ms
        state.usual_gap_ms += (pause - state.usual_gap_ms) * (GAP_WEIGHT if state.usual_gap_ms else 1)
    state.last_reading_at_ms = received_at_ms


def _shown(state: DeviceState, metrics: frozenset[str] = frozenset()) -> _Shown:
    values = {name: latest for name, latest in state.values.items() if not metrics or name in metrics}
    return _Shown(state.device, state.status, state.since, values, state.label, state.model)
