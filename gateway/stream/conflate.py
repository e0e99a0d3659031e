"""Conflation: several readings of a device that wait become one, with the newest value of each metric. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from gateway import frame
from gateway.reading import Entry, project

MAX_ALERTS = 100
"""Alerts are never merged; when more of them wait, the newest are kept."""


class _Merged:
    """What waits of one device: its statuses merged, its readings merged, and the seq of the newest entry in each."""

    __slots__ = ("count", "device", "device_seq", "reading", "reading_seq", "readings")

    def __init__(self) -> None:
        self.count = self.readings = 0
        self.reading: dict[str, Any] = {}
        self.device: dict[str, Any] = {}
        self.reading_seq = self.device_seq = 0

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        if self.device:
            yield self.device_seq, frame.device(self.device)
        if self.readings:
            extra = {"merged": self.readings} if self.readings > 1 else {}
            yield self.reading_seq, frame.reading({**self.reading, **extra}, None)


class Conflation:
    """Gathers the entries of one pass; grows by devices and metrics, never by readings."""

    def __init__(self, metrics: frozenset[str] = frozenset()) -> None:
        self._metrics = metrics
        self._by_device: dict[str, _Merged] = {}
        self._alerts: deque[bytes] = deque(maxlen=MAX_ALERTS)
        self._single: list[bytes] | None = []
        self.taken = 0

    def add(self, entry: Entry) -> None:
        """Take one entry, newer than all before."""
        text = frame.projected(entry, self._metrics)
        if text is None:
            return
        self.taken += 1
        if entry.kind == "alert":
            if len(self._alerts) == MAX_ALERTS:
                self._single = None
            self._alerts.append(frame.entry_data(entry))
        elif entry.kind == "device":
            self._take_device(entry)
        else:
            self._take_reading(entry)
        self._keep_single(entry, text)

    def _keep_single(self, entry: Entry, text: bytes) -> None:
        """While no device has two entries and no alert is left out, the entries are the answer, with their own ids."""
        if self._single is None:
            return
        if entry.kind == "alert" or self._by_device[entry.device].count == 1:
            self._single.append(text)
        else:
            self._single = None

    def _take_device(self, entry: Entry) -> None:
        merged, data = self._merged(entry), frame.entry_content(entry)
        metrics = {**merged.device.get("metrics", {}), **data.get("metrics", {})}
        merged.device.update(data)
        merged.device_seq = entry.seq
        if metrics:
            merged.device["metrics"] = metrics

    def _take_reading(self, entry: Entry) -> None:
        merged, data = self._merged(entry), frame.entry_content(entry)
        wanted = project(data["values"], self._metrics)
        merged.reading = {**data, "values": {**merged.reading.get("values", {}), **wanted}}
        merged.readings += 1
        merged.reading_seq = entry.seq

    def _merged(self, entry: Entry) -> _Merged:
        merged = self._by_device.setdefault(entry.device, _Merged())
        merged.count += 1
        return merged

    def frames(self, position: int) -> tuple[list[bytes], int]:
        """The blocks to send, and how many entries they leave out. The last block carries ``position`` as its id.

        Blocks before it have none: a reader that is cut off in between comes back for all of them. They stand in the
        order of the newest entry in each, so that a device that left after its last reading is told to have left last.
        """
        if self._single is not None:
            return self._single, 0
        blocks = [frame.alert(text) for text in self._alerts]
        blocks += [
            block for _, block in sorted(pair for merged in self._by_device.values() for pair in merged.blocks())
        ]
        blocks[-1] = frame.with_id(position, blocks[-1])
        return blocks, self.taken - len(blocks)
