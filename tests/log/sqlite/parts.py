"""What the tests of the SQLite store share: segments without a log, and openings without an event loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.clock import Clock, Instant
from gateway.config import LogSection
from gateway.log.sqlite.files import Seam, first_of
from gateway.log.sqlite.newest import Maker
from gateway.log.sqlite.opening import Start, begin
from gateway.log.sqlite.schema import Beginning
from gateway.log.sqlite.segment import OpenSegment
from gateway.log.sqlite.spent import Spent
from tests.clocks import StillClock

BEGINNING = Beginning(0, Instant(1000.0, 1_800_000_000_000), "boot")


def open_segment(
    path: Path, durability: str = "process", seams: tuple[Seam, ...] = (), spent: Spent | None = None
) -> OpenSegment:
    """A new segment at ``path``; its seam joins the number before, unless others are given."""
    first = first_of(path) or 0
    return OpenSegment(path, durability, seams or (Seam(first - 1, first),), BEGINNING, spent or Spent())


def opened(folder: Path, known_position: int = 0, clock: Clock | None = None, **settings: Any) -> Start:
    """Open the log in ``folder`` as `open_store` does, on this thread."""
    return begin(Maker(folder, LogSection(**settings), clock or StillClock(), Spent()), known_position)
