"""What is known of each device: a fold over the log's entries, so it is exact at every position.

Pure: `Registry.apply` is called with each commit's entries, before any stream wakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from gateway.frame import entry_data
from gateway.reading import Draft, Entry, MetricInfo, Value
from gateway.selection import Selection

Status = Literal["online", "offline", "silent", "unknown"]

GAP_WEIGHT = 0.2
"""How much the newest pause between readings counts in the usual one: a new rhythm is learned in about ten readings."""


class ReadingData(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
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


class _Waiting(msgspec.Struct, frozen=True, gc=False):
    """The newest reading of a device, while its values are not folded in."""

    reading: ReadingData
    received_at_ms: int
    names: tuple[str, ...]

    def replaces(self, older: _Waiting) -> bool:
        """Whether this alone leaves the same behind as the older one and then this, whatever was known before both."""
        new, old = self.reading, older.reading
        return self.names == older.names and new.at >= old.at and not new.retained and not old.retained


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
        self._waiting: dict[str, _Waiting] = {}
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
        self._settle_all()
        changed = {device: _encode(self._states[device]) for device in self._dirty}
        self._dirty.clear()
        return changed, self.position

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, device: str) -> bool:
        return device in self._states

    def __iter__(self) -> Iterator[DeviceState]:
        self._settle_all()
        return iter(self._states.values())

    def get(self, device: str) -> DeviceState | None:
        """The state of one device, or None when nothing is known of it."""
        self._settle(device)
        return self._states.get(device)

    def shown(self, selection: Selection, metrics: frozenset[str] = frozenset()) -> list[bytes]:
        """The states of ``selection`` as JSON for browsers, by name; with ``metrics``, only those, and only where any is."""
        names = selection.names if not selection.globs else (name for name in self._states if name in selection)
        states = [state for name in sorted(names) if (state := self.get(name)) is not None]
        if not metrics:
            return [self._show(state) for state in states]
        return [_encode(_shown(state, metrics)) for state in states if metrics & state.values.keys()]

    def _show(self, state: DeviceState) -> bytes:
        text = self._shown.get(state.device)
        if text is None:
            text = self._shown[state.device] = _encode(_shown(state))
        return text

    def apply(self, entries: Sequence[Entry], drafts: Sequence[Draft] = ()) -> None:
        """Take what was appended, in order. ``drafts`` are what the entries were, where that is at hand: it is the same."""
        contents = [draft.content for draft in drafts] or [None] * len(entries)
        for entry, content in zip(entries, contents, strict=True):
            if entry.kind == "reading":
                reading = content if isinstance(content, ReadingData) else _decode_reading(entry_data(entry))
                self._apply_reading(reading, entry.received_at_ms)
            elif entry.kind == "device":
                self._apply_device(content if isinstance(content, DeviceData) else _decode_device(entry_data(entry)))
        if entries:
            self.position = entries[-1].seq

    def _state(self, device: str) -> DeviceState:
        state = self._states.get(device)
        if state is None:
            state = self._states[device] = DeviceState(device, values={}, metrics={})
        return state

    def _changed(self, device: str) -> None:
        self._shown.pop(device, None)
        self._dirty.add(device)

    def _apply_reading(self, reading: ReadingData, received_at_ms: int) -> None:
        """Learn the pause, and let the values wait: mostly the next reading replaces them before anybody looks."""
        state = self._state(reading.device)
        newer = _Waiting(reading, received_at_ms, tuple(reading.values))
        if (waiting := self._waiting.get(reading.device)) is None:
            self._changed(reading.device)
        elif not newer.replaces(waiting):
            self._fold(waiting)
        self._waiting[reading.device] = newer
        if not reading.retained:
            _learn_gap(state, received_at_ms)

    def _settle_all(self) -> None:
        for device in list(self._waiting):
            self._settle(device)

    def _settle(self, device: str) -> None:
        """Before anybody looks at a device, its newest reading is folded in."""
        if (waiting := self._waiting.pop(device, None)) is not None:
            self._fold(waiting)

    def _fold(self, waiting: _Waiting) -> None:
        reading = waiting.reading
        state = self._state(reading.device)
        for metric, value in reading.values.items():
            known = state.values.get(metric)
            if known is None and len(state.values) >= self.max_metrics:
                continue
            # A report that was delayed on its way must not replace a newer one.
            if known is None or reading.at >= known.at or known.retained:
                info = state.metrics.get(metric) or MetricInfo()
                state.values[metric] = Latest(
                    value, reading.at, waiting.received_at_ms, info.unit, info.label, reading.retained
                )

    def _apply_device(self, told: DeviceData) -> None:
        self._settle(told.device)
        self._changed(told.device)
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
