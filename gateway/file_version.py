"""The version of a data file: files of older versions are read as they are, newer ones are refused and left alone."""

from __future__ import annotations

import struct
from pathlib import Path

from gateway.errors import DataError

_MAGIC = b"SQLite format 3\0"
_USER_VERSION = struct.Struct(">I")
_USER_VERSION_AT = 60
"""Where ``user_version`` stands in the first page (sqlite.org/fileformat2.html, 1.3)."""

MAX_VERSION = 999
"""A higher number is damage, not a version: no gateway will ever write it."""


def sqlite_version(path: Path) -> int:
    """The ``user_version`` of a SQLite file, read without opening it; 0 where there is no such file, or no sound header.

    It is written before a write-ahead log is in use, so the file itself has it.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_USER_VERSION_AT + _USER_VERSION.size)
    except OSError:
        return 0
    if len(header) < _USER_VERSION_AT + _USER_VERSION.size or not header.startswith(_MAGIC):
        return 0
    (version,) = _USER_VERSION.unpack_from(header, _USER_VERSION_AT)
    return int(version) if version <= MAX_VERSION else 0


def refuse_newer(path: Path, newest: int, version: int | None = None) -> None:
    """Raise DataError when the file has a version above ``newest``; ``version`` is given for what is no SQLite file."""
    found = sqlite_version(path) if version is None else version
    if found > newest:
        raise DataError(
            f"{path} was written by a newer gateway: it has version {found} of its format, and this one reads up to "
            f"version {newest}. Nothing was changed. Install the newer gateway again, or use another log.folder"
        )
