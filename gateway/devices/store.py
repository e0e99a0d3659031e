"""What is known of each device, in a small file of its own: it outlives retention, and saves a replay at the start.

It is never the truth: what is missing in it, or newer in the log, is read from the log again.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlite_utils

_log = logging.getLogger(__name__)

SYNCS, BEGINNING_SYNCS = 4, 4
"""What SQLite makes of one `save`, and more of the first one; counted with strace."""

MAX_POSITION = 2**53
"""Positions are below it; a file that says otherwise is damaged, and numbers must not be made of what it says."""


def load(path: Path) -> tuple[dict[str, bytes], int]:
    """State by device as JSON, and the position it stands for; nothing and 0 when there is no sound file."""
    if not path.exists():
        return {}, 0
    try:
        with closing(_opened(path)) as connection:
            states = {device: state.encode() for device, state in connection.execute("SELECT * FROM device")}
            row = connection.execute("SELECT position FROM position").fetchone()
        position = row[0] if row else 0
        if not 0 <= position < MAX_POSITION:
            raise ValueError(f"the position {position} is none")
    except (sqlite3.Error, AttributeError, TypeError, ValueError) as error:  # bad pages give values of any type
        _log.warning("what was known of the devices cannot be read (%s): it is made again from the log", error)
        return {}, 0
    return states, position


def save(path: Path, states: dict[str, bytes], position: int) -> int:
    """Store changed states and the position that all stored states stand for, in one transaction.

    Returns how many times something was synced.
    """
    syncs = SYNCS if path.exists() else SYNCS + BEGINNING_SYNCS
    try:
        with closing(_opened(path)) as connection, connection:
            rows = [(device, state.decode()) for device, state in states.items()]
            connection.executemany("INSERT OR REPLACE INTO device VALUES (?, ?)", rows)
            connection.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", [position])
    except sqlite3.OperationalError as error:
        _log.warning("what is known of the devices cannot be saved: %s", error)
    except sqlite3.DatabaseError as error:
        _log.warning("what was known of the devices is damaged (%s): it is begun anew", error)
        for side in ("", "-wal", "-shm"):
            path.with_name(path.name + side).unlink(missing_ok=True)
    return syncs


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
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
