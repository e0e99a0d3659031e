"""One segment: a SQLite file with a run of entries. The only file of the log that speaks SQL.

``entry`` has no index beside its key: one on the device multiplies the bytes written by 11 and replays no faster.
Functions here block; they run in the writer's thread or in a reader's, never on the event loop.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import sqlite_utils

from gateway.frame import entry_frame
from gateway.log.faults import DamagedError, FullError, StorageError, translated_os
from gateway.log.files import MAX_ENTRIES, Facts, Seam, bytes_on_disk, first_of
from gateway.reading import Draft, Entry, Kind
from gateway.selection import Selection

SCAN_ENTRIES = 100_000
"""Entries looked at by one read that searches for few devices; about 20 ms, then the stream says where it is."""

FULL_BYTES = 65_536
"""With less than this left a failed write means a full disk: SQLite then reports its shared memory file as an I/O error."""

_COLUMNS: dict[str, Any] = {"seq": int, "kind": str, "device": str, "received_at_ms": int, "data": str}

_ROW = f"({', '.join('?' * len(_COLUMNS))})"
_INSERTS = [(rows, f"INSERT OR REPLACE INTO entry VALUES {', '.join([_ROW] * rows)}") for rows in (100, 10, 1)]  # noqa: S608 - no values in it
"""Statements by how many rows they take. Each one lets go of the interpreter's lock, and waits up to 5 ms to get it back
while the event loop is busy: a commit of 500 rows, one to a statement, could take seconds.

REPLACE, because a COMMIT that failed late may have left these very rows behind.
"""

Durability = Literal["process", "power"]
SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
"""With WAL, NORMAL survives the death of the process, FULL also that of the power (sqlite.org/pragma.html)."""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""SQLITE_ERROR is what a table that is not there gives."""

_BAD_SECTOR = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
_KINDS = frozenset(get_args(Kind))


@contextmanager
def _translated(doing: str, path: Path) -> Iterator[None]:
    """SQLite's errors as ours, by what must be done about them."""
    try:
        with translated_os(f"{doing} {path}"):
            yield
    except sqlite3.Error as error:
        # Text that is no UTF-8 is an OperationalError without a code: Python found it, not SQLite.
        unknown = sqlite3.SQLITE_CORRUPT if isinstance(error, sqlite3.OperationalError) else sqlite3.SQLITE_MISUSE
        code = getattr(error, "sqlite_errorcode", unknown)
        message = f"{doing} {path}: {error}"
        if code & 0xFF in _DAMAGE or code in _BAD_SECTOR:
            raise DamagedError(message) from error
        if code == sqlite3.SQLITE_FULL or (code & 0xFF == sqlite3.SQLITE_IOERR and _is_full(path)):
            raise FullError(f"{doing} {path}: the disk is full") from error
        raise StorageError(message) from error


def _is_full(path: Path) -> bool:
    return path.parent.exists() and shutil.disk_usage(path.parent).free < FULL_BYTES


class OpenSegment:
    """The newest segment, open for appending; used by the writer's thread alone."""

    def __init__(self, path: Path, durability: Durability, seams: tuple[Seam, ...]) -> None:
        """Make it. Tables and seams are in the file and synced before the first number is given, whatever the durability."""
        self.path = path
        with _translated("beginning", path):
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._make(seams)
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
            except BaseException:
                self._connection.close()
                raise

    def _make(self, seams: tuple[Seam, ...]) -> None:
        with self._transaction():
            database = sqlite_utils.Database(self._connection)
            database.table("entry").create(_COLUMNS, pk="seq", if_not_exists=True)
            database.table("seam").create({"next": int, "after": int}, pk="next", if_not_exists=True)
            database.table("packet").create({"batch": int, "marks": bytes}, pk="batch", if_not_exists=True)
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
        Raises FullError, StorageError or DamagedError; nothing is visible then, and the same call may be made again.
        """
        values: list[int | str] = []
        for seq, draft in enumerate(drafts, first):
            values += seq, draft.kind, draft.device, draft.received_at_ms, draft.data.decode()
        with _translated("appending to", self.path):
            if not self.path.exists():
                raise DamagedError(f"appending to {self.path}: the file is gone")
            with self._transaction():
                self._insert(values)
                if packets:
                    self._connection.execute("INSERT INTO packet (marks) VALUES (?)", [packets])

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
        with _translated("closing", self.path):
            self._connection.close()


def _connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Where no log lies beside a segment, nobody writes it any more: SQLite then needs none of its shared memory files.

    On a full disk it could not make them, and nothing could be read.
    """
    is_ended = not any(path.with_name(path.name + side).exists() for side in ("-wal", "-journal"))
    options = "immutable=1" if is_ended else f"mode={mode}"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)


def check(path: Path) -> None:
    """Raise DamagedError unless SQLite finds the file sound; 0.2 s for a million entries."""
    with _translated("checking", path), closing(_connect(path, "rw")) as connection:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise DamagedError(f"checking {path}: {answer}")


