"""What is asked of a segment on disk: its entries, numbers, times, receipts and facts, and whether it is sound.

Functions here block; they run in a reader's thread, or before there is one while the log opens, never on the event loop.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from gateway.frame import entry_frame
from gateway.log.sqlite import schema
from gateway.log.sqlite.faults import DamagedError, translated_sqlite
from gateway.log.sqlite.files import MAX_ENTRIES, Facts, Seam, bytes_on_disk, first_of
from gateway.reading import ANY, Entry, Kind, Wanted
from gateway.selection import Selection

SCAN_ENTRIES = 32_000
"""Entries that one read looks at when it searches for few devices: 4 ms of a thread, then others have their turn."""

READ_CACHE_KB = 256
"""Of a reader, who comes by each page once: SQLite's 2 MB would have to be got from the system for each read."""

_KINDS: dict[bytes, Kind] = {kind.encode(): kind for kind in get_args(Kind)}
_KNOWN = f"kind IN ({', '.join(repr(kind) for kind in get_args(Kind))})"


def _connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Where no log lies beside a segment, nobody writes it any more: SQLite then needs none of its shared memory files.

    On a full disk it could not make them, and nothing could be read.
    """
    is_ended = not any(path.with_name(path.name + side).exists() for side in ("-wal", "-journal"))
    options = "immutable=1" if is_ended else f"mode={mode}"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)


def check(path: Path) -> None:
    """Raise DamagedError unless SQLite finds the file sound; 0.2 s for a million entries."""
    with translated_sqlite("checking", path), closing(_connect(path, "rw")) as connection:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise DamagedError(f"checking {path}: {answer}")


def facts(path: Path) -> Facts | None:
    """What the shelf needs of a segment, read from it; also folds in what a crash left in its write-ahead log.

    None for one whose beginning was cut short by a kill: no number of it was ever given.
    """
    first = first_of(path) or 0
    with translated_sqlite("reading", path), closing(_connect(path, "rw")) as connection:
        if not schema.is_whole(connection):
            return None
        oldest = connection.execute("SELECT seq, received_at_ms FROM entry ORDER BY seq LIMIT 1").fetchone()
        newest = connection.execute("SELECT seq, received_at_ms FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        seams = tuple(Seam(*row) for row in connection.execute("SELECT after, next FROM seam ORDER BY next"))
        is_ordered, before_ms = schema.is_ordered(connection), schema.before_ms(connection)
    begin, end = oldest or (first, 0), newest or (first - 1, 0)
    if not seams or seams[-1].next != first or begin[0] < first or end[0] >= first + MAX_ENTRIES:
        raise DamagedError(f"reading {path}: its numbers do not fit its name")
    return Facts(path, first, end[0], begin[1], end[1], seams, bytes_on_disk(path), is_ordered, before_ms)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that lasts for one page; what was read counts only if the file was in its place all the while."""
    with translated_sqlite("reading", path):
        _must_exist(path)
        with closing(_connect(path, "ro")) as connection:
            connection.execute(f"PRAGMA cache_size = {-READ_CACHE_KB}")
            yield connection
        _must_exist(path)


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise DamagedError(f"reading {path}: the file is gone")


def receipts(path: Path, at_least: int) -> list[bytes]:
    """The newest receipts, newest batch first: enough whole batches for ``at_least`` bytes, if there are."""
    batches: list[bytes] = []
    with _reading(path) as connection:
        for _after, _batch, found in connection.execute(schema.receipts_query(connection)):
            batches.append(found)
            at_least -= len(found)
            if at_least <= 0:
                break
    return batches


class _Where(NamedTuple):
    """A selection as a condition of a query. All of it is SQLite's own: a function of ours would take the GIL for each row."""

    text: str
    patterns: list[str]


def _where(selection: Selection) -> _Where:
    if selection.is_all:
        return _Where("", [])
    if selection.parts:
        conditions = [_where(part) for part in selection.parts]
        return _Where(
            " ".join(each.text for each in conditions), [text for each in conditions for text in each.patterns]
        )
    names = f"device IN ({','.join('?' * len(selection.names))})"
    globs = [_GLOB_SIGN.sub(r"[\g<0>]", glob) for glob in sorted(selection.globs)]
    return _Where(f"AND ({' OR '.join([names, *['device GLOB ?'] * len(globs)])})", [*sorted(selection.names), *globs])


