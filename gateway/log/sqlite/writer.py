"""Gives numbers, commits, rolls and unlinks: everything that changes an open log's folder, on one thread.

Each opening of the log begins a segment of its own with a seam, so nothing is ever appended to a file that a crash left.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import IO, NamedTuple

from gateway.config import LogSection
from gateway.errors import LogError
from gateway.log.sqlite import files
from gateway.log.sqlite.faults import DamagedError
from gateway.log.sqlite.files import Facts, Seam
from gateway.log.sqlite.highwater import HighWater
from gateway.log.sqlite.newest import Maker, Newest
from gateway.log.store import RECEIPT_BYTES, Batch, UnavailableError
from gateway.reading import Entry

_log = logging.getLogger(__name__)

MAX_CARRIED_RECEIPTS = 10_000
"""Receipts that a new segment begins with, at most an eighth of its size: the segment that held them may go, to retention
or because the disk is full, while the broker has not got the PUBACKs yet. Those arrive in order, so what it may send again
is what was delivered last; mosquitto 2.0.11 was seen with 3,300 messages in flight."""


class Change(NamedTuple):
    """What became of the log: new entries, the facts of segments that ended or grew (oldest first), and damaged ones.

    ``wants_checkpoint`` asks for `Writer.checkpoint`, before the next commit.
    """

    entries: list[Entry]
    segments: list[Facts]
    damaged: list[Facts]
    wants_checkpoint: bool = False


class Writer:
    """All methods block and belong to one thread, the writer's. After an error each may be called again.

    ``lock`` is the open file that keeps other gateways out, ``next_`` the number of the next entry, ``receipts`` the
    newest ones of earlier openings.
    """

    def __init__(
        self, maker: Maker, newest: Newest, high_water: HighWater, lock: IO[str], next_: int, receipts: bytes
    ) -> None:
        self._maker, self._high_water, self._lock = maker, high_water, lock
        self._newest: Newest | None = newest
        self._facts = newest.facts
        self._next = next_
        self._carried = carried(receipts, maker.settings)
        self._last_batch, self._last_entries = 0, list[Entry]()
        # What happened to segments since the last change was told; a failed call leaves it to the next one.
        self._ended: list[Facts] = []
        self._damaged: list[Facts] = []

    @property
    def facts(self) -> Facts:
        """Of the newest segment."""
        return self._facts

    def close(self) -> None:
        """Fold in the write-ahead log and let the folder go."""
        if self._newest is not None:
            self._end_newest()
            self._high_water.end()
        self._lock.close()

    # --- entries -----------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> Change:
        """Number the drafts and commit them all, or none; a batch that was committed last is not committed again.

        Raises FullError or UnavailableError, after which the same call may be made again; a damaged newest segment is
        set aside here and the commit made in a new one.
        """
        if not batch.drafts and not batch.receipts:
            return Change([], [], [])
        if batch.id == self._last_batch:
            return self._change(self._last_entries)
        if self._newest is None:
            self._replace()
        elif self._newest.is_due(self._next, len(batch.drafts)):
            self._roll(self._newest)
        try:
            entries = self._append(batch)
        except DamagedError as error:
            _log.error("%s", error)
            self._replace()
            entries = self._append(batch)
        self._last_batch, self._last_entries = batch.id, entries
        return self._change(entries)

    def _append(self, batch: Batch) -> list[Entry]:
        if self._newest is None:
            raise UnavailableError("the log is closed")
        entries = self._newest.append(self._next, batch.drafts, batch.receipts)
        self._facts = self._newest.facts
        self._carried = carried(self._carried + batch.receipts, self._maker.settings)
        self._next += len(entries)
        self._high_water.move(self._next - 1)
        return entries

    def _change(self, entries: list[Entry]) -> Change:
        wants_checkpoint = self._newest is not None and self._newest.wants_checkpoint
        change = Change(entries, [*self._ended, self._facts], self._damaged, wants_checkpoint)
        self._ended, self._damaged = [], []
        return change

    def checkpoint(self) -> None:
        """Copy what the newest segment's write-ahead log holds into its file: apart from a commit, which it would delay.

        Raises LogError, after which nothing is lost, and the next commit asks for it again.
        """
        if self._newest is not None:
            self._newest.checkpoint()

    # --- segments ----------------------------------------------------------------------------------------------------

    def _begin(self, seams: tuple[Seam, ...], before_ms: int | None) -> None:
        """Begin a segment; when that fails, nothing has changed."""
        self._newest = Newest(self._maker, seams, before_ms, self._carried)
        self._facts = self._newest.facts

    def _roll(self, ending: Newest) -> None:
        """Begin a segment and end the one before."""
        self._begin((Seam(self._next - 1, self._next),), ending.facts.last_received_at_ms)
        self._ended.append(ending.close())

    def roll_over(self) -> Change:
        """End the newest segment without a commit, so that retention can remove it."""
        if not self._facts.is_empty and self._newest is not None:
            self._roll(self._newest)
        return self._change([])

    def _replace(self) -> None:
        """Set the newest segment aside and begin another."""
        if self._lock.closed:
            raise LogError("the log is closed")
        fallen = self._facts
        if self._newest is not None:
            self._end_newest()
            self._damaged.append(fallen)
        files.set_aside(fallen.path)
        if fallen.is_empty:
            # Nothing is missing then, but its file's name may not come twice: one number is skipped.
            self._next = fallen.first + 1
            self._begin((*fallen.seams, Seam(fallen.last, self._next)), fallen.before_ms)
        else:
            self._begin((Seam(self._next - 1, self._next),), fallen.last_received_at_ms)

    def discard(self, facts: Facts) -> Change:
        """A reader found this segment damaged: set it aside, if it is still there. The newest is replaced."""
        if facts.path == self._facts.path:
            self._replace()
        else:
            files.set_aside(facts.path)
        return self._change([])

    def _end_newest(self) -> None:
        ending, self._newest = self._newest, None
        if ending is not None:
            ending.close()


def carried(receipts: bytes, settings: LogSection) -> bytes:
    """The newest receipts of a run, as many as a new segment begins with."""
    most = min(MAX_CARRIED_RECEIPTS, settings.segment_bytes // 8 // RECEIPT_BYTES)
    return receipts[-most * RECEIPT_BYTES :] if most else b""


def remove(paths: list[Path]) -> None:
    """Unlink segments that nobody reads any more; what cannot be unlinked is found again at the next start."""
    for path in paths:
        try:
            files.remove(path)
        except LogError as error:
            _log.warning("%s", error)
