"""What can go wrong with the segments' files, by what must be done about it. Knows SQLite's errors, and no SQL."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import LogError
from gateway.log.store import FullError, UnavailableError

FULL_BYTES = 65_536
"""With less than this left a failed write means a full disk: SQLite then reports its shared memory file as an I/O error."""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""SQLITE_ERROR is what a table that is not there gives."""

_BAD_SECTOR = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


class DamagedError(LogError):
    """The file is no sound segment: it is set aside, and its range becomes a gap."""


@contextmanager
def translated_os(doing: str) -> Iterator[None]:
    """The system's errors as ours; ``doing`` says what was being done.

    On a full disk only unlinking a segment helps: DELETE would fail too. Other reasons (permissions, too many open files)
    pass, so the same work is tried again later.
    """
    try:
        yield
    except OSError as error:
        kind = FullError if error.errno in {errno.ENOSPC, errno.EDQUOT} else UnavailableError
        raise kind(f"{doing}: {error.strerror}") from error


@contextmanager
def translated_sqlite(doing: str, path: Path) -> Iterator[None]:
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
        raise UnavailableError(message) from error


def _is_full(path: Path) -> bool:
    return path.parent.exists() and shutil.disk_usage(path.parent).free < FULL_BYTES