_GLOB_SIGN = re.compile(r"[?\[]")
"""Means something in SQLite's GLOB and nothing in ours, which knows `*` alone (sqlite.org/lang_expr.html#glob)."""

_SELECT = "SELECT seq, kind, device, received_at_ms, data FROM entry"


class Found(NamedTuple):
    """What one read found: entries, the position reached, and the number of entries of a kind that we do not know.

    Those were written by a newer gateway. They are left out, and their segment stays: the others in it are sound.
    """

    entries: list[Entry]
    position: int
    unknown: int


def read(path: Path, after: int, until: int, selection: Selection, limit: int) -> Found:
    """Up to ``limit`` entries of ``selection`` with ``after < seq <= until``, and the position reached.

    Looks at all of that range where few entries fit; the caller keeps it short, to `SCAN_ENTRIES` at most.
    """
    where = _where(selection)
    query = f"{_SELECT} WHERE seq > ? AND seq <= ? {where.text} ORDER BY seq LIMIT ?"
    with _reading(path) as connection:
        # Bytes, because a frame is bytes: else each text would be decoded and encoded again.
        connection.text_factory = bytes
        rows = connection.execute(query, [after, until, *where.patterns, limit]).fetchall()
    known = [row for row in rows if row[1] in _KINDS or not _is_name(row[1])]
    return Found(_entries(known, path), rows[-1][0] if len(rows) == limit else until, len(rows) - len(known))


def _is_name(kind: object) -> bool:
    """Whether this may be a kind of a newer gateway; all else is damage."""
    return isinstance(kind, bytes) and _NAME.fullmatch(kind) is not None


_NAME = re.compile(rb"[a-z][a-z0-9_]{0,31}")


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

    By bisection where arrivals are in order; where the wall clock was set back, by a walk from the newest entry.
    """
    with _reading(path) as connection:
        if not schema.is_ordered(connection):
            row = connection.execute(_NEWEST_BEFORE, [received_at_ms]).fetchone()
            return int(row[0]) if row else None
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


_NEWEST_BEFORE = "SELECT seq FROM entry WHERE received_at_ms < ? ORDER BY seq DESC LIMIT 1"


def numbers(path: Path, after: int, until: int, selection: Selection, wanted: Wanted = ANY) -> list[int]:
    """Those of the ``wanted`` entries of ``selection`` with ``after < seq <= until``, in order.

    The caller keeps the range short. Forward, because systems read ahead in files only that way.
    """
    where, counts = _where(selection), _counts(wanted)
    query = f"SELECT seq FROM entry WHERE seq > ? AND seq <= ? AND {_KNOWN} {where.text} {counts.text} ORDER BY seq"  # noqa: S608
    with _reading(path) as connection:
        rows = connection.execute(query, [after, until, *where.patterns, *counts.patterns]).fetchall()
    return [seq for (seq,) in rows]


def _counts(wanted: Wanted) -> _Where:
    """Which entries count, as a condition.

    A metric's name is looked for as it is encoded, which is quick, and only where that is found the JSON is parsed: the
    name may also be a key beside ``values``. A row whose JSON is damaged does not count; whoever reads it is told.
    """
    kind, metrics = wanted.kind, sorted(wanted.metrics)
    text, values = ("AND kind = ?", [str(kind)]) if kind else ("", [])
    if metrics and kind in (None, "reading"):
        quick = " OR ".join(["instr(data, ?)"] * len(metrics))
        has_one = f"SELECT 1 FROM json_each(data, '$.values') WHERE key IN ({','.join('?' * len(metrics))})"  # noqa: S608
        # In this order: SQLite would stop at JSON that it cannot parse.
        text += (
            f" AND CASE WHEN kind <> 'reading' THEN 1 WHEN NOT ({quick}) THEN 0"
            f" WHEN NOT json_valid(data) THEN 0 ELSE EXISTS ({has_one}) END"
        )
        values += [msgspec.json.encode(metric).decode() + ":" for metric in metrics] + metrics
    return _Where(text, values)
