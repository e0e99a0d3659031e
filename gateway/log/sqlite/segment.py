"""One segment while it grows: a SQLite file that takes a run of entries. Here, in `schema.py` and in `query.py` is its SQL.

``entry`` has no index beside its key: one on the device multiplies the bytes written by 11 and replays no faster.
All of it blocks and runs in the writer's thread, never on the event loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gateway.log.sqlite import schema
from gateway.log.sqlite.faults import DamagedError, translated_sqlite
from gateway.log.sqlite.files import Seam
from gateway.log.sqlite.schema import COLUMNS, Beginning
from gateway.log.sqlite.spent import Spent
from gateway.reading import Draft

PAGE_BYTES = 2048
"""A commit writes whole pages, and few readings fill none: half of SQLite's usual size writes half, and reads as fast."""

CHECKPOINT_FRAMES = 1000
"""Pages in the write-ahead log that are worth copying into the file; SQLite's own default."""

ROW_BYTES = 40
"""About what a row takes beside its data."""

BEGINNING_SYNCS = 8
"""Syncs that SQLite makes for a new file with tables that turns to WAL; counted with strace."""

_ROW = f"({', '.join('?' * len(COLUMNS))})"
_INSERT = f"INSERT OR REPLACE INTO entry ({', '.join(COLUMNS)}) VALUES"
_INSERTS = [(rows, f"{_INSERT} {', '.join([_ROW] * rows)}") for rows in (100, 10, 1)]
"""Statements by the number of rows that they take. Each one lets go of the interpreter's lock, and waits up to 5 ms to get it
back while the event loop is busy: a commit of 500 rows, one to a statement, could take seconds.

REPLACE, because a COMMIT that failed late may have left these very rows behind.
"""

SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
"""With WAL, NORMAL survives the death of the process, FULL also that of the power (sqlite.org/pragma.html)."""


class Step(NamedTuple):
    """The wall clock was set back before the entry ``seq``: the arrival before it, and its own, in Unix ms."""

    seq: int
    before_ms: int
    after_ms: int


class OpenSegment:
    """The newest segment, open for appending; used by the writer's thread alone."""

    def __init__(
        self, path: Path, durability: str, seams: tuple[Seam, ...], beginning: Beginning, spent: Spent
    ) -> None:
        """Make it. Tables and seams are in the file and synced before the first number is given, whatever the durability.

        Its syncs and checkpoints are counted in ``spent``.
        """
        self.path = path
        self._spent = spent
        self._steps = 0
        self._commit_syncs = 1 if durability == "power" else 0
        # Pages that wait in the write-ahead log: estimated, and exact after each checkpoint.
        self._frames = 0
        # What the next commit syncs because it begins the write-ahead log: the folder too for the first time.
        self._header_syncs = 2
        with translated_sqlite("beginning", path):
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                with self._transaction():
                    schema.make(self._connection, seams, beginning)
                self._connection.execute("PRAGMA journal_mode = WAL")
                # `checkpoint` does it, when nobody waits for a commit.
                self._connection.execute("PRAGMA wal_autocheckpoint = 0")
                self._connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
            except BaseException:
                self._connection.close()
                raise
        self._spent.fsyncs += BEGINNING_SYNCS

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back already when the disk was full.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def append(self, first: int, drafts: Sequence[Draft], receipts: bytes, steps: Sequence[Step] = ()) -> None:
        """Commit all of ``drafts`` under the numbers from ``first`` on, with ``receipts`` and ``steps``, or nothing.

        Receipts lie in the row of the last entry: a page of their own would double what a small commit writes.

        Raises FullError, UnavailableError or DamagedError; nothing is visible then, and the same call may be made again.
        """
        values: list[int | str] = []
        for seq, draft in enumerate(drafts, first):
            values += seq, draft.kind, draft.device, draft.received_at_ms, draft.data.decode()
        with translated_sqlite("appending to", self.path):
            if not self.path.exists():
                raise DamagedError(f"appending to {self.path}: the file is gone")
            with self._transaction():
                self._insert(values)
                self._keep_receipts(receipts, first + len(drafts) - 1 if drafts else None)
                if steps and self._steps < schema.MAX_STEPS:
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO step (seq, before_ms, after_ms) VALUES (?, ?, ?)", steps
                    )
        self._steps += len(steps)
        self._frames += 2 + (ROW_BYTES * len(drafts) + sum([len(draft.data) for draft in drafts])) // PAGE_BYTES
        self._spent.fsyncs += self._commit_syncs + self._header_syncs
        self._header_syncs = 0

    @property
    def wants_checkpoint(self) -> bool:
        """Whether `CHECKPOINT_FRAMES` pages wait in the write-ahead log, so that `checkpoint` should be called."""
        return self._frames >= CHECKPOINT_FRAMES

    def checkpoint(self) -> None:
        """Copy what the write-ahead log holds into the file, as far as readers let it; the rest with the next call.

        Raises FullError, UnavailableError or DamagedError; nothing is lost then, and the same call may be made again.
        """
        with translated_sqlite("checkpointing", self.path):
            is_busy, frames, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if is_busy or frames > copied:
            # A reader still needs what is older: this stays due, and a segment that grows meanwhile ends at its size.
            self._frames = max(frames - copied, CHECKPOINT_FRAMES)
        else:
            self._frames, self._header_syncs = 0, 1
        self._spent.fsyncs += 2
        self._spent.checkpoints += 1

    def _keep_receipts(self, receipts: bytes, last: int | None) -> None:
        """With the entry ``last``, or, where a commit has no entry, behind the newest one."""
        if receipts and last is not None:
            self._connection.execute("UPDATE entry SET receipts = ? WHERE seq = ?", [receipts, last])
        elif receipts:
            after = "(SELECT max(seq) FROM entry)"
            self._connection.execute(f"INSERT INTO receipt (after, receipts) VALUES ({after}, ?)", [receipts])  # noqa: S608

    def _insert(self, values: list[int | str]) -> None:
        """Rows whose columns are given one after the other, many rows to a statement."""
        at = 0
        for rows, statement in _INSERTS:
            step = rows * len(COLUMNS)
            while at + step <= len(values):
                self._connection.execute(statement, values[at : at + step])
                at += step

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        with translated_sqlite("closing", self.path):
            self._connection.close()
        self._spent.fsyncs += 2 if self._frames else 0
