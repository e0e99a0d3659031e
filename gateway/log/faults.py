"""What can go wrong with the log's files, by what must be done about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import LogError


class DamagedError(LogError):
    """The file is no sound segment: it is set aside, and its range becomes a gap."""


class FullError(LogError):
    """The disk is full: only unlinking a segment helps, DELETE would fail too."""


class StorageError(LogError):
    """The file cannot be read or written for another reason (permissions, too many open files): tried again later."""


@contextmanager
def translated_os(doing: str) -> Iterator[None]:
    """The system's errors as ours; ``doing`` says what was being done."""
    try:
        yield
    except OSError as error:
        kind = FullError if error.errno in {errno.ENOSPC, errno.EDQUOT} else StorageError
        raise kind(f"{doing}: {error.strerror}") from error
