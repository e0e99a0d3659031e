"""What a sensor sees: courses of a quantity, as pure functions of a seed and a time.

Nothing here keeps state. A value at a moment depends on the seed, the name of the course and the moment, never on what
was asked before, so a simulator that is restarted goes on where it was, and any moment can be asked for alone.
What in nature depends on the past is therefore written in closed form: noise is a weighted sum over the steps before,
a thermostat is a grid of cycles with a hashed share of "on" in each, a counter is the integral of what it counts.

Two courses with one seed and one name are the same course. That is how a cloud dims the light and cools the air.

Throughout: ``seed`` is a 64-bit integer, ``name`` names the course, ``t_s`` is Unix time in seconds.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

MASK = (1 << 64) - 1
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S

STEPS_PER_TAU = 4
"""Steps of a wander within its correlation time: enough that straight lines between them look like a sensor's trace."""

STEPS_BACK = 3 * STEPS_PER_TAU
"""How far back a wander sums: what is older than three correlation times weighs less than e^-3, 5 %."""

JITTER_STEPS_PER_S = 1000
"""Jitter is new each millisecond, the finest step of a report's time."""

WANDERS_REMEMBERED = 65_536
"""Steps kept by the memory of ``_step``, about 10 MB; the oldest go, and are computed again when asked for."""


@lru_cache(maxsize=4096)
def salt(name: str) -> int:
    """A 64-bit number for ``name``, the same in every process (``hash`` is not: PYTHONHASHSEED)."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def fraction(seed: int, index: int) -> float:
    """A number in [0, 1) for ``index``: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), no state to carry."""
    x = (seed + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return ((x ^ (x >> 31)) >> 11) * 2.0**-53


def between(seed: int, name: str, low: float, high: float) -> float:
    """What differs from one device to the next and never changes: a number in [low, high)."""
    return low + (high - low) * fraction(seed ^ salt(name), 0)


def jitter(seed: int, name: str, t_s: float, scale: float) -> float:
    """The noise of the sensor itself: independent from one millisecond to the next, within ±``scale``."""
    return scale * (2.0 * fraction(seed ^ salt(name), round(t_s * JITTER_STEPS_PER_S)) - 1.0)


def wander(seed: int, name: str, t_s: float, scale: float, tau_s: float) -> float:
    """Noise like that of Ornstein and Uhlenbeck: mean 0, standard deviation ``scale``, forgotten after ``tau_s``.

    Bounded: never beyond ±5 ``scale``, because each step adds a bounded amount.
    """
    position = t_s * STEPS_PER_TAU / tau_s
    step = math.floor(position)
    here, there = _step(seed ^ salt(name), step), _step(seed ^ salt(name), step + 1)
    return scale * (here + (there - here) * (position - step))


_DECAY: float = math.exp(-1 / STEPS_PER_TAU)
# Makes the variance 1: that of a uniform number in [-1, 1) is 1/3, and the weights' squares form a geometric series.
_GAIN: float = math.sqrt(3 * (1 - _DECAY**2) / (1 - _DECAY ** (2 * STEPS_BACK)))


@lru_cache(maxsize=WANDERS_REMEMBERED)
def _step(seed: int, step: int) -> float:
    total: float = 0.0
    for index in range(step - STEPS_BACK + 1, step + 1):
        total = _DECAY * total + 2.0 * fraction(seed, index) - 1.0
    return _GAIN * total


def daily(t_s: float, mean: float, swing: float, peak_hour: float) -> float:
    """A quantity that follows the sun: ``mean`` ± ``swing``, highest at ``peak_hour`` (UTC, 0 to 24)."""
    return mean + swing * math.cos(2 * math.pi * (t_s / DAY_S - peak_hour / 24))


def daylight(t_s: float) -> float:
    """The light of day: 0 from 18 to 6 o'clock UTC, 1 at noon."""
    return math.pow(max(0.0, math.sin(2 * math.pi * (t_s / DAY_S - 0.25))), 1.3)


