"""What one thread hands to the operating system, counted on that thread.

Linux counts the bytes of each thread's writes, so nothing is estimated. Elsewhere none are known, and 0 is told.
Syncs are counted where they are made; those that SQLite makes for us are known from its source and were checked by strace.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

IO = "/proc/thread-self/io"
"""proc(5): ``wchar`` is the number of bytes that this thread caused to be written."""


class Spent:
    """Totals since the start. One thread at a time adds to them; the event loop reads them after its call."""

    def __init__(self) -> None:
        self.bytes = self.fsyncs = self.checkpoints = 0
        # What the thread that worked last had written by then: whatever it writes, it writes here.
        self._thread, self._known = 0, 0

    def counted(self, work: Callable[[], _T]) -> _T:
        """Do ``work`` and count the bytes that the calling thread writes meanwhile, also when it fails."""
        thread = threading.get_ident()
        before = self._known if thread == self._thread else thread_bytes() or 0
        try:
            return work()
        finally:
            self._thread, self._known = thread, thread_bytes() or 0
            self.bytes += self._known - before


def thread_bytes() -> int | None:
    """Bytes that the calling thread has written to files since it began, or None where the system does not say."""
    try:
        file = os.open(IO, os.O_RDONLY)
    except OSError:
        return None
    try:
        for line in os.read(file, 4096).splitlines():
            if line.startswith(b"wchar:"):
                return int(line[6:])
    except OSError:
        pass
    finally:
        os.close(file)
    return None
