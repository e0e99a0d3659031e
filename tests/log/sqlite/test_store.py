"""The conformance suite of stores on SQLite."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

from gateway.config import LogSection
from gateway.counters import Counters
from gateway.log.sqlite.budget import DiskBudget
from gateway.log.sqlite.store import open_store
from gateway.log.store import Opened
from tests.clocks import StillClock
from tests.log.parts import crash, fast_folder
from tests.log.store_suite import Home, StoreSuite

SMALL = LogSection(segment_bytes=26_000, retention_bytes=60_000, tail_bytes=2_000)
ONE_A_COMMIT = LogSection(segment_bytes=900, retention_bytes=200_000, segment_age_s=600)


class InSegments:
    """A folder of segments; a crash goes on with a copy of the files as they lay there."""

    def __init__(self, section: LogSection) -> None:
        self.section = section
        self.home = tempfile.TemporaryDirectory(prefix="store-", dir=fast_folder())
        self.folder, self.copies = Path(self.home.name) / "log0", 0

    async def open(self, clock: StillClock, known_position: int) -> Opened:
        counters = Counters()
        budget = DiskBudget(self.section, counters, clock)
        return await open_store(self.folder, self.section, counters, clock, budget, known_position)

    def crash(self) -> None:
        self.copies += 1
        self.folder = crash(self.folder, self.folder.with_name(f"log{self.copies}"))

    def clean(self) -> None:
        self.home.cleanup()


class OnSmallSegments(StoreSuite):
    def home(self) -> Home:
        return InSegments(SMALL)


class OnOneSegmentACommit(StoreSuite):
    def home(self) -> Home:
        return InSegments(ONE_A_COMMIT)


_SETTINGS = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestSmallSegments = OnSmallSegments.TestCase
TestSmallSegments.settings = _SETTINGS
TestOneSegmentACommit = OnOneSegmentACommit.TestCase
TestOneSegmentACommit.settings = _SETTINGS
