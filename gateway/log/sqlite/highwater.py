"""How far the log had got, beside its segments: tells a start that entries are gone, although what is left is sound.

SQLite drops the tail of a write-ahead log in silence: after a power cut, because it was never synced; after a flipped bit,
because what follows cannot be trusted. So each commit also writes its last number into a small file, with no sync: that
survives a kill exactly. For the power cut it also names the boot: an opening in another boot that was not closed, and whose
commits were not synced, may have lost entries whatever the number says.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from gateway.log.sqlite.faults import translated_os
from gateway.log.sqlite.spent import Spent

_log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Another one after each start of the machine (random(4)); elsewhere than on Linux there is none, and nothing is told."""

SIZE = 128
"""Bytes of the file, padded: a number is overwritten in place, in one write."""


class _Opening(msgspec.Struct):
    """What the file says of the newest opening of the log."""

    boot: str
    is_synced: bool
    last: int
    is_ended: bool = False


class HighWater:
    """The file ``path``; belongs to the writer's thread."""

    def __init__(self, path: Path, spent: Spent) -> None:
        self._path = path
        self._spent = spent
        self._file = -1
        self._opening = _Opening("", is_synced=False, last=0)

    def has_lost(self, last: int) -> bool:
        """Whether the opening before this one got further than ``last``, or may have."""
        try:
            before = msgspec.json.decode(self._path.read_bytes(), type=_Opening)
        except (OSError, msgspec.DecodeError):
            return False
        other_boot = bool(before.boot) and before.boot != boot_id()
        return before.last > last or (other_boot and not before.is_ended and not before.is_synced)

    def begin(self, last: int, *, is_synced: bool) -> None:
        """An opening begins; this is on disk before any number is given."""
        self._opening = _Opening(boot_id(), is_synced, last)
        with translated_os(f"writing {self._path}"):
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._write()
            self._sync()

    def move(self, last: int) -> None:
        """A commit has returned. It stays one when this fails: the disk will refuse the next commit too, and be told."""
        self._opening.last = last
        try:
            self._write()
        except OSError as error:
            _log.warning("writing %s: %s", self._path, error.strerror)

    def end(self) -> None:
        """Everything is in the segments, and synced."""
        if self._file < 0:
            return
        self._opening.is_ended = True
        try:
            with translated_os(f"writing {self._path}"):
                self._write()
                self._sync()
        finally:
            os.close(self._file)
            self._file = -1

    def _write(self) -> None:
        os.pwrite(self._file, msgspec.json.encode(self._opening).ljust(SIZE), 0)

    def _sync(self) -> None:
        os.fsync(self._file)
        self._spent.fsyncs += 1


def boot_id() -> str:
    """Names the present start of the machine; empty where the system does not tell."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
