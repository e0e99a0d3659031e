"""All devices: a fold over the log's entries, so what is told of them is exact at every position. On the event loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from gateway.clock import Clock
from gateway.config.table import LimitsSection
from gateway.devices.device import Device, DeviceState
from gateway.devices.wire import DeviceData, ReadingData
from gateway.frame import entry_data
from gateway.reading import Draft, Entry
from gateway.selection import Selection

_decode_reading = msgspec.json.Decoder(ReadingData).decode
_decode_device = msgspec.json.Decoder(DeviceData).decode
_decode_state = msgspec.json.Decoder(DeviceState).decode
_encode = msgspec.json.Encoder().encode
_DEFAULT_LIMITS = LimitsSection()


class Checkpoint(NamedTuple):
    """States as JSON by device, and the position that they stand for.

    ``is_whole`` is whether all devices are in it; else those that changed since the last checkpoint that was saved.
    """

    states: dict[str, bytes]
    position: int
    is_whole: bool


class Registry:
    """The record of each device, as of ``position``.

    ``limits`` bound both: `admit` lets in ``max_devices`` devices, and of each ``max_metrics`` metrics are remembered. A
    device that was admitted is visible (``in``, `get`, `shown`, ``len``) when the log holds an entry of it.
    """

    def __init__(self, limits: LimitsSection = _DEFAULT_LIMITS, clock: Clock | None = None) -> None:
        self.position = 0
        self.max_devices, self.max_metrics = limits.max_devices, limits.max_metrics
        self._clock = clock or Clock()
        self._devices: dict[str, Device] = {}
        self._visible = 0
        self._dirty: set[str] = set()
        self._is_current = True

    # --- from the log ------------------------------------------------------------------------------------------------

    def load(self, states: dict[str, bytes], position: int) -> None:
        """Begin with stored states; one that cannot be read is left out and made again by what comes."""
        for device, text in states.items():
            try:
                self._devices[device] = Device(_decode_state(text), is_committed=True)
            except msgspec.DecodeError:
                continue
        self.position, self._visible = position, len(self._devices)

    @property
    def is_current(self) -> bool:
        """Whether the states are those of the log's head; false while the log is read to learn of its devices."""
        return self._is_current

    def begin_catch_up(self) -> None:
        """The log holds entries that the states lack; what `apply` gets until `end_catch_up` was not heard now."""
        self._is_current = False

    def end_catch_up(self) -> None:
        """The states are those of the log's head, and each commit is applied from here on."""
        self._is_current = True

    def apply(self, entries: Sequence[Entry], drafts: Sequence[Draft] = ()) -> None:
        """Fold in what was appended, in order, before any stream wakes.

        ``drafts`` are those that the entries were made of, where they are at hand: that saves decoding.
        """
        now_s = self._clock.elapsed_s() if self._is_current else None
        contents = [draft.content for draft in drafts] or [None] * len(entries)
        for entry, content in zip(entries, contents, strict=True):
            if entry.kind == "reading":
                reading = content if isinstance(content, ReadingData) else _decode_reading(entry_data(entry))
                device = self._committed(reading.device)
                if device.apply_reading(reading, entry.received_at_ms, self.max_metrics, now_s):
                    self._dirty.add(reading.device)
            elif entry.kind == "device":
                told = content if isinstance(content, DeviceData) else _decode_device(entry_data(entry))
                self._committed(told.device).apply_device(told, self.max_metrics, now_s)
                self._dirty.add(told.device)
        if entries:
            self.position = entries[-1].seq

    def _committed(self, name: str) -> Device:
        """The record of a device that the log holds an entry of: it was let in, by whatever limits held then."""
        device = self._devices.get(name)
        if device is None:
            device = self._add(name)
        if not device.is_committed:
            device.is_committed = True
            self._visible += 1
        return device

    def _add(self, name: str) -> Device:
        device = self._devices[name] = Device(DeviceState(name, values={}, metrics={}), is_committed=False)
        return device

    # --- to the log --------------------------------------------------------------------------------------------------

    def admit(self, name: str) -> Device | None:
        """The record of a device that sends something; None when it is a new one above ``max_devices``."""
        device = self._devices.get(name)
        if device is None and len(self._devices) < self.max_devices:
            return self._add(name)
        return device

    def records(self) -> Iterator[Device]:
        """The records of all visible devices; their states may lack the values of the newest reading."""
        return (device for device in self._devices.values() if device.is_committed)

    # --- to the device store -----------------------------------------------------------------------------------------

    def checkpoint(self, *, is_whole: bool) -> Checkpoint:
        """The states that changed since the last checkpoint, or all. They count as saved, until `give_back`."""
        states = list(self) if is_whole else [self._settled(self._devices[name]) for name in self._dirty]
        self._dirty.clear()
        return Checkpoint({state.device: _encode(state) for state in states}, self.position, is_whole)

    def give_back(self, checkpoint: Checkpoint) -> None:
        """The checkpoint was not saved: its devices are in the next one too, with what is known of them by then."""
        self._dirty.update(checkpoint.states)

    # --- to browsers -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._visible

    def __contains__(self, name: str) -> bool:
        device = self._devices.get(name)
        return device is not None and device.is_committed

    def __iter__(self) -> Iterator[DeviceState]:
        return (self._settled(device) for device in list(self.records()))

    def get(self, name: str) -> DeviceState | None:
        """The state of one device, or None when the log holds nothing of it."""
        device = self._devices.get(name)
        return self._settled(device) if device is not None and device.is_committed else None

    def shown(self, selection: Selection, metrics: frozenset[str] = frozenset()) -> list[bytes]:
        """The states of ``selection`` as JSON for browsers, by name; with ``metrics``, only those, and only where any is."""
        names = selection.names if not selection.globs else (name for name in self._devices if name in selection)
        found = [self._devices[name] for name in sorted(names) if name in self]
        if not metrics:
            return [device.shown(metrics) for device in found if self._settled(device)]
        return [device.shown(metrics) for device in found if metrics & self._settled(device).values.keys()]

    def _settled(self, device: Device) -> DeviceState:
        device.settle(self.max_metrics)
        return device.state