def spikes(seed: int, name: str, t_s: float, every_s: float, length_s: float) -> float:
    """Something sudden, once in each ``every_s``: 1 at its start, falling off over ``length_s``, else near 0.

    ``length_s`` must be at most a quarter of ``every_s``.
    """
    slot = math.floor(t_s / every_s)
    start = (slot + 0.7 * fraction(seed ^ salt(name), slot)) * every_s
    return math.exp((start - t_s) / length_s) if t_s >= start else 0.0


def visits(seed: int, name: str, t_s: float, every_s: float, length_s: float) -> bool:
    """A door opened, a person in the room: true for a quarter to all of ``length_s``, in two of three ``every_s``.

    ``length_s`` must be at most half of ``every_s``.
    """
    key, slot = seed ^ salt(name), math.floor(t_s / every_s)
    start = (slot + 0.5 * fraction(key, 3 * slot)) * every_s
    lasts = length_s * (0.25 + 0.75 * fraction(key, 3 * slot + 1))
    return fraction(key, 3 * slot + 2) < 2 / 3 and start <= t_s < start + lasts


def battery(seed: int, name: str, t_s: float, life_s: float) -> float:
    """Charge in percent: 100 when new, 5 when it is replaced, a little flat at both ends as a cell's voltage is."""
    used = (t_s / life_s + fraction(seed ^ salt(name), 0)) % 1.0
    return 100.0 - 95.0 * (used + 0.04 * math.sin(2 * math.pi * used))


def clamp(value: float, low: float, high: float) -> float:
    """``value`` as a sensor with the range ``low`` to ``high`` shows it."""
    return min(max(value, low), high)


def quantise(value: float, resolution: float) -> float | int:
    """``value`` to the nearest multiple of ``resolution`` (above 0); an integer when the resolution is one.

    Decimal resolutions give short decimals: 21.3, not 21.300000000000001. Never ``-0.0``.
    """
    steps = round(value / resolution)
    if resolution == int(resolution):
        return steps * int(resolution)
    return round(steps * resolution, _decimals(resolution)) + 0.0


@lru_cache(maxsize=256)
def _decimals(resolution: float) -> int:
    return max(0, -int(Decimal(str(resolution)).as_tuple().exponent))


@dataclass(frozen=True, slots=True)
class Cycle:
    """Something that switches on and off by itself, as a thermostat with hysteresis does.

    ``period_s`` differs by ±15 % from device to device; ``duty`` (0 to 1, exclusive) is the mean share of it that is
    on, ``spread`` how far a single cycle's share strays; ``duty`` ± ``spread`` must stay within (0, 1).
    """

    name: str
    period_s: float
    duty: float
    spread: float = 0.0

    def on(self, seed: int, t_s: float) -> bool:
        """Whether it is on."""
        _, phase, share = self._where(seed, t_s)
        return phase < share

    def climb(self, seed: int, t_s: float) -> float:
        """What the thermostat holds, 0 to 1: rises to 1 while on, falls back to 0 while off, both exponentially."""
        _, phase, share = self._where(seed, t_s)
        if phase < share:
            return _bent(phase / share)
        return 1.0 - _bent((phase - share) / (1.0 - share))

    def on_s(self, seed: int, t_s: float) -> float:
        """Seconds it was on since 1970: exact, never falls, and its slope is 1 while on and 0 while off."""
        index, phase, share = self._where(seed, t_s)
        # Each pair of cycles is on for exactly twice the duty, so all earlier pairs need no summing.
        earlier = self.duty * (index - index % 2) + (self._share(seed, index - 1) if index % 2 else 0.0)
        return (earlier + min(phase, share)) * self._period_s(seed)

    def _where(self, seed: int, t_s: float) -> tuple[int, float, float]:
        position = t_s / self._period_s(seed)
        index = math.floor(position)
        return index, position - index, self._share(seed, index)

    def _period_s(self, seed: int) -> float:
        return self.period_s * between(seed, self.name, 0.85, 1.15)

    def _share(self, seed: int, index: int) -> float:
        stray = self.spread * (2.0 * fraction(seed ^ salt(self.name), 1 + index // 2) - 1.0)
        return self.duty - stray if index % 2 else self.duty + stray


def _bent(x: float) -> float:
    return (1.0 - math.exp(-2.0 * x)) / (1.0 - math.exp(-2.0))
