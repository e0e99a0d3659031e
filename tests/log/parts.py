"""What the tests of the log share: drafts, logs with small limits, and ways to harm the files they lie in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway import frame
from gateway.clock import Clock
from gateway.config import LogSection
from gateway.counters import Counters
from gateway.log import Deposit, Log
from gateway.log.sqlite.budget import DiskBudget
from gateway.log.sqlite.files import paths_in
from gateway.log.sqlite.segment import PAGE_BYTES
from gateway.log.sqlite.store import open_store
from gateway.reading import Draft, Entry, Gap, Kind
from gateway.selection import ALL, Selection

ONE_A_SEGMENT = 1
"""A segment size that every commit exceeds, so that each one after the first begins a segment."""

FIRST = 1_000
"""The first number of a segment that a test makes without a log."""


def draft(value: float = 0, device: str = "a", at: int = 0, metric: str = "x", kind: Kind = "reading") -> Draft:
    at = at or time.time_ns() // 1_000_000
    data = b'{"device":"%b","at":%d,"values":{"%b":%d}}' % (device.encode(), at, metric.encode(), value)
    return Draft(kind, device, at, data)


_RECEIPT = struct.Struct("<HQ")


def receipt(packet_id: int, hashed: int) -> bytes:
    """One receipt, as `gateway.intake.repeats.receipts` makes it; to a store it is bytes."""
    return _RECEIPT.pack(packet_id, hashed)


def packet_ids(receipts: bytes) -> list[int]:
    return [packet_id for packet_id, _ in _RECEIPT.iter_unpack(receipts)]


def numbered(draft: Draft, seq: int) -> Entry:
    """The entry that one draft becomes."""
    return frame.numbered([draft], seq)[0]


def entries(count: int, first: int = FIRST) -> list[Entry]:
    return [numbered(draft(n, at=first + n), first + n) for n in range(count)]


def drafts_of(entries: list[Entry]) -> list[Draft]:
    """What the entries were before they had numbers."""
    return [Draft(entry.kind, entry.device, entry.received_at_ms, frame.entry_data(entry)) for entry in entries]


async def open_log(folder: Path, known_position: int = 0, clock: Clock | None = None, **settings: Any) -> Log:
    """A log in SQLite segments, with these settings of the section ``log``."""
    section, counters, clock = LogSection(**settings), Counters(), clock or Clock()
    budget = DiskBudget(section, counters, clock)
    return Log(await open_store(folder, section, counters, clock, budget, known_position), section, counters)


async def append(log: Log, *drafts: Draft) -> list[Entry]:
    """One commit with all of ``drafts``; returns the entries that they became."""
    appended: list[Entry] = []

    def listen(entries: Sequence[Entry], _: Sequence[Draft]) -> None:
        appended.extend(entries)

    log.listeners.append(listen)
    log.append(Deposit(list(drafts)))
    await log.commits.drain()
    await until(lambda: not log.commits.waiting, 20)
    log.listeners.remove(listen)
    return appended


def lose(log: Log, place: int) -> None:
    """One of the segments is found to be damaged, from the oldest at 0."""
    store = log._store
    store._shelf.remove(store._shelf.segments[place], "corrupt")  # type: ignore[attr-defined] # SQLite's
    log.changed(store._shelf.span)  # type: ignore[attr-defined]


async def read_all(log: Log, after: int, selection: Selection = ALL, limit: int = 500) -> list[Entry | Gap]:
    """What a stream would be told from a position to the head, gaps included."""
    told: list[Entry | Gap] = []
    while after < log.head or log.head < after:
        found = await log.read(after, selection, limit)
        if isinstance(found, Gap):
            told.append(found)
            after = found.floor
        else:
            told += found.entries
            after = found.position
    return told


def seqs(told: list[Entry | Gap]) -> list[int]:
    return [each.seq for each in told if isinstance(each, Entry)]


def gaps(told: list[Entry | Gap]) -> list[tuple[int, int, str]]:
    return [(each.asked, each.floor, each.reason) for each in told if isinstance(each, Gap)]


def segments(folder: Path) -> list[Path]:
    return paths_in(folder)


def wal_of(folder: Path) -> Path:
    """The one write-ahead log, of the newest segment."""
    (wal,) = folder.glob("*-wal")
    return wal


def crash(folder: Path, to: Path) -> Path:
    """The files as they are at this moment, as if the process had been killed; no commit may be under way."""
    return Path(shutil.copytree(folder, to, ignore=shutil.ignore_patterns("lock")))


def fast_folder() -> str | None:
    """Memory where there is some: a segment's beginning is synced, and properties begin thousands."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


async def until(condition: Callable[[], Any], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition of a test
            await asyncio.sleep(0.002)


def fill(folder: Path) -> Path:
    """Leave not one byte on the file system; returns the file that takes it all."""
    ballast = folder / "ballast"
    file = os.open(ballast, os.O_CREAT | os.O_WRONLY)
    with contextlib.suppress(OSError):
        while os.write(file, bytes(4096)):
            pass
    os.close(file)
    return ballast


@contextlib.contextmanager
def no_file_grows(size: int) -> Iterator[None]:
    """Writes of this process beyond so many bytes of a file fail, and SQLite calls that an I/O error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- harm ------------------------------------------------------------------------------------------------------------


def zero_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def overwrite(path: Path) -> None:
    """Every page but the first is filled with nonsense; SQLite still accepts INSERTs into such a file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(b"\xa5" * (size - PAGE_BYTES))


def halve(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES + 100)


def delete(path: Path) -> None:
    path.unlink()


HARM = [zero_header, overwrite, halve, delete]
