"""What a segment's file holds, and the version of that: its tables, and how files of older versions are read.

| version | what it holds |
| --- | --- |
| 0 | ``entry`` with the column ``marks``, ``seam``, ``packet`` (batch, after, marks) |
| 1 | ``entry`` with the column ``receipts``, ``seam``, ``receipt`` (batch, after, receipts), ``step``, ``beginning`` |

The version is SQLite's ``user_version``. A segment is written in the newest version and read in the version that it has:
nothing is rewritten. A file of a version above `VERSION` is refused before anything in the folder is changed.

``step`` has a row for each entry before which the wall clock was set back: its number, and the arrival before it and its
own. ``elapsed_ms`` and ``is_doubtful`` are reserved for a clock that was not set yet. ``beginning`` has one row: when the
newest entry before the segment arrived, and what both clocks and the boot were when the segment began.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import sqlite_utils

from gateway.clock import Instant
from gateway.file_version import refuse_newer
from gateway.log.sqlite.files import Seam, listed

VERSION = 1

MAX_STEPS = 1000
"""Rows of ``step`` in one segment; a clock that is set back more often is not told more exactly."""

COLUMNS: dict[str, Any] = {"seq": int, "kind": str, "device": str, "received_at_ms": int, "data": str}
"""The columns of ``entry``, without those for receipts."""

_RECEIPTS = {
    0: """
        SELECT seq AS after, 0 AS batch, marks FROM entry WHERE marks IS NOT NULL
        UNION ALL SELECT coalesce(after, 0), batch, marks FROM packet
        ORDER BY after DESC, batch DESC
    """,
    1: """
        SELECT seq AS after, 0 AS batch, receipts FROM entry WHERE receipts IS NOT NULL
        UNION ALL SELECT coalesce(after, 0), batch, receipts FROM receipt
        ORDER BY after DESC, batch DESC
    """,
}
_LAST_TABLE = {0: "packet", 1: "beginning"}


class Beginning(NamedTuple):
    """What was true when a segment began; ``before_ms`` is as in `Facts`, ``boot`` names the start of the machine.

    ``carried`` are receipts of older segments, kept once more: those may go before these are of no use.
    """

    before_ms: int | None
    now: Instant
    boot: str
    carried: bytes = b""


def make(connection: sqlite3.Connection, seams: tuple[Seam, ...], beginning: Beginning) -> None:
    """Make the tables of an empty segment, within a transaction of the caller."""
    database = sqlite_utils.Database(connection, execute_plugins=False)
    tables: dict[str, tuple[dict[str, Any], str]] = {
        "entry": ({**COLUMNS, "receipts": bytes}, "seq"),
        "seam": ({"next": int, "after": int}, "next"),
        "receipt": ({"batch": int, "after": int, "receipts": bytes}, "batch"),
        "step": ({"seq": int, "before_ms": int, "after_ms": int, "elapsed_ms": int, "is_doubtful": int}, "seq"),
        "beginning": ({"id": int, "before_ms": int, "elapsed_ms": int, "wall_ms": int, "boot": str}, "id"),
    }
    for name, (columns, key) in tables.items():
        database.table(name).create(columns, pk=key, if_not_exists=True)
    connection.executemany("INSERT OR REPLACE INTO seam VALUES (?, ?)", [(seam.next, seam.after) for seam in seams])
    if beginning.carried:
        connection.execute("INSERT OR REPLACE INTO receipt VALUES (1, 0, ?)", [beginning.carried])
    row = 1, beginning.before_ms, int(beginning.now.elapsed_s * 1000), beginning.now.wall_ms, beginning.boot
    connection.execute("INSERT OR REPLACE INTO beginning VALUES (?, ?, ?, ?, ?)", row)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def version_of(connection: sqlite3.Connection) -> int:
    """The version that an open segment has; one that makes no sense counts as the newest, and reading finds the damage."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version if version in _RECEIPTS else VERSION


def is_whole(connection: sqlite3.Connection) -> bool:
    """Whether the file was made to its end; a kill may have come between."""
    last = _LAST_TABLE[version_of(connection)]
    return connection.execute("SELECT name FROM sqlite_master WHERE name = ?", [last]).fetchone() is not None


def receipts_query(connection: sqlite3.Connection) -> str:
    """The query for all batches of receipts, the newest first, as (after, batch, receipts).

    Those of commits without an entry come from a table of their own, and belong behind the entry that was newest then.
    """
    return _RECEIPTS[version_of(connection)]


def before_ms(connection: sqlite3.Connection) -> int | None:
    """When the newest entry before the segment arrived, as in `Facts`; files of version 0 do not say."""
    if version_of(connection) == 0:
        return None
    row = connection.execute("SELECT before_ms FROM beginning").fetchone()
    return row[0] if row else None


def is_ordered(connection: sqlite3.Connection) -> bool:
    """Whether the wall clock was never set back while the segment grew; before version 1 it never went back."""
    return version_of(connection) == 0 or connection.execute("SELECT 1 FROM step LIMIT 1").fetchone() is None


def refuse_newer_segments(folder: Path) -> None:
    """Raise DataError, with nothing changed, when a segment of the folder has a version that this gateway does not know."""
    for path in listed(folder):
        refuse_newer(path, VERSION)
