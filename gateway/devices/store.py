"""The device store: the state of each device in a small file of its own, which outlives retention.

It is never the truth: what is newer in the log is read from the log again. So it must not claim more than it holds. A
checkpoint (states and the position that they stand for) is written in one transaction, on top of the one before: the file
must still hold the position that was read from it or written to it last. If it does not (it is damaged, was deleted, or was
put back from a copy), only a checkpoint of all devices is written.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import sqlite_utils

from gateway.devices.registry import Checkpoint
from gateway.file_version import refuse_newer

_log = logging.getLogger(__name__)

VERSION = 1
"""The file's ``user_version``. Files of version 0, which had none, are read as they are and marked at the next save."""

TIMEOUT_S = 1.0
"""A save waits this long for another program's lock, on a thread of its own, and is made again later."""

SYNCS, BEGINNING_SYNCS = 4, 4
"""What SQLite makes of one `save`, and more of the first one; counted with strace."""

MAX_POSITION = 2**53
"""Positions are below it; a file that says otherwise is damaged, and numbers must not be made of what it says."""


class Saved(NamedTuple):
    """What became of a checkpoint: whether the file holds it, and how many times something was synced in any case."""

    is_done: bool
    syncs: int


class DeviceStore:
    """One file. All methods block; one thread at a time calls them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # The position that the file holds, as far as we know; None when only a whole checkpoint may be written.
        self._position: int | None = None
        self._is_damaged = False
        self._failing = ""

    @property
    def wants_whole(self) -> bool:
        """Whether the next checkpoint must hold all devices."""
        return self._position is None

    def load(self) -> tuple[dict[str, bytes], int]:
        """State by device as JSON, and the position they stand for; nothing and 0 when there is no sound file.

        Raises DataError for a file of a newer version, which is left as it is, and OSError when it cannot be opened.
        """
        self._position = None
        if not self._path.exists():
            return {}, 0
        refuse_newer(self._path, VERSION)
        try:
            states, self._position = self._read()
        except (sqlite3.Error, AttributeError, TypeError, ValueError) as error:  # bad pages give values of any type
            self._is_damaged = True
            _log.warning("%s cannot be read (%s): what it held is read from the log again", self._path, error)
            return {}, 0
        return states, self._position or 0

    def _read(self) -> tuple[dict[str, bytes], int | None]:
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, TIMEOUT_S, uri=True)) as connection:
            rows = connection.execute("SELECT device, state FROM device")
            states = {device: state.encode() for device, state in rows}
            position = _position_in(connection)
        if position is not None and not 0 <= position < MAX_POSITION:
            raise ValueError(f"the position {position} is none")
        return states, position

    def save(self, checkpoint: Checkpoint) -> Saved:
        """Write a checkpoint: all of it, or nothing. Raises nothing; a failure is logged, and another save may follow."""
        syncs = SYNCS if self._path.exists() else SYNCS + BEGINNING_SYNCS
        try:
            is_done = self._save(checkpoint)
        except sqlite3.DatabaseError as error:
            is_done = False
            self._failed(error)
        except OSError as error:
            is_done = False
            self._tell(f"{self._path} cannot be replaced, trying again: {error.strerror}")
        else:
            self._failing = "" if is_done else self._failing
        return Saved(is_done, syncs)

    def _failed(self, error: sqlite3.DatabaseError) -> None:
        """Locked, full, not to be opened: it may pass. Else what is in the file is damaged, or is not ours."""
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            self._tell(f"{self._path} cannot be written, trying again: {error}")
            return
        self._is_damaged, self._position = True, None
        self._tell(f"{self._path} is damaged, it is written anew: {error}")

    def _save(self, checkpoint: Checkpoint) -> bool:
        """Whether the file was as expected, and holds the checkpoint now."""
        if not checkpoint.is_whole and self._position is None:
            return False
        if self._is_damaged:
            for side in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + side).unlink(missing_ok=True)
            self._is_damaged = False
        with closing(_opened(self._path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not checkpoint.is_whole and _position_in(connection) != self._position:
                self._position = None
                return False
            _write(connection, checkpoint)
            # Until the commit has returned, it is not known which of the two positions the file holds.
            self._position = None
            connection.execute("COMMIT")
        self._position = checkpoint.position
        return True

    def _tell(self, failure: str) -> None:
        if failure != self._failing:
            _log.warning("%s", failure)
        self._failing = failure


def _position_in(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT position FROM position").fetchone()
    return row[0] if row else None


def _write(connection: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    if checkpoint.is_whole:
        connection.execute("DELETE FROM device")
    rows = [(device, state.decode()) for device, state in checkpoint.states.items()]
    connection.executemany("INSERT OR REPLACE INTO device VALUES (?, ?)", rows)
    connection.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", [checkpoint.position])
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        database = sqlite_utils.Database(connection)
        database.table("device").create({"device": str, "state": str}, pk="device", if_not_exists=True)
        database.table("position").create({"id": int, "position": int}, pk="id", if_not_exists=True)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
