"""One segment: a SQLite file with a run of entries. The only file of the log that speaks SQL.

``entry`` has no index beside its key: one on the device multiplies the bytes written by 11 and replays no faster.
Functions here block; they run in the writer's thread or in a reader's, never on the event loop.
"""

from __future__ import annotations

import re
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
from gateway.log.written import Written
from gateway.reading import Draft, Entry, Kind
from gateway.selection import Selection

SCAN_ENTRIES = 32_000
"""Entries that one read looks at when it searches for few devices: 4 ms of a thread, then others have their turn."""

READ_CACHE_KB = 256
"""Of a reader, who comes by each page once: SQLite's 2 MB would have to be got from the system for each read."""

PAGE_BYTES = 2048
"""A commit writes whole pages, and few readings fill none: half of SQLite's usual size writes half, and reads as fast."""

CHECKPOINT_FRAMES = 1000
"""Pages in the write-ahead log that are worth copying into the file; SQLite's own default."""

ROW_BYTES = 40
"""About what a row takes beside its data."""

BEGINNING_SYNCS = 8
"""What SQLite makes of a new file with tables that turns to WAL; counted with strace."""

FULL_BYTES = 65_536
"""With less than this left a failed write means a full disk: SQLite then reports its shared memory file as an I/O error."""

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

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""SQLITE_ERROR is what a table that is not there gives."""

_BAD_SECTOR = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
_KINDS: dict[bytes, Kind] = {kind.encode(): kind for kind in get_args(Kind)}


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
        with _translated("beginning", path):
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
        with _translated("appending to", self.path):
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
        self._frames += 2 + sum([ROW_BYTES + len(draft.data) for draft in drafts]) // PAGE_BYTES
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
        with _translated("checkpointing", self.path):
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
        with _translated("closing", self.path):
            self._connection.close()
        self._written.fsyncs += 2 if self._frames else 0


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
            connection.execute(f"PRAGMA cache_size = {-READ_CACHE_KB}")
            yield connection
        _must_exist(path)


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise DamagedError(f"reading {path}: the file is gone")


def packets(path: Path, at_least: int) -> list[bytes]:
    """The newest packet marks, newest batch first: enough whole batches for ``at_least`` bytes, if there are.

    Those of commits without an entry come from a table of their own, and belong behind the entry that was newest then.
    """
    batches: list[bytes] = []
    with _reading(path) as connection:
        for _after, _batch, marks in connection.execute(_MARKS):
            batches.append(marks)
            at_least -= len(marks)
            if at_least <= 0:
                break
    return batches


_MARKS = """
    SELECT seq AS after, 0 AS batch, marks FROM entry WHERE marks IS NOT NULL
    UNION ALL SELECT coalesce(after, 0), batch, marks FROM packet
    ORDER BY after DESC, batch DESC
"""


class _Where(NamedTuple):
    """A selection as a condition of a query. All of it is SQLite's own: a function of ours would take the GIL for each row."""

    text: str
    patterns: list[str]


def _where(selection: Selection) -> _Where:
    if selection.is_all:
        return _Where("", [])
    names = f"device IN ({','.join('?' * len(selection.names))})"
    globs = [_GLOB_SIGN.sub(r"[\g<0>]", glob) for glob in sorted(selection.globs)]
    return _Where(f"AND ({' OR '.join([names, *['device GLOB ?'] * len(globs)])})", [*sorted(selection.names), *globs])


_GLOB_SIGN = re.compile(r"[?\[]")
"""Means something in SQLite's GLOB and nothing in ours, which knows `*` alone (sqlite.org/lang_expr.html#glob)."""

_SELECT = "SELECT seq, kind, device, received_at_ms, data FROM entry"


def read(path: Path, after: int, until: int, selection: Selection, limit: int) -> tuple[list[Entry], int]:
    """Up to ``limit`` entries of ``selection`` with ``after < seq <= until``, and the position reached.

    Looks at all of that range where few entries fit; the caller keeps it short, to `SCAN_ENTRIES` at most.
    """
    where = _where(selection)
    query = f"{_SELECT} WHERE seq > ? AND seq <= ? {where.text} ORDER BY seq LIMIT ?"
    with _reading(path) as connection:
        # Bytes, because a frame is bytes: else each text would be decoded and encoded again.
        connection.text_factory = bytes
        rows = connection.execute(query, [after, until, *where.patterns, limit]).fetchall()
    entries = _entries(rows, path)
    return entries, entries[-1].seq if len(entries) == limit else until


def _entries(rows: list[tuple[Any, ...]], path: Path) -> list[Entry]:
    """Rows as they were appended. SQLite keeps no checksums: what bad pages hold must not become a block of its own."""
    try:
        text = b" ".join([row[4] for row in rows])
        text.decode()
        if b"\n" not in text and b"\r" not in text:
            return [
                Entry(seq, kind := _KINDS[kind_], device.decode(), received_at_ms, entry_frame(kind, seq, data))
                for seq, kind_, device, received_at_ms, data in rows
            ]
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise DamagedError(f"reading {path}: an entry makes no sense ({error})") from error
    raise DamagedError(f"reading {path}: an entry makes no sense (a line break in it)")


def position_before(path: Path, received_at_ms: int) -> int | None:
    """The number of the newest entry that arrived before that time, or None when all of the segment came later.

    By bisection, because ``received_at_ms`` never decreases within the log.
    """
    with _reading(path) as connection:
        # Two queries: SQLite finds min and max of one query by a walk over all rows (sqlite.org/optoverview.html#minmax).
        low, high = connection.execute("SELECT (SELECT min(seq) FROM entry), (SELECT max(seq) FROM entry)").fetchone()
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


def numbers(path: Path, after: int, until: int, selection: Selection, kind: Kind | None = None) -> list[int]:
    """Those of the entries of ``selection`` with ``after < seq <= until``, in order; the caller keeps the range short.

    Forward, because systems read ahead in files only that way.
    """
    where = _where(selection)
    query = f"SELECT seq FROM entry WHERE seq > ? AND seq <= ? {where.text} AND ? IN (kind, '') ORDER BY seq"  # noqa: S608
    with _reading(path) as connection:
        return [seq for (seq,) in connection.execute(query, [after, until, *where.patterns, kind or ""]).fetchall()]
