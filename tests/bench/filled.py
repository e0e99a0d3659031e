"""Logs with a history, written with the log's own writer: through the broker a million readings would take minutes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gateway.clock import Clock
from gateway.config import LogSection
from gateway.devices.registry import Registry
from gateway.devices.store import DeviceStore
from gateway.log.sqlite.newest import Maker
from gateway.log.sqlite.opening import begin
from gateway.log.sqlite.spent import Spent
from gateway.log.store import Batch
from gateway.reading import Draft

BATCH = 5000
SPAN_MS = 10 * 3_600_000
"""The history reaches so far back, however many entries it has: within the retention's day."""

ROOM = {"log.retention_bytes": str(2**40), "log.retention_age_s": "10000000"}


class History:
    """What was written: the first and last number."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last


def fill(data: Path, entries: int, devices: int) -> History:
    """Fill a gateway's data folder with readings of devices in turn, 10^7 of them in a minute, as if it had ended properly."""
    began_ms = time.time_ns() // 1_000_000 - SPAN_MS
    writer = begin(Maker(data / "log", LogSection(), _Past(), Spent()), 0).writer
    first, registry = writer.facts.first, Registry()
    for start in range(0, entries, BATCH):
        at_ms = began_ms + SPAN_MS * start // entries
        end = min(start + BATCH, entries)
        drafts = [_draft(number, devices, at_ms) for number in range(start, end)]
        made = writer.commit(Batch(start + 1, drafts)).entries
        registry.apply(made[-devices:])
    writer.close()
    # Else the gateway would read all of the log at its start to learn of its devices.
    DeviceStore(data / "devices.sqlite3").save(registry.checkpoint(is_whole=True))
    return History(first, first + entries - 1)


class _Past(Clock):
    """When the history began: numbers begin there too."""

    def wall_ms(self) -> int:
        return super().wall_ms() - SPAN_MS


def _draft(number: int, devices: int, at_ms: int) -> Draft:
    device = f"d{number % devices}"
    values = b'{"n":%d,"t":1,"temperature":21.57,"humidity":48.1}' % (number // devices + 1)
    return Draft("reading", device, at_ms, b'{"device":"%b","at":%d,"values":%b}' % (device.encode(), at_ms, values))


def drop_cache(data: Path) -> None:
    """Take the files out of the page cache, so that the next read is the disk's."""
    os.sync()
    for path in data.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def read_bytes(pid: int) -> int:
    """Bytes that a process had the disk read."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["read_bytes"])
