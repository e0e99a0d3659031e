"""The law of one path as a machine: whatever happens between a log and its readers, each misses nothing untold."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from gateway.clock import Clock
from gateway.config import Http
from gateway.devices.registry import Registry
from gateway.frame import entry_data
from gateway.log import Deposit, Log
from gateway.reading import Entry
from gateway.selection import Selection, select
from gateway.stream.crowd import Crowds
from gateway.stream.plan import Mode, Plan
from gateway.stream.stream import Stream
from tests.event_source import EventSource
from tests.log.parts import HARM, crash, draft, fast_folder, open_log, segments
from tests.stream.parts import blocks_of, sources_of, stream_of

_T = TypeVar("_T")
DEVICES = ["a", "b", "kitchen/fridge", "kitchen/oven"]
SELECTIONS = [[], ["a"], ["a", "b"], ["kitchen/*"], ["b", "*oven"], ["nobody"]]
METRICS = ["x", "y"]


class Connection:
    """The line to one browser: what is written waits there until the browser takes it; above ``ROOM`` it is behind."""

    ROOM = 2

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self._taken = asyncio.Event()

    def write(self, chunk: bytes) -> bool:
        self.waiting.append(chunk)
        return len(self.waiting) <= self.ROOM

    def is_clear(self) -> bool:
        return len(self.waiting) < self.ROOM

    async def drain(self) -> None:
        while self.waiting:
            self._taken.clear()
            await self._taken.wait()

    def take(self) -> bytes:
        taken = b"".join(self.waiting)
        self.waiting.clear()
        self._taken.set()
        return taken


class Reader:
    """A browser: takes pieces when it likes, leaves and comes back with its last id. Remembers all it was told."""

    def __init__(
        self, selection: Selection, mode: Mode, metrics: frozenset[str], page_entries: int, shares: bool
    ) -> None:
        self.selection, self.mode, self.metrics = selection, mode, metrics
        self.settings = Http(page_entries=page_entries, heartbeat_s=300)
        self.shares = shares
        self.connection = Connection()
        self.source = EventSource()
        self.raw = b""
        self.began: int | None = None
        self.stream: Stream | None = None
        self._pieces: Any = None
        self._asked: asyncio.Task[bytes] | None = None

    async def connect(self, log: Log, registry: Registry, crowds: Crowds, position: int | None) -> None:
        plan = Plan(self.selection, position, self.mode, 0, self.metrics)
        self.connection = Connection()
        line = self.connection if self.shares else None
        self.stream = stream_of(sources_of(log, registry), plan, self.settings, crowds, line)
        self._pieces = blocks_of(self.stream)
        last_id, events = self.source.last_event_id, self.source.events
        self.source = EventSource(last_id)
        self.source.events = events
        await self.take(1)
        if self.began is None:
            self.began = int(self.source.last_event_id)

    async def take(self, pieces: int) -> bool:
        """Up to so many pieces; false when there is nothing to take now. What was asked for stays asked for."""
        for _ in range(pieces):
            if self._asked is None:
                self._asked = asyncio.ensure_future(anext(self._pieces))
            polls = 0
            while not self._asked.done():
                self._feed(self.connection.take())
                if self._is_idle():
                    return False
                await asyncio.sleep(0.0005)
                polls += 1
                if polls % 20 == 0 and self.stream is not None:
                    # As the timer does: an entry of other devices wakes nobody, and leaves the position behind the head.
                    self.stream.wake()
            # What a crowd wrote was written before the stream's own task went on.
            self._feed(self.connection.take())
            piece, self._asked = self._asked.result(), None
            self._feed(piece)
        return True

    def _feed(self, piece: bytes) -> None:
        self.raw += piece
        self.source.feed(piece)

    def _is_idle(self) -> bool:
        stream = self.stream
        assert stream is not None
        if stream._watch is None:
            return False  # it has not begun
        is_still = not stream.cursor.is_behind and not stream._bit.is_set() and stream.sending_since is None
        return is_still and not self.connection.waiting and (not self.shares or stream.in_crowd or not stream._may_join)

    async def disconnect(self) -> None:
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.wait([self._asked])
            self._asked = None
        await self._pieces.aclose()
        self.stream = None

    def check(self, logged: list[Entry]) -> None:
        """Delivered plus declared lost = logged, in order, once, and byte for byte."""
        assert self.began is not None
        wanted = [e for e in logged if e.device in self.selection and e.seq > self.began]
        lost = [(gap.data["asked"], gap.data["floor"]) for gap in self.source.of("gap")]
        ids = [int(event.id) for event in self.source.events]
        assert sorted(ids) == ids
        held = [e for e in wanted if not any(asked < e.seq <= floor for asked, floor in lost)]
        if self.metrics:
            held = [e for e in held if any(b'"%b":' % metric.encode() in e.frame for metric in self.metrics)]
        if self.mode == "every":
            assert [e.seq for e in held] == [int(event.id) for event in self.source.of("message")]
            blocks = [block + b"\n\n" for block in self.raw.split(b"\n\n") if block.startswith(b"id: ")]
            assert [e.frame for e in held] == [block for block in blocks if b"\ndata: " in block]
        else:
            for device in DEVICES:
                told = [event.data for event in self.source.of("message") if event.data["device"] == device]
                of_device = [e for e in held if e.device == device]
                assert len(of_device) == sum(data.get("merged", 1) for data in told)
                for entry, data in zip(of_device[-1:], told[-1:], strict=True):
                    newest = json.loads(entry_data(entry))["values"]
                    assert newest == {metric: data["values"].get(metric) for metric in newest}


class OnePath(RuleBasedStateMachine):
    """Readers of every kind, and a log that rolls, trims, restarts, crashes and loses segments under them."""

    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = tempfile.TemporaryDirectory(prefix="one-path-", dir=fast_folder())
        self.folder = Path(self.home.name) / "log0"
        self.lives = 0
        self.logged: list[Entry] = []
        self.value = 0
        self.all: list[Reader] = []

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(work)

    @initialize(
        tail_bytes=st.sampled_from([1, 1500, 2**20]),
        segment_bytes=st.sampled_from([1, 14_000, 2**26]),
        page_entries=st.sampled_from([1, 3, 500]),
    )
    def begin(self, tail_bytes: int, segment_bytes: int, page_entries: int) -> None:
        self.page_entries = page_entries
        self.limits = {"tail_bytes": tail_bytes, "segment_bytes": segment_bytes, "retention_bytes": 32_000}
        self.run(self._open())

    async def _open(self) -> None:
        self.log = await open_log(self.folder, **self.limits)
        self.registry = Registry()
        self.log.listeners += [lambda entries, _: self.logged.extend(entries), self.registry.apply]
        settings = Http(page_entries=self.page_entries, heartbeat_s=300)
        self.crowds = Crowds(sources_of(self.log), settings, bytes)
        self.serving = asyncio.ensure_future(self.crowds.serve_forever())

    async def _close(self) -> None:
        self.serving.cancel()
        await asyncio.wait([self.serving])
        await self.log.close()

    @rule(
        target=readers,
        patterns=st.sampled_from(SELECTIONS),
        mode=st.sampled_from(["every", "every", "latest"]),
        metrics=st.sampled_from([[], [], ["x"]]),
        page_entries=st.sampled_from([1, 2, 7, 500]),
        start=st.sampled_from(["head", "floor", "zero", "logged"]),
        which=st.integers(0, 10**6),
        shares=st.booleans(),
    )
    def connect(
        self,
        patterns: list[str],
        mode: Mode,
        metrics: list[str],
        page_entries: int,
        start: str,
        which: int,
        shares: bool,
    ) -> Reader:
        reader = Reader(select(patterns), mode, frozenset(metrics), page_entries, shares)
        position = {"head": None, "floor": self.log.floor, "zero": 0}.get(start, self.log.floor)
        if start == "logged" and self.logged:
            position = self.logged[which % len(self.logged)].seq
        self.run(reader.connect(self.log, self.registry, self.crowds, position))
        self.all.append(reader)
        return reader

    def _deposits(self, devices: list[int], metric: str) -> None:
        for device in devices:
            self.value += 1
            self.log.append(Deposit([draft(self.value, DEVICES[device], time.time_ns() // 1_000_000, metric)]))

    @rule(devices=st.lists(st.integers(0, 3), min_size=1, max_size=12), metric=st.sampled_from(METRICS))
    def append(self, devices: list[int], metric: str) -> None:
        async def work() -> None:
            self._deposits(devices, metric)
            await self.log.commits.drain()

        self.run(work())

    @rule(devices=st.lists(st.integers(0, 3), min_size=1, max_size=5), reader=readers, pieces=st.integers(1, 3))
    def append_while_somebody_reads(self, devices: list[int], reader: Reader, pieces: int) -> None:
        async def work() -> None:
            self._deposits(devices, "x")
            self.log.commits._begin()
            if reader.stream is not None:
                await reader.take(pieces)

        self.run(work())

    @rule(reader=readers, pieces=st.integers(1, 20))
    def take(self, reader: Reader, pieces: int) -> None:
        if reader.stream is not None:
            self.run(reader.take(pieces))

    @rule(reader=readers)
    def leave_or_return(self, reader: Reader) -> None:
        if reader.stream is not None:
            self.run(reader.disconnect())
        else:
            self.run(reader.connect(self.log, self.registry, self.crowds, int(reader.source.last_event_id)))

    @rule(is_due=st.booleans())
    def serve(self, is_due: bool) -> None:
        """The crowds are served while nobody takes anything; who gets too much falls behind."""

        async def work() -> None:
            self.crowds.beat(Clock().elapsed_s() + is_due * 300)
            await asyncio.sleep(0.003)

        self.run(work())

    @rule()
    def trim(self) -> None:
        self.run(self.log.trim())

    @rule()
    def restart(self) -> None:
        async def work() -> None:
            await self._everybody_leaves()
            await self._close()
            await self._open()

        self.run(work())

    @rule()
    def crash(self) -> None:
        async def work() -> None:
            await self._everybody_leaves()
            # Not once: what gathered meanwhile may be taken for the next commit before this goes on, and would become
            # visible in the life that is over.
            while self.log.commits._committing is not None:
                await asyncio.wait([self.log.commits._committing])
            self.log.commits._gathered.clear()
            self.lives += 1
            old, self.folder = self.folder, crash(self.folder, Path(self.home.name) / f"log{self.lives}")
            await self._close()
            assert old.exists()
            await self._open()

        self.run(work())

    @rule(harm=st.sampled_from(HARM), which=st.integers(0, 10))
    def damage(self, harm: Any, which: int) -> None:
        """Any but the newest, which `test_laws.py` harms more gently: there nothing may be lost but what it held.

        No precondition: how many segments there are depends on when a commit of before ends, and what is drawn must not.
        """
        paths = segments(self.folder)[:-1]
        if paths and len(self.log._store._shelf.segments) > 2:
            harm(paths[which % len(paths)])

    async def _everybody_leaves(self) -> None:
        for reader in self.all:
            if reader.stream is not None:
                await reader.disconnect()

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.run(self._finish())
        self.runner.close()
        self.home.cleanup()

    async def _finish(self) -> None:
        await self.log.commits.drain()
        for reader in self.all:
            if reader.stream is None:
                await reader.connect(self.log, self.registry, self.crowds, int(reader.source.last_event_id))
            while await reader.take(100):
                pass
            assert self.log.head == reader.stream.cursor.position
        await self._everybody_leaves()
        assert [{}, {}] == [self.log._watches._groups, self.crowds._by_selection]
        await self._close()
        assert sorted({e.seq for e in self.logged}) == [e.seq for e in self.logged]
        for reader in self.all:
            reader.check(self.logged)
