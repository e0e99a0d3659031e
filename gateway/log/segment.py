"""One segment: a SQLite file with a run of entries. The only file of the log that speaks SQL.

``entry`` has no index beside its key: one on the device multiplies the bytes written by 11 and replays no faster.
Functions here block; they run in the writer's thread or in a reader's, never on the event loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import sqlite_utils

from gateway.errors import LogError
from gateway.frame import entry_data, entry_frame
from gateway.reading import Entry, Kind
from gateway.selection import Selection

SUFFIX = ".sqlite3"
MAX_ENTRIES = 1_000_000
"""Entries in one segment at most: so `first + 1_000_000` is above its last number even when the file cannot be read."""

SCAN_ENTRIES = 100_000
"""Entries looked at by one read that searches for few devices; about 20 ms, then the stream says where it is."""

Durability = Literal["process", "power"]
SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
"""With WAL, NORMAL survives the death of the process, FULL also that of the power (sqlite.org/pragma.html)."""


class DamagedError(LogError):
    """The file is no sound database: it is set aside, and its range becomes a gap."""


class FullError(LogError):
    """The disk is full: only unlinking a segment helps, DELETE would fail too."""


class StorageError(LogError):
    """The file cannot be read or written for another reason (permissions, I/O): tried again later."""


class Seam(NamedTuple):
    """Where numbers were skipped: no entry lies between ``after``, the last position before, and ``next``.

    ``lossy`` when entries after ``after`` are known to be gone, so that even whoever stands at ``after`` missed some.
    """

    after: int
    next: int
    lossy: bool = False


class Facts(NamedTuple):
    """What the shelf needs to know of a segment without opening it again."""

    path: Path
    first: int
    last: int
    first_received_at_ms: int
    last_received_at_ms: int
    seams: tuple[Seam, ...]
    bytes: int


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """SQLite's errors as ours, by what must be done about them."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise FullError(f"{doing}: the disk is full") from error
        raise StorageError(f"{doing}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DamagedError(f"{doing}: {error}") from error


def path_of(folder: Path, first: int) -> Path:
    """Where the segment that begins at ``first`` lives; padded, so that a listing is in order."""
    return folder / f"{first:016d}{SUFFIX}"


def first_of(path: Path) -> int | None:
    """The first number of a segment by its file's name, or None when it is no segment."""
    name = path.name.removesuffix(SUFFIX)
    return int(name) if name != path.name and name.isdecimal() and len(name) <= 16 else None


class OpenSegment:
    """The newest segment, open for appending; used by the writer's thread alone."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self.path = path
        with _translated(f"opening {path}"):
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
            _make_tables(self._connection)

    def append(self, entries: list[Entry], packets: bytes, seam: Seam | None = None) -> None:
        """Commit all of ``entries`` or none. ``packets`` are the marks of the messages they came in, see `packets.py`.

        Raises FullError, StorageError or DamagedError; nothing is visible then, and the same call may be made again.
        """
        rows = [(e.seq, e.kind, e.device, e.received_at_ms, entry_data(e).decode()) for e in entries]
        with _translated(f"appending to {self.path}"):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                # REPLACE, because a COMMIT that failed late may have left these very rows behind.
                self._connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?)", rows)
                if packets:
                    self._connection.execute("INSERT INTO packet (marks) VALUES (?)", [packets])
                if seam:
                    self._connection.execute(
                        "INSERT OR REPLACE INTO seam VALUES (?, ?, ?)", [seam.next, seam.after, seam.lossy]
                    )
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def packets(self, at_least: int) -> bytes:
        """The newest packet marks, oldest first: enough whole batches for ``at_least`` bytes, if there are."""
        newest: list[bytes] = []
        with _translated(f"reading {self.path}"):
            for (marks,) in self._connection.execute("SELECT marks FROM packet ORDER BY rowid DESC"):
                newest.append(marks)
                if sum(map(len, newest)) >= at_least:
                    break
        return b"".join(reversed(newest))

    def bytes(self) -> int:
        """Size on disk, the write-ahead log included."""
        return bytes_on_disk(self.path)

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it; later readers need no lock then."""
        with _translated(f"closing {self.path}"):
            self._connection.close()


def _make_tables(connection: sqlite3.Connection) -> None:
    database = sqlite_utils.Database(connection)
    database.table("entry").create(
        {"seq": int, "kind": str, "device": str, "received_at_ms": int, "data": str}, pk="seq", if_not_exists=True
    )
    database.table("seam").create({"next": int, "after": int, "lossy": int}, pk="next", if_not_exists=True)
    database.table("packet").create({"batch": int, "marks": bytes}, pk="batch", if_not_exists=True)


def bytes_on_disk(path: Path) -> int:
    """Bytes that a segment's files take; 0 for those that are gone."""
    return sum(file.stat().st_size for file in _files(path) if file.exists())


def _files(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


def remove(path: Path) -> None:
    """Unlink a segment; whatever is left of it is removed at the next start."""
    for file in reversed(_files(path)):
        file.unlink(missing_ok=True)


def set_aside(path: Path) -> None:
    """Rename a damaged segment, so that nothing reads it again and a person can look at it."""
    for file in _files(path):
        if file.exists():
            file.rename(file.with_name(file.name + ".corrupt"))


def check(path: Path) -> None:
    """Raise DamagedError unless SQLite finds the file sound; 0.2 s for a million entries."""
    with _translated(f"checking {path}"), closing(sqlite3.connect(path)) as connection:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise DamagedError(f"checking {path}: {answer}")


def facts(path: Path) -> Facts:
    """What the shelf needs of a segment, read from it; also folds in what a crash left in its write-ahead log."""
    first = first_of(path)
    if first is None:
        raise StorageError(f"{path} is not named like a segment")
    with _translated(f"reading {path}"), closing(sqlite3.connect(path)) as connection:
        oldest = connection.execute("SELECT seq, received_at_ms FROM entry ORDER BY seq LIMIT 1").fetchone()
        newest = connection.execute("SELECT seq, received_at_ms FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        rows = connection.execute("SELECT after, next, lossy FROM seam ORDER BY next").fetchall()
    return Facts(
        path,
        first,
        newest[0] if newest else first - 1,
        oldest[1] if oldest else 0,
        newest[1] if newest else 0,
        tuple(Seam(after, next_, bool(lossy)) for after, next_, lossy in rows),
        bytes_on_disk(path),
    )


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with _translated(f"reading {path}"):
        if not path.exists():
            raise DamagedError(f"reading {path}: the file is gone")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            yield connection


def read(path: Path, after: int, until: int, selection: Selection, limit: int) -> tuple[list[Entry], int]:
    """Up to ``limit`` entries of ``selection`` with ``after < seq <= until``, and the position reached.

    Looks at no more than ``SCAN_ENTRIES`` entries, so the position may lie before ``until`` with fewer than ``limit``.
    """
    with _reading(path) as connection:
        if selection.is_all:
            rows = connection.execute(_SELECT + _RANGE + "LIMIT ?", [after, until, limit]).fetchall()
        else:
            until = _scan_end(connection, after, until)
            rows = _select(connection, after, until, selection, limit)
    entries = [
        Entry(seq, kind, device, ms, entry_frame(kind, seq, data.encode())) for seq, kind, device, ms, data in rows
    ]
    return entries, entries[-1].seq if len(entries) == limit else until


_SELECT = "SELECT seq, kind, device, received_at_ms, data FROM entry "
_RANGE = "WHERE seq > ? AND seq <= ? ORDER BY seq "


def _scan_end(connection: sqlite3.Connection, after: int, until: int) -> int:
    query = f"SELECT seq FROM entry WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1 OFFSET {SCAN_ENTRIES - 1}"  # noqa: S608
    row = connection.execute(query, [after, until]).fetchone()
    return int(row[0]) if row else until


def _select(
    connection: sqlite3.Connection, after: int, until: int, selection: Selection, limit: int
) -> list[tuple[int, str, str, int, str]]:
    if not selection.globs:
        marks = ",".join("?" * len(selection.names))
        query = f"{_SELECT}WHERE seq > ? AND seq <= ? AND device IN ({marks}) ORDER BY seq LIMIT ?"
        return connection.execute(query, [after, until, *sorted(selection.names), limit]).fetchall()
    found = []
    for row in connection.execute(_SELECT + _RANGE, [after, until]):
        if row[2] in selection:
            found.append(row)
            if len(found) == limit:
                break
    return found


def position_before(path: Path, received_at_ms: int) -> int | None:
    """The number of the newest entry that arrived before that time, or None when all of the segment came later.

    By bisection, because ``received_at_ms`` never decreases within the log.
    """
    with _reading(path) as connection:
        bounds = connection.execute("SELECT min(seq), max(seq) FROM entry").fetchone()
        low, high = bounds[0], bounds[1]
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
        query = "SELECT seq, device, kind FROM entry WHERE seq <= ? ORDER BY seq DESC"
        found, oldest = 0, until + 1
        for seq, device, its_kind in connection.execute(query, [until]):
            if device in selection and kind in (None, its_kind):
                found, oldest = found + 1, seq
                if found == count:
                    break
    return found, oldest
