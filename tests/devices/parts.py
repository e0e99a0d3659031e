"""What the tests of devices share."""

from __future__ import annotations

from gateway.clock import Clock


class FakeClock(Clock):
    """Both clocks, set by the test: `passes` moves both, `steps` sets the wall clock alone."""

    def __init__(self, wall_ms: int = 1_795_335_752_000, elapsed_s: float = 1000.0) -> None:
        super().__init__()
        self._wall, self._elapsed_s = wall_ms, elapsed_s

    def passes(self, seconds: float) -> None:
        self._elapsed_s += seconds
        self._wall += round(seconds * 1000)

    def steps(self, seconds: float) -> None:
        self._wall = max(0, self._wall + round(seconds * 1000))

    def is_at(self, ms: int) -> None:
        """Both clocks show this time."""
        self._wall, self._elapsed_s = ms, ms / 1000

    def wall_ms(self) -> int:
        return self._wall

    def elapsed_s(self) -> float:
        return self._elapsed_s
