"""What tests of many stations share."""

from __future__ import annotations

from gateway.clock import Clock


class HandClock(Clock):
    """Stands still until a test lets time pass."""

    def __init__(self, elapsed_s: float = 1000.0, wall_ms: int = 1_795_335_752_000) -> None:
        super().__init__()
        self._elapsed_s, self._wall_ms = elapsed_s, wall_ms

    def elapsed_s(self) -> float:
        return self._elapsed_s

    def wall_ms(self) -> int:
        return self._wall_ms

    def pass_s(self, seconds: float) -> None:
        """Both clocks go on."""
        self._elapsed_s += seconds
        self._wall_ms += round(seconds * 1000)
