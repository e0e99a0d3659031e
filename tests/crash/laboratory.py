"""One set-up of real parts, and a round in it: load, faults, healing, settling, and the evidence for the oracle."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT
from tests.crash.edge import Edge
from tests.crash.http import counters, get
from tests.crash.ledger import Ledger
from tests.crash.oracle import Evidence, Excuses, Verdict, judge
from tests.crash.processes import Broker, Gateway
from tests.crash.proxy import Proxy
from tests.crash.publisher import Publisher
from tests.crash.settings import COMMON, SetUp
from tests.crash.shim import Shim, compiler
from tests.crash.watcher import Watcher
from tests.crash.witness import Track, Witness

DEVICES = [f"kitchen/d{number}" for number in range(4)] + [f"d{number}" for number in range(4, 10)]
SHARES = {0: 0.1, 1: 0.7, 2: 0.2}
"""Of the messages, by QoS."""

OVERTAKING_S = 11.0
"""How long retention is waited for, which looks every ten seconds."""

FAULT_LIMIT_S = 150.0
"""No fault takes so long, nor does its mending; one that does is a failure of the round."""

DRAIN_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 60.0
TRIES = 8
AT_REST = ("log_head", "log_floor", "segments_corrupt_total")
"""What must be the same before and after the evidence is gathered."""

MAX_MEMORY_BYTES = 256 * 2**20
"""Of the gateway, at its worst moment: 1,000 readers, floods and a disk that refuses included."""

MAX_FILES = 60
"""Open at rest, beside one for each stream."""

SMALL_FILES_BYTES = 2**20
"""What lies in the data folder beside the segments, and what a checkpoint has not folded in yet."""

TRIM_S = 11.0
"""Retention looks every ten seconds; by then the disk must be within its bounds."""

QUIET_S = 1.5
"""When nothing new has come for so long, what is missing is not coming."""

Fault = Callable[["Laboratory", random.Random], Awaitable[None]]


class Round(NamedTuple):
    """What one round came to."""

    verdict: Verdict
    delivered: int
    declared_lost: int
    longest_outage_s: float
    gateway_bytes: int


class Laboratory:
    """Real parts in ``folder``. Faults use its parts; those that stop and start a process hold its lock meanwhile."""

    def __init__(self, folder: Path, kind: SetUp, seed: int, *, tree: Path = ROOT, rate: float = 2000) -> None:
        self.folder, self.kind, self.rng = folder, kind, random.Random(seed)
        self.ledger, self.witness, self.edge = Ledger(), Witness(), Edge()
        self.excuses = Excuses(gaps=set(kind.gaps))
        self.told: list[str] = []
        self.is_disk_full = False
        self._counted: dict[int, tuple[int, int]] = {}
        self.overtaking_s = OVERTAKING_S
        self.broker = Broker(folder)
        self.broker_proxy = Proxy(self.broker.port, self.edge.observe)
        self.gateway = Gateway(tree, folder, self.broker_proxy.port, {**COMMON, **kind.settings})
        self.reader_proxy = Proxy(self.gateway.port, buffer_bytes=16_384)
        self.shim: Shim | None = None
        self.broker_lock, self.gateway_lock = asyncio.Lock(), asyncio.Lock()
        self.publishers = [Publisher(self.ledger, self.broker.port, qos, DEVICES, rate * SHARES[qos]) for qos in SHARES]
        self.recorder = self.watcher("recorder", [], direct=True)
        self.watchers = [
            self.watcher("one device", [DEVICES[0]]),
            self.watcher("several devices", DEVICES[2:7], direct=True, small=True),
            self.watcher("a glob", ["kitchen/*", "d5"]),
            self.watcher("all", []),
            self.watcher("one more", [DEVICES[8]], direct=True, small=True),
        ]
        self.crowd: list[Watcher] = []
        self.finished: list[Track] = []

    def watcher(self, name: str, devices: list[str], *, direct: bool = False, small: bool = False) -> Watcher:
        """A new watcher, not opened yet: of the gateway itself, or through the readers' proxy."""
        port = self.gateway.port if direct else self.reader_proxy.port
        return Watcher(self.witness, port, name, devices, self.rng, small=small)

    # --- begin and end -----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start everything, with no load yet."""
        self.gateway.data.mkdir()
        if self.kind.disk_bytes:
            _mount(self.gateway.data, self.kind.disk_bytes)
        if compiler():
            self.shim = Shim(self.folder, self.gateway.data, journaled=self.kind.journaled)
            self.gateway.environment.update(self.shim.environment)
        await self.broker.start()
        self.broker_proxy.start()
        self.reader_proxy.start()
        await self.gateway.start()
        for part in (self.recorder, *self.watchers, *self.publishers):
            part.open()
        if not await self._until(lambda: self.recorder.track.start >= 0, SETTLE_TIMEOUT_S):
            raise RuntimeError("the recorder's stream does not begin")

    async def close(self) -> None:
        """End everything that was started."""
        for watcher in (self.recorder, *self.watchers, *self.crowd):
            await watcher.close()
        for publisher in self.publishers:
            await publisher.close()
        for proxy in (self.broker_proxy, self.reader_proxy):
            await proxy.close()
        for process in (self.gateway, self.broker):
            with contextlib.suppress(TimeoutError):
                await process.end()
        if self.kind.disk_bytes:
            _unmount(self.gateway.data)

    # --- one round ---------------------------------------------------------------------------------------------------

    async def round(self, faults: list[Fault], rng: random.Random) -> Round:
        """Load, the faults side by side, healing, settling, and the verdict over all that ever happened here."""
        before = len(self.ledger)
        self._load(on=True)
        await asyncio.sleep(rng.uniform(0.3, 1))
        results = await asyncio.gather(*(self._soon(fault, rng) for fault in faults), return_exceptions=True)
        self.told += [f"{fault.__name__}: {result!r}" for fault, result in zip(faults, results, strict=True) if result]
        await asyncio.sleep(rng.uniform(0.2, 0.6))
        self._load(on=False)
        await self.heal()
        await self.settle()
        verdict = judge(await self._evidence())
        verdict.published -= before
        delivered, declared_lost = self._since_last_round(verdict)
        for track in self.finished:
            self._counted.pop(id(track), None)
        self.finished.clear()
        memory = _peak_memory_of(self.gateway.pid)
        verdict.faults += await self._beyond_bounds(memory)
        return Round(verdict, delivered, declared_lost, self.recorder.longest_pause_s, memory)

    async def _beyond_bounds(self, memory: int) -> list[str]:
        """Memory, files and disk of the gateway, where they are more than they may be."""
        told = [f"memory: {memory} bytes"] if memory > MAX_MEMORY_BYTES else []
        open_files = _open_files_of(self.gateway.pid)
        streams = (await counters(self.gateway.port))["streams"]
        if open_files > MAX_FILES + streams:
            told.append(f"files: {open_files} open, with {streams:.0f} streams")
        if (limit := self._disk_limit()) and not await self._until(lambda: self.gateway.disk_bytes() <= limit, TRIM_S):
            told.append(f"disk: {self.gateway.disk_bytes()} bytes, and {limit} may be")
        return told

    def _disk_limit(self) -> int:
        """What the log may take where its retention is set: that, a segment that is being filled and one that is ended."""
        settings = self.kind.settings
        if "log.retention_bytes" not in settings:
            return 0
        return int(settings["log.retention_bytes"]) + 2 * int(settings["log.segment_bytes"]) + SMALL_FILES_BYTES

    def _since_last_round(self, verdict: Verdict) -> tuple[int, int]:
        """What all streams got, and were told that they missed, in this round alone."""
        delivered = declared = 0
        for track, had, missed in verdict.readers:
            before = self._counted.get(id(track), (0, 0))
            delivered += had - before[0]
            declared += missed - before[1]
            self._counted[id(track)] = (had, missed)
        return delivered, declared

    async def _soon(self, fault: Fault, rng: random.Random) -> None:
        chance = random.Random(rng.random())
        await asyncio.sleep(chance.uniform(0, 1))
        async with asyncio.timeout(FAULT_LIMIT_S):
            await fault(self, chance)

    def _load(self, *, on: bool) -> None:
        for publisher in self.publishers:
            publisher.loaded = on
        if on:
            self.recorder.last_entry_at = asyncio.get_running_loop().time()
            self.recorder.longest_pause_s = 0

    def _tracks(self) -> list[Track]:
        return [watcher.track for watcher in (self.recorder, *self.watchers, *self.crowd)] + self.finished

    async def heal(self) -> None:
        """Everything runs and forwards again."""
        for proxy in (self.broker_proxy, self.reader_proxy):
            proxy.heal()
        for watcher in (self.recorder, *self.watchers, *self.crowd):
            watcher.recover()
        if self.shim is not None:
            self.shim.refuse(0)
        if not self.broker.is_running:
            self.told.append(f"the broker ended by itself: {self.broker.said()[-500:]}")
            await self.broker.start()
        if not self.gateway.is_running:
            self.told.append(f"the gateway ended by itself: {self.gateway.said()[-3000:]}")
            await self.gateway.start()
        await self.gateway.ready()

    async def settle(self) -> None:
        """Wait until all that was acknowledged has come, or nothing comes any more, and every watcher is at the head."""
        if not await self._until(lambda: not any(each.flying for each in self.publishers), DRAIN_TIMEOUT_S):
            self.told.append("the broker does not acknowledge what was published")
        await self._quiet()
        head = (await counters(self.gateway.port))["log_head"]
        watchers = (self.recorder, *self.watchers, *self.crowd)
        if not await self._until(lambda: all(each.track.position >= head for each in watchers), SETTLE_TIMEOUT_S):
            stuck = [str(each) for each in watchers if each.track.position < head]
            self.told.append(f"stuck below the head {head:.0f}: {', '.join(stuck)}")

    async def _quiet(self) -> None:
        loop = asyncio.get_running_loop()
        count, since, deadline = -1, loop.time(), loop.time() + SETTLE_TIMEOUT_S
        publications = self.ledger.publications
        while loop.time() < deadline:
            if count != len(self.witness.entries):
                count, since = len(self.witness.entries), loop.time()
            wanted = (key for key, each in publications.items() if key.qos and each.acknowledged_at is not None)
            if all(key in self.witness.ids for key in wanted) and loop.time() - since > 0.3:
                return
            if loop.time() - since > QUIET_S and not self.edge.flying:
                return
            await asyncio.sleep(0.05)

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    # --- evidence ----------------------------------------------------------------------------------------------------

    async def _evidence(self) -> Evidence:
        """All that is to be known, of one moment: when the log moved meanwhile, once more."""
        for _ in range(TRIES):
            before = await counters(self.gateway.port)
            log = await self._replay()
            compared = await self._compare_readings(log)
            stored = await asyncio.to_thread(_numbers_in, self.gateway.segments())
            after = await counters(self.gateway.port)
            if all(before[name] == after[name] for name in AT_REST):
                break
            await self._quiet()
        else:
            self.told.append("the log does not come to rest")
        told = self.told + compared
        return Evidence(self.ledger, self.witness, self.edge, self.excuses, log, self._tracks(), stored, told)

    async def _replay(self) -> Track:
        """The whole log as a new watcher gets it from where the recorder began."""
        reader = self.watcher("replay", [], direct=True)
        reader.first = str(self.recorder.track.start)
        reader.open()
        head = (await counters(self.gateway.port))["log_head"]
        if not await self._until(lambda: reader.track.position >= head, SETTLE_TIMEOUT_S):
            self.told.append(f"a replay of everything got to {reader.track.position}, not to the head {head:.0f}")
        await reader.close()
        return reader.track

    async def _compare_readings(self, log: Track) -> list[str]:
        """What the readings' route says of one device must be what the stream said."""
        device = self.rng.choice(DEVICES)
        _, body = await get(self.gateway.port, f"/api/devices/{device}/readings?format=ndjson&limit=100000", 30)
        told = [int(line[6 : line.index(b",")]) for line in body.splitlines()]
        entries = self.witness.entries
        streamed = [seq for seq in log.ids if entries[seq].device == device and entries[seq].event == b"message"]
        if [seq for seq in told if seq > log.start] == streamed:
            return []
        return [f"readings of {device}: {len(told)} by its route, {len(streamed)} by the stream"]


def _mount(folder: Path, size: int) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=False)


def _open_files_of(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _peak_memory_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def _numbers_in(segments: list[Path]) -> list[int] | None:
    """All numbers in the files; None when retention takes one from under our eyes, again and again."""
    for _ in range(3):
        with contextlib.suppress(OSError, sqlite3.Error):
            return [number for path in segments for number in _numbers_of(path)]
    return None


def _numbers_of(path: Path) -> list[int]:
    """Of a copy: SQLite makes files beside what it reads, and the disk may be full."""
    with tempfile.TemporaryDirectory() as folder:
        for side in ("", "-wal"):
            source = path.with_name(path.name + side)
            if source.exists():
                shutil.copyfile(source, Path(folder) / source.name)
        with closing(sqlite3.connect(Path(folder) / path.name)) as connection:
            return [row[0] for row in connection.execute("SELECT seq FROM entry ORDER BY seq")]
