"""What a kind of device is: its metrics, how it writes a report down, how often it sends one."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from simulators import signals

Value = float | int | bool | str
Signal = Callable[[int, float], float | bool | str]
"""(device's seed, Unix time in seconds) to what the sensor sees; pure."""


class Shape(enum.Enum):
    """How a report is written down."""

    OBJECT = "one JSON object"
    NESTED = "one JSON object with objects inside"
    BATCH = "one JSON array of several reports"
    PLAIN = "one topic for each metric"


class Clock(enum.Enum):
    """Whether a report tells its own time, under the key ``time``."""

    NONE = "no time"
    ISO = "ISO 8601 time"
    UNIX_MS = "Unix ms time"


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity that a device reports.

    ``name``: its key, or the last level of its topic; in a nested report ``a/b`` is the key ``b`` in the object ``a``.
    ``unit``: the SenML code (RFC 8428, RFC 8798) where one exists, ``None`` for what has no unit.
    ``low``, ``high``, ``resolution``: the sensor's range and step, in that unit; without meaning for bool and text.
    ``every``: it is in the first report, then in each ``every``-th only. ``on_change``: also in any report where it
    differs from the last.
    """

    name: str
    label: str
    signal: Signal
    unit: str | None = None
    resolution: float = 1.0
    low: float = 0.0
    high: float = 100.0
    every: int = 1
    on_change: bool = False

    def read(self, seed: int, t_s: float) -> Value:
        """What the sensor shows: within ``low`` and ``high``, a multiple of ``resolution``; or bool, or text."""
        seen = self.signal(seed, t_s)
        if isinstance(seen, bool | str):
            return seen
        return signals.quantise(signals.clamp(seen, self.low, self.high), self.resolution)

    def described(self) -> dict[str, str]:
        """Its part of the device's description: label, and unit where it has one."""
        return {"label": self.label} | ({"unit": self.unit} if self.unit else {})


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of device.

    ``device``: the name of the n-th one, with ``{n}``. A name with a slash needs ``Shape.PLAIN``: a JSON object on
    ``sensors/a/b`` would be taken for the metric ``b`` of the device ``a``.
    ``batch``: reports in one message, for ``Shape.BATCH``.
    """

    name: str
    device: str
    label: str
    model: str
    shape: Shape
    metrics: tuple[Metric, ...]
    clock: Clock = Clock.NONE
    batch: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError when a name with a slash would be read as another device's metric."""
        if "/" in self.device and self.shape is not Shape.PLAIN:
            raise ValueError(f"profile {self.name}: a device with a slash in its name must send plain values")
