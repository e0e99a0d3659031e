"""Segments as files: their names, their sizes, and what is known of them without opening them. No SQL here.

A segment belongs to one opening of the log and is named after its first number. So what it may hold is known even when it
cannot be read: the numbers from its name on, at most ``MAX_ENTRIES`` of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from gateway.log.sqlite.faults import translated_os

SUFFIX = ".sqlite3"
ASIDE = ".corrupt"
SIDES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file while it is open, or after a crash."""

MAX_ENTRIES = 1_000_000
"""Entries in one segment at most: so `first + 1_000_000` is above its last number even when the file cannot be read."""

MAX_SET_ASIDE = 8
"""Damaged segments kept for a person to look at; the oldest go first."""


class Seam(NamedTuple):
    """No entry lies between ``after``, the last position before, and ``next``, the first number that may follow."""

    after: int
    next: int


class Facts(NamedTuple):
    """What the shelf needs to know of a segment. Its seams come before its entries; the last one leads to ``first``.

    ``is_ordered`` is False where the wall clock was set back while it grew, so that ``received_at_ms`` is not in order.
    ``before_ms`` is when the newest entry before the segment arrived: 0 where there was none, None where that is not known.
    """

    path: Path
    first: int
    last: int
    first_received_at_ms: int
    last_received_at_ms: int
    seams: tuple[Seam, ...]
    bytes: int
    is_ordered: bool = True
    before_ms: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no entry is in it; ``last`` is the number before ``first`` then."""
        return self.last < self.first


def path_of(folder: Path, first: int) -> Path:
    """Where the segment that begins at ``first`` lives; padded, so that a listing is in order."""
    return folder / f"{first:016d}{SUFFIX}"


def first_of(path: Path) -> int | None:
    """The first number of a segment by its file's name, or None when it is no segment."""
    name = path.name.removesuffix(SUFFIX)
    return int(name) if name != path.name and name.isascii() and name.isdecimal() and len(name) == 16 else None


def listed(folder: Path) -> list[Path]:
    """All segments of a folder in order; none where there is no folder."""
    with translated_os(f"reading {folder}"):
        return sorted(path for path in folder.iterdir() if first_of(path) is not None) if folder.is_dir() else []


def paths_in(folder: Path) -> list[Path]:
    """All segments of a folder in order. Removes what a kill in the middle of `remove` left beside those that are gone."""
    paths = listed(folder)
    with translated_os(f"reading {folder}"):
        names = {path.name for path in paths}
        for side in SIDES:
            for file in folder.glob(f"*{SUFFIX}{side}"):
                if file.name.removesuffix(side) not in names:
                    file.unlink(missing_ok=True)
    return paths


def bytes_on_disk(path: Path) -> int:
    """Bytes that a segment takes, the write-ahead log included; 0 for what is gone."""
    # Asked with each commit: paths made of paths would cost more than the system does.
    name, total = os.fspath(path), 0
    for side in ("", *SIDES):
        try:
            total += os.stat(name + side).st_size  # noqa: PTH116
        except OSError:
            continue
    return total


def remove(path: Path) -> None:
    """Unlink a segment, the file itself first, so that nobody can open it without its write-ahead log."""
    with translated_os(f"removing {path}"):
        for file in _files(path):
            file.unlink(missing_ok=True)


def set_aside(path: Path) -> None:
    """Rename a damaged segment, so that nothing reads it again and a person can look at it; keeps the newest few."""
    with translated_os(f"setting {path} aside"):
        for file in _files(path):
            if file.exists():
                file.rename(file.with_name(file.name + ASIDE))
        for old in sorted(path.parent.glob(f"*{SUFFIX}{ASIDE}"))[:-MAX_SET_ASIDE]:
            for file in _files(old.with_name(old.name.removesuffix(ASIDE))):
                file.with_name(file.name + ASIDE).unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + side) for side in SIDES)]