def facts(path: Path) -> Facts | None:
    """What the shelf needs of a segment, read from it; also folds in what a crash left in its write-ahead log.

    None for one whose beginning was cut short by a kill: no number of it was ever given.
    """
    first = first_of(path) or 0
    with _translated("reading", path), closing(_connect(path, "rw")) as connection:
        if not connection.execute("SELECT name FROM sqlite_master WHERE name = 'packet'").fetchone():
            return None
        oldest = connection.execute("SELECT seq, received_at_ms FROM entry ORDER BY seq LIMIT 1").fetchone()
        newest = connection.execute("SELECT seq, received_at_ms FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        seams = tuple(Seam(*row) for row in connection.execute("SELECT after, next FROM seam ORDER BY next"))
    begin, end = oldest or (first, 0), newest or (first - 1, 0)
    if not seams or seams[-1].next != first or begin[0] < first or end[0] >= first + MAX_ENTRIES:
        raise DamagedError(f"reading {path}: its numbers do not fit its name")
    return Facts(path, first, end[0], begin[1], end[1], seams, bytes_on_disk(path))


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that lasts for one page; what was read counts only if the file was in its place all the while."""
    with _translated("reading", path):
        _must_exist(path)
        with closing(_connect(path, "ro")) as connection:
            yield connection
        _must_exist(path)


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise DamagedError(f"reading {path}: the file is gone")


def packets(path: Path, at_least: int) -> list[bytes]:
    """The newest packet marks, newest batch first: enough whole batches for ``at_least`` bytes, if there are."""
    batches: list[bytes] = []
    with _reading(path) as connection:
        for (marks,) in connection.execute("SELECT marks FROM packet ORDER BY batch DESC"):
            batches.append(marks)
            at_least -= len(marks)
            if at_least <= 0:
                break
    return batches


class _Where(NamedTuple):
    """A selection as a condition of a query."""

    text: str
    names: list[str]


def _where(connection: sqlite3.Connection, selection: Selection) -> _Where:
    if selection.is_all:
        return _Where("", [])
    if not selection.globs:
        return _Where(f"AND device IN ({','.join('?' * len(selection.names))})", sorted(selection.names))
    connection.create_function("selected", 1, selection.__contains__, deterministic=True)
    return _Where("AND selected(device)", [])


_SELECT = "SELECT seq, kind, device, received_at_ms, data FROM entry"


def read(path: Path, after: int, until: int, selection: Selection, limit: int) -> tuple[list[Entry], int]:
    """Up to ``limit`` entries of ``selection`` with ``after < seq <= until``, and the position reached.

    Looks at no more than ``SCAN_ENTRIES`` entries, so the position may lie before ``until`` with fewer than ``limit``.
    """
    with _reading(path) as connection:
        where = _where(connection, selection)
        until = until if selection.is_all else _scan_end(connection, after, until)
        query = f"{_SELECT} WHERE seq > ? AND seq <= ? {where.text} ORDER BY seq LIMIT ?"
        entries = [_entry(row, path) for row in connection.execute(query, [after, until, *where.names, limit])]
    return entries, entries[-1].seq if len(entries) == limit else until


def _scan_end(connection: sqlite3.Connection, after: int, until: int) -> int:
    query = "SELECT seq FROM entry WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1 OFFSET ?"
    row = connection.execute(query, [after, until, SCAN_ENTRIES - 1]).fetchone()
    return int(row[0]) if row else until


def _entry(row: tuple[Any, ...], path: Path) -> Entry:
    """A row as it was appended. SQLite keeps no checksums: what bad pages hold must not become a block of its own."""
    seq, kind, device, received_at_ms, data = row
    is_text = isinstance(device, str) and isinstance(data, str)
    if kind not in _KINDS or not is_text or "\n" in data or "\r" in data:
        raise DamagedError(f"reading {path}: entry {seq} makes no sense")
    return Entry(seq, kind, device, received_at_ms, entry_frame(kind, seq, data.encode()))


def position_before(path: Path, received_at_ms: int) -> int | None:
    """The number of the newest entry that arrived before that time, or None when all of the segment came later.

    By bisection, because ``received_at_ms`` never decreases within the log.
    """
    with _reading(path) as connection:
        low, high = connection.execute("SELECT min(seq), max(seq) FROM entry").fetchone()
        found = None
        while low is not None and low <= high:
            middle = (low + high) // 2
            seq, received = connection.execute(
                "SELECT seq, received_at_ms FROM entry WHERE seq <= ? ORDER BY seq DESC LIMIT 1", [middle]
            ).fetchone()
            if received < received_at_ms:
                found, low = seq, middle + 1
            else:
                high = seq - 1
    return found


def count_back(path: Path, until: int, selection: Selection, count: int, kind: Kind | None = None) -> tuple[int, int]:
    """How many entries of ``selection`` up to ``until`` there are, at most ``count``, and the oldest one's number."""
    with _reading(path) as connection:
        where = _where(connection, selection)
        query = f"SELECT seq FROM entry WHERE seq <= ? {where.text} AND ? IN (kind, '') ORDER BY seq DESC LIMIT ?"  # noqa: S608
        found = connection.execute(query, [until, *where.names, kind or "", count]).fetchall()
    return len(found), found[-1][0] if found else until + 1
