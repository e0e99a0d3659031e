"""A clock that stands still where a test puts it."""

from __future__ import annotations

from gateway.clock import Clock


class StillClock(Clock):
    """``wall`` is in Unix ms, ``elapsed`` in seconds; both move only when the test moves them."""

    def __init__(self, wall: int = 1_800_000_000_000, elapsed: float = 1000.0) -> None:
        super().__init__()
        self.wall, self.elapsed = wall, elapsed

    def pass_s(self, seconds: float) -> None:
        """Time goes by on both clocks."""
        self.wall += round(seconds * 1000)
        self.elapsed += seconds

    def wall_ms(self) -> int:
        return self.wall

    def elapsed_s(self) -> float:
        return self.elapsed
