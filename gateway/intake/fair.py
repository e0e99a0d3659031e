"""Who may add messages at QoS 0 while the gateway is behind. Pure.

QoS 1 is held at the broker: the gateway stops reading, and TCP tells the broker. At QoS 0 nobody holds anything, so what
comes faster than it can be kept must be dropped somewhere; left to the buffers, it would be anybody's. So while the gateway
is behind, what can be kept is divided: every device gets what it sends up to a common share, and only what a device sends
above that is dropped. A device that floods loses its own readings, and a quiet one none.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

MAX_TOLD = 100
"""Devices told of in one go, those that lost most; the others' numbers wait for the next."""


class Overflow(NamedTuple):
    """What one device lost since it was told last."""

    device: str
    dropped: int
    since_ms: int


class Fair:
    """Divides by epochs: one ends when something was committed. Bounded by the devices that send within one.

    ``max_waiting`` is `limits.max_waiting_messages` of the log, in messages; above half of it the gateway is behind.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._asked: Counter[str] = Counter()
        self._share: float = 0
        self._is_pressed = False
        self._committed = 0
        self._lost: dict[str, tuple[int, int]] = {}

    def begin(self, waiting: int, committed: int, *, is_behind: bool) -> bool:
        """Messages came, ``waiting`` others are not committed, ``committed`` are, in all. Returns whether to ask `admits`.

        ``is_behind`` is whether more lies in the socket than can be read.
        """
        was_pressed, self._is_pressed = self._is_pressed, is_behind or waiting > self._max_waiting // 2
        if not self._is_pressed:
            self._asked.clear()
            return False
        if not was_pressed or committed > self._committed:
            room = max(0, self._max_waiting - waiting) // 2
            done = committed - self._committed
            self._share = share(list(self._asked.values()), min(room, done) if was_pressed else room)
            self._asked.clear()
            self._committed = committed
        return True

    def admits(self, device: str, now_ms: int) -> bool:
        """Whether a message at QoS 0 of this device is within its share; if not, it is counted as dropped."""
        self._asked[device] += 1
        if self._asked[device] <= self._share:
            return True
        dropped, since_ms = self._lost.get(device, (0, now_ms))
        self._lost[device] = dropped + 1, since_ms
        return False

    def overflows(self) -> list[Overflow]:
        """What was dropped since this was asked last, most first."""
        lost = sorted(self._lost.items(), key=lambda item: -item[1][0])[:MAX_TOLD]
        for device, _ in lost:
            del self._lost[device]
        return [Overflow(device, dropped, since_ms) for device, (dropped, since_ms) in lost]


def share(asked: list[int], capacity: int) -> float:
    """The most that each may have so that all together get no more than ``capacity``; at least 1, and no limit if all fit."""
    left, asked = capacity, sorted(asked)
    for place, count in enumerate(asked):
        each = left / (len(asked) - place)
        if count > each:
            return max(1, each)
        left -= count
    return max(1, left if not asked else float("inf"))
