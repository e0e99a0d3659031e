"""The newest segment, which takes the entries: its open file, and its facts kept up to date with each commit.

All of it blocks and belongs to the writer's thread.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from gateway.clock import Clock
from gateway.config import LogSection
from gateway.errors import LogError
from gateway.frame import numbered
from gateway.log.sqlite import files
from gateway.log.sqlite.files import MAX_ENTRIES, Facts, Seam
from gateway.log.sqlite.highwater import boot_id
from gateway.log.sqlite.schema import Beginning
from gateway.log.sqlite.segment import OpenSegment, Step
from gateway.log.sqlite.spent import Spent
from gateway.reading import Draft, Entry

_log = logging.getLogger(__name__)


class Newest:
    """One segment from its beginning to its end. Making it makes the file; when that fails, nothing has changed."""

    def __init__(self, maker: Maker, seams: tuple[Seam, ...], before_ms: int | None, carried: bytes) -> None:
        self._settings, self._clock = maker.settings, maker.clock
        first = seams[-1].next
        path = files.path_of(maker.folder, first)
        beginning = Beginning(before_ms, maker.clock.now(), boot_id(), carried)
        self._file = OpenSegment(path, maker.settings.durability, seams, beginning, maker.spent)
        self._began_s: float | None = None
        self.facts = Facts(path, first, first - 1, 0, 0, seams, files.bytes_on_disk(path), before_ms=before_ms)

    def append(self, first: int, drafts: Sequence[Draft], receipts: bytes) -> list[Entry]:
        """Commit drafts under the numbers from ``first`` on; errors are those of `OpenSegment.append`."""
        steps = self._steps(first, drafts)
        self._file.append(first, drafts, receipts, steps)
        entries = numbered(drafts, first)
        if entries:
            self._grew(entries, is_ordered=not steps)
        return entries

    def _steps(self, first: int, drafts: Sequence[Draft]) -> list[Step]:
        """Where the wall clock was set back; mostly nowhere, and then it costs one look."""
        times = [draft.received_at_ms for draft in drafts]
        before = self.facts.last_received_at_ms
        if not times or (before <= times[0] and times == sorted(times)):
            return []
        pairs = zip([before, *times], times, strict=False)
        return [Step(first + place, old, new) for place, (old, new) in enumerate(pairs) if new < old]

    def _grew(self, entries: list[Entry], *, is_ordered: bool) -> None:
        if self._began_s is None:
            self._began_s = self._clock.elapsed_s()
        facts = self.facts
        self.facts = facts._replace(
            last=entries[-1].seq,
            first_received_at_ms=facts.first_received_at_ms or entries[0].received_at_ms,
            last_received_at_ms=entries[-1].received_at_ms,
            bytes=files.bytes_on_disk(facts.path),
            is_ordered=facts.is_ordered and is_ordered,
        )

    def is_due(self, next_: int, drafts: int) -> bool:
        """Whether it ends before a commit of ``drafts`` entries from the number ``next_`` on: by size, age or length."""
        if self.facts.is_empty:
            return False
        age_s = self._clock.elapsed_s() - (self._began_s or 0)
        is_old = bool(drafts) and age_s > self._settings.segment_age_s
        is_long = next_ + drafts - self.facts.first > MAX_ENTRIES
        return is_old or is_long or self.facts.bytes >= self._settings.segment_bytes

    @property
    def wants_checkpoint(self) -> bool:
        """Whether `checkpoint` should be called."""
        return self._file.wants_checkpoint

    def checkpoint(self) -> None:
        """Copy what the write-ahead log holds into the file; errors are those of `OpenSegment.checkpoint`."""
        self._file.checkpoint()

    def close(self) -> Facts:
        """End it; returns its last facts. Whatever closing says, what was committed is in the file or beside it."""
        try:
            self._file.close()
        except LogError as error:
            _log.warning("%s", error)
        return self.facts._replace(bytes=files.bytes_on_disk(self.facts.path))


class Maker:
    """What every segment of one opening is made with."""

    def __init__(self, folder: Path, settings: LogSection, clock: Clock, spent: Spent) -> None:
        self.folder, self.settings, self.clock, self.spent = folder, settings, clock, spent
