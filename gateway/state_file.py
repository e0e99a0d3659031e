"""A small JSON file that keeps what must outlive us, written as a whole; a missing or damaged one counts as none.

It carries the version of its format, so that an older gateway refuses a newer file instead of writing over it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from gateway.file_version import refuse_newer

_log = logging.getLogger(__name__)
_T = TypeVar("_T", bound=msgspec.Struct)


class _Versioned(msgspec.Struct):
    version: int = 0


class StateFile:
    """``version`` is the one that this gateway writes, and the newest that it reads; files of before versions have 0."""

    def __init__(self, path: Path, version: int) -> None:
        self._path, self._version = path, version
        self._changed = self._written = 0
        # Two threads may write at once: the one of a save whose task was cancelled, and the one of the last save.
        self._writing = threading.Lock()
        self._is_failing = False

    def read(self, kind: type[_T], newest: int | None = None) -> _T | None:
        """What the file says; None where there is none, or it makes no sense.

        Raises DataError for a file of a newer gateway, which stays as it is. With ``newest``, files above that version
        count as none.
        """
        try:
            text = self._path.read_bytes()
            version = msgspec.json.decode(text, type=_Versioned).version
            if version <= self._version and (newest is None or version <= newest):
                return msgspec.json.decode(text, type=kind)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        refuse_newer(self._path, self._version, version)
        return None

    def changed(self) -> None:
        """What the file keeps has changed since it was written."""
        self._changed += 1

    def changes(self, content: Callable[[], msgspec.Struct]) -> Callable[[], None] | None:
        """What writes ``content``, on any thread; None when nothing has changed since the last successful write.

        ``content`` is called here. When the write fails, it is told once, and the next call gives a new write.
        """
        if self._changed == self._written:
            return None
        number, stored = self._changed, content()
        return lambda: self._save(number, stored)

    def _save(self, number: int, stored: msgspec.Struct) -> None:
        with self._writing:
            if number <= self._written:
                return  # something newer was written meanwhile
            try:
                fresh = self._path.with_suffix(".new")
                fresh.write_bytes(msgspec.json.encode(stored))
                fresh.replace(self._path)
            except OSError as error:
                if not self._is_failing:
                    _log.warning("%s cannot be written, trying again: %s", self._path, error.strerror)
                self._is_failing = True
            else:
                self._written, self._is_failing = number, False
