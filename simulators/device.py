"""What one device publishes, and when: pure, so that the same seed and start give the same bytes.

A fleet is a list of devices; its schedule is all their publications, merged by due time. Printing the schedule and
publishing it are the same loop with another end.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from simulators.profile import Clock, Profile, Shape, Value
from simulators.profiles import PROFILES
from simulators.signals import MASK, salt

GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, taken modulo 1, spread any number of devices evenly over the interval (Weyl)."""

RATE_MIN, RATE_MAX = 1e-4, 1000.0
"""Reports per second of one device: three hours between reports, or one in each millisecond, the step of due times."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Publication:
    """One MQTT message that is due.

    ``due_ms`` is Unix ms on the simulated clock; ``readings`` how many readings the message holds (0: none, it is a
    description or availability).
    """

    due_ms: int
    device: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    readings: int


@dataclass(frozen=True, slots=True)
class Device:
    """One simulated device.

    ``index`` is its place in the fleet, ``number`` its place among those of its profile (from 1); ``rate`` is in
    reports per second, ``RATE_MIN`` to ``RATE_MAX``; ``seed`` is the fleet's, the device's own depends on its name too.
    """

    profile: Profile
    index: int
    number: int
    rate: float = 1.0
    seed: int = 1
    qos: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError for a rate or QoS out of bounds."""
        if not RATE_MIN <= self.rate <= RATE_MAX:
            raise ValueError(f"rate: must be {RATE_MIN} to {RATE_MAX:g} reports per second (got {self.rate})")
        if self.qos not in {0, 1, 2}:
            raise ValueError(f"qos: must be 0, 1 or 2 (got {self.qos})")

    @property
    def name(self) -> str:
        """Its name, as the gateway sees it."""
        return self.profile.device.format(n=self.number)

    @property
    def availability_topic(self) -> str:
        """Where ``online`` and ``offline`` go, retained; also the topic of its last will."""
        return f"sensors/{self.name}/availability"

    def announcement(self, due_ms: int) -> tuple[Publication, Publication]:
        """What it publishes on each connect: ``online``, then its description; both retained."""
        return self._availability(due_ms, b"online"), self._retained(due_ms, "info", _json(self.description()))

    def farewell(self, due_ms: int) -> Publication:
        """What it publishes before it disconnects on purpose: ``offline``, retained."""
        return self._availability(due_ms, b"offline")

    def description(self) -> dict[str, object]:
        """``label``, ``model`` and ``metrics``: name to label and, where there is one, unit."""
        return {
            "label": self.profile.label.format(n=self.number),
            "model": self.profile.model,
            "metrics": {metric.name: metric.described() for metric in self.profile.metrics},
        }

    def due_ms(self, start_ms: int, k: int) -> int:
        """When report ``k`` (from 0) is due: counted from the start each time, so that no rounding adds up."""
        phase = (self.index * GOLDEN) % 1.0
        return start_ms + math.floor((phase + k) * 1000.0 / self.rate)

    def reports(self, start_ms: int) -> Iterator[Publication]:
        """All it publishes from ``start_ms`` on, by due time, without end; a report is one message, several or none."""
        rows = self._rows(start_ms)
        match self.profile.shape:
            case Shape.PLAIN:
                return self._plain(rows)
            case Shape.BATCH:
                return self._batches(rows)
            case _:
                return (self._report(due_ms, _json(self._object(due_ms, row)), 1) for due_ms, row in rows)

    def _rows(self, start_ms: int) -> Iterator[tuple[int, dict[str, Value]]]:
        seen: dict[str, Value] = {}
        for k in itertools.count():
            due_ms = self.due_ms(start_ms, k)
            yield due_ms, self._row(k, due_ms, seen)

    def _row(self, k: int, due_ms: int, seen: dict[str, Value]) -> dict[str, Value]:
        """The values of report ``k``; ``seen`` holds the newest value of each metric that is sent on change."""
        seed = (self.seed ^ salt(self.name)) & MASK
        row: dict[str, Value] = {}
        for metric in self.profile.metrics:
            # The device's number staggers what is not in each report, so that like devices do not send it together.
            its_turn = k == 0 or (k + self.number) % metric.every == 0
            if not its_turn and not metric.on_change:
                continue
            value = metric.read(seed, due_ms / 1000)
            if its_turn or seen.get(metric.name) != value:
                row[metric.name] = value
            if metric.on_change:
                seen[metric.name] = value
        return row

    def _plain(self, rows: Iterator[tuple[int, dict[str, Value]]]) -> Iterator[Publication]:
        for due_ms, row in rows:
            for metric, value in row.items():
                payload = value.encode() if isinstance(value, str) else _json(value)
                yield self._report(due_ms, payload, 1, f"/{metric}")

    def _batches(self, rows: Iterator[tuple[int, dict[str, Value]]]) -> Iterator[Publication]:
        # The first one is short, by the device's number, for the same reason.
        size = 1 + (self.number - 1) % self.profile.batch
        while batch := list(itertools.islice(rows, size)):
            yield self._report(batch[-1][0], _json([self._object(due_ms, row) for due_ms, row in batch]), size)
            size = self.profile.batch

    def _object(self, due_ms: int, row: dict[str, Value]) -> dict[str, object]:
        written = _timed(self.profile.clock, due_ms)
        if self.profile.shape is not Shape.NESTED:
            return written | row
        for metric, value in row.items():
            *levels, key = metric.split("/")
            inner = written
            for level in levels:
                inner = inner.setdefault(level, {})  # type: ignore[assignment]  # only dicts are put under levels
            inner[key] = value
        return written

    def _report(self, due_ms: int, payload: bytes, readings: int, below: str = "") -> Publication:
        return Publication(due_ms, self.name, f"sensors/{self.name}{below}", payload, self.qos, False, readings)

    def _retained(self, due_ms: int, below: str, payload: bytes) -> Publication:
        return Publication(due_ms, self.name, f"sensors/{self.name}/{below}", payload, self.qos, True, 0)

    def _availability(self, due_ms: int, state: bytes) -> Publication:
        return self._retained(due_ms, "availability", state)


def _timed(clock: Clock, due_ms: int) -> dict[str, object]:
    match clock:
        case Clock.NONE:
            return {}
        case Clock.UNIX_MS:
            return {"time": due_ms}
        case Clock.ISO:
            return {"time": (EPOCH + timedelta(milliseconds=due_ms)).isoformat(timespec="milliseconds")}


def _json(value: object) -> bytes:
    # NaN is refused, not written: Python would accept it back, a browser would not.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def line_up(
    devices: int = 8, *, rate: float = 1.0, seed: int = 1, profiles: Sequence[str] = (), qos: int = 1
) -> list[Device]:
    """A fleet of ``devices`` devices, the named profiles in turn; all profiles when none is named, and each counts once.

    A device's name and bytes do not depend on how many others there are, only on its place.
    Raises ValueError for an unknown profile, and what ``Device`` raises.
    """
    unknown = [name for name in profiles if name not in PROFILES]
    if unknown:
        raise ValueError(f"profiles: must be of {', '.join(PROFILES)} (got {unknown[0]})")
    chosen = [PROFILES[name] for name in dict.fromkeys(profiles or PROFILES)]
    turns = len(chosen)
    return [Device(chosen[i % turns], i, i // turns + 1, rate, seed, qos) for i in range(devices)]


def schedule(devices: Sequence[Device], start_ms: int) -> Iterator[Publication]:
    """All reports of all devices from ``start_ms`` on, without end, by due time; ties in the order of the devices."""
    return heapq.merge(*(device.reports(start_ms) for device in devices), key=lambda publication: publication.due_ms)
