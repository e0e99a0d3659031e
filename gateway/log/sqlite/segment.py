"""One segment while it grows: a SQLite file that takes a run of entries. Only this file and `query.py` speak its SQL.

``entry`` has no index beside its key: one on the device multiplies the bytes written by 11 and replays no faster.
All of it blocks and runs in the writer's thread, never on the event loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import sqlite_utils

from gateway.log.sqlite.faults import DamagedError, translated_sqlite
from gateway.log.sqlite.files import Seam
from gateway.log.sqlite.written import Written
from gateway.reading import Draft

PAGE_BYTES = 2048
"""A commit writes whole pages, and few readings fill none: half of SQLite's usual size writes half, and reads as fast."""

CHECKPOINT_FRAMES = 1000
"""Pages in the write-ahead log that are worth copying into the file; SQLite's own default."""

ROW_BYTES = 40
"""About what a row takes beside its data."""

BEGINNING_SYNCS = 8
"""What SQLite makes of a new file with tables that turns to WAL; counted with strace."""

_COLUMNS: dict[str, Any] = {"seq": int, "kind": str, "device": str, "received_at_ms": int, "data": str}

_ROW = f"({', '.join('?' * len(_COLUMNS))})"
_INSERT = f"INSERT OR REPLACE INTO entry ({', '.join(_COLUMNS)}) VALUES"
_INSERTS = [(rows, f"{_INSERT} {', '.join([_ROW] * rows)}") for rows in (100, 10, 1)]
"""Statements by how many rows they take. Each one lets go of the interpreter's lock, and waits up to 5 ms to get it back
while the event loop is busy: a commit of 500 rows, one to a statement, could take seconds.

REPLACE, because a COMMIT that failed late may have left these very rows behind.
"""

Durability = Literal["process", "power"]
SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
"""With WAL, NORMAL survives the death of the process, FULL also that of the power (sqlite.org/pragma.html)."""


class OpenSegment:
    """The newest segment, open for appending; used by the writer's thread alone."""

    def __init__(
        self, path: Path, durability: Durability, seams: tuple[Seam, ...], written: Written | None = None
    ) -> None:
        """Make it. Tables and seams are in the file and synced before the first number is given, whatever the durability.

        Its syncs and checkpoints are counted in ``written``.
        """
        self.path = path
        self._written = written or Written()
        self._commit_syncs = 1 if durability == "power" else 0
        # About so many pages wait in the write-ahead log; exact after each checkpoint.
        self._frames = 0
        # What the next commit syncs because it begins the write-ahead log: the folder too for the first time.
        self._header_syncs = 2
        with translated_sqlite("beginning", path):
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                self._make(seams)
                self._connection.execute("PRAGMA journal_mode = WAL")
                # `checkpoint` does it, when nobody waits for a commit.
                self._connection.execute("PRAGMA wal_autocheckpoint = 0")
                self._connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
            except BaseException:
                self._connection.close()
                raise
        self._written.fsyncs += BEGINNING_SYNCS

    def _make(self, seams: tuple[Seam, ...]) -> None:
        with self._transaction():
            database = sqlite_utils.Database(self._connection)
            database.table("entry").create({**_COLUMNS, "marks": bytes}, pk="seq", if_not_exists=True)
            database.table("seam").create({"next": int, "after": int}, pk="next", if_not_exists=True)
            database.table("packet").create(
                {"batch": int, "after": int, "marks": bytes}, pk="batch", if_not_exists=True
            )
            rows = [(seam.next, seam.after) for seam in seams]
            self._connection.executemany("INSERT OR REPLACE INTO seam VALUES (?, ?)", rows)

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

    def append(self, first: int, drafts: list[Draft], packets: bytes) -> None:
        """Commit all of ``drafts`` under the numbers from ``first`` on, or none.

        ``packets`` are the marks of the messages they came in, see `packets.py`.
        The marks lie in the row of the last entry: a page of their own would double what a small commit writes.

        Raises FullError, StorageError or DamagedError; nothing is visible then, and the same call may be made again.
        """
        values: list[int | str] = []
        for seq, draft in enumerate(drafts, first):
            values += seq, draft.kind, draft.device, draft.received_at_ms, draft.data.decode()
        with translated_sqlite("appending to", self.path):
            if not self.path.exists():
                raise DamagedError(f"appending to {self.path}: the file is gone")
            with self._transaction():
                self._insert(values)
                if packets and drafts:
                    self._connection.execute(
                        "UPDATE entry SET marks = ? WHERE seq = ?", [packets, first + len(drafts) - 1]
                    )
                elif packets:
                    after = "(SELECT max(seq) FROM entry)"
                    self._connection.execute(f"INSERT INTO packet (after, marks) VALUES ({after}, ?)", [packets])  # noqa: S608
        self._frames += 2 + (ROW_BYTES * len(drafts) + sum([len(draft.data) for draft in drafts])) // PAGE_BYTES
        self._written.fsyncs += self._commit_syncs + self._header_syncs
        self._header_syncs = 0

    @property
    def wants_checkpoint(self) -> bool:
        """Whether so much waits in the write-ahead log that `checkpoint` should be called."""
        return self._frames >= CHECKPOINT_FRAMES

    def checkpoint(self) -> None:
        """Copy what the write-ahead log holds into the file, as far as readers let it; the rest with the next call.

        Raises FullError, StorageError or DamagedError; nothing is lost then, and the same call may be made again.
        """
        with translated_sqlite("checkpointing", self.path):
            is_busy, frames, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if is_busy or frames > copied:
            # A reader still needs what is older: this stays due, and a segment that grows meanwhile ends at its size.
            self._frames = max(frames - copied, CHECKPOINT_FRAMES)
        else:
            self._frames, self._header_syncs = 0, 1
        self._written.fsyncs += 2
        self._written.checkpoints += 1

    def _insert(self, values: list[int | str]) -> None:
        """Rows given one after the other, as many to a statement as there are."""
        at = 0
        for rows, statement in _INSERTS:
            step = rows * len(_COLUMNS)
            while at + step <= len(values):
                self._connection.execute(statement, values[at : at + step])
                at += step

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        with translated_sqlite("closing", self.path):
            self._connection.close()
        self._written.fsyncs += 2 if self._frames else 0
