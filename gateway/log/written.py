"""What the log hands to the operating system, counted on the thread that does it.

Linux counts the bytes of each thread's writes, so nothing is estimated. Elsewhere none are known, and 0 is told.
Syncs are counted where they are made; those that SQLite makes for us are known from its source and were checked by strace.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

IO = Path("/proc/thread-self/io")
"""proc(5): ``wchar`` is the number of bytes that this thread caused to be written."""


class Written:
    """Totals since the start. One thread at a time adds to them, the event loop reads them after its call."""

    def __init__(self) -> None:
        self.bytes = self.fsyncs = self.checkpoints = 0

    def counted(self, work: Callable[[], _T]) -> _T:
        """Do it and count the bytes that the calling thread writes meanwhile, also when that fails."""
        before = thread_bytes() or 0
        try:
            return work()
        finally:
            self.bytes += (thread_bytes() or 0) - before


def thread_bytes() -> int | None:
    """Bytes that the calling thread has written to files in its life, or None where the system does not say."""
    try:
        for line in IO.read_bytes().splitlines():
            if line.startswith(b"wchar:"):
                return int(line[6:])
    except OSError:
        pass
    return None
