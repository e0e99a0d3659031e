"""Pauses between attempts: each about twice the one before, up to a limit, and never in step with anybody else's."""

from __future__ import annotations

import random

FACTOR = 2.0


class Backoff:
    """The pauses of one connection that is tried again: from ``first_s`` up to ``longest_s`` seconds."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._next_s = first_s

    def pause_s(self) -> float:
        """Seconds to wait before the next attempt.

        Full jitter on the upper half: those who lost one server together do not return in step.
        """
        pause_s = self._next_s * random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing
        self._next_s = min(self._next_s * FACTOR, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """The last attempt was a success: the next pause is the shortest again."""
        self._next_s = self._first_s
