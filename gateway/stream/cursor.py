"""The stream loop: one for replay and live.

A cursor owns a position, a set of devices, a mode and one bit (law 4). It reads the page after its position, sends it in
one piece, and moves on; at the head it sleeps until its bit is set. How slow its reader is only shows in its position.

Rules:

* The position moves with what was read, not with what was sent: entries of other devices, or without the wanted metrics,
  move it too, and the next heartbeat tells the reader.
* Nothing is read ahead: the next read begins after the last send has returned, and no read stays open across a send.
* Between two pages the loop gets its turn, also when a send never waits: else a fast replay could not be cancelled.
* At the head most streams have the same to send. Then it goes back to sleep in a crowd, which serves it (`gateway/crowd.py`)
  until it must go on alone; the position says where.
* Whatever may be missing is told where it is missing: the gap's id is the position where reading goes on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from typing import Literal, NamedTuple

from gateway import frame
from gateway.counters import Counters
from gateway.devices.registry import Registry
from gateway.log import Log, Watch
from gateway.reading import Entry, Gap
from gateway.selection import Selection
from gateway.stream.bit import Bit
from gateway.stream.conflate import Conflation, project
from gateway.stream.crowd import Crowds, Line
from gateway.stream.readiness import Readiness

Mode = Literal["every", "latest"]

WAKE_PAUSE_S = 0.05
"""While an interval runs, readings wake a stream at most this often; it looks whether it must end, and rests on."""

CHUNK_BYTES = 65_536
"""`latest` blocks are sent in pieces of about this size."""

MAX_CONFLATED = 100_000
"""Entries that one pass with `mode=latest` reads at most, so that a stream far behind shows something soon."""


class Plan(NamedTuple):
    """What a stream asked for; ``position`` is where it starts, None for the head at the moment it opens.

    ``snapshot`` is whether a stream that starts at the head begins with `latest` blocks.
    """

    selection: Selection
    position: int | None = None
    mode: Mode = "every"
    interval_s: float = 0
    metrics: frozenset[str] = frozenset()
    snapshot: bool = True


class Pace(NamedTuple):
    """How a stream is paced; defaults and reasons are in `config.toml`, section `http`."""

    page_entries: int = 500
    heartbeat_s: float = 15
    retry_min_ms: int = 1000
    retry_max_ms: int = 5000

    def retry_ms(self) -> int:
        """A reconnect delay of this client's own."""
        return random.randint(self.retry_min_ms, self.retry_max_ms)  # noqa: S311 - spreads clients, guards nothing


class Cursor:
    """One stream. Iterate `blocks`, once; `close` ends it. ``sending_since`` is set while its reader is waited for.

    With a ``line`` to its reader it joins one of ``crowds`` when it has caught up, if it sends what others send.
    """

    __slots__ = (
        "_beats", "_bit", "_closing", "_counters", "_crowds", "_is_live", "_line", "_log", "_may_join", "_pace", "_plan",
        "_readiness", "_registry", "_rest_until", "_told_version", "_watch", "in_crowd", "last_sent", "position",
        "selection", "sending_since",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - the stations that it joins, and what was asked for
        self,
        log: Log,
        registry: Registry,
        counters: Counters,
        plan: Plan,
        pace: Pace,
        readiness: Readiness | None = None,
        crowds: Crowds | None = None,
        line: Line | None = None,
    ) -> None:
        self._log, self._registry, self._counters = log, registry, counters
        self._plan, self._pace, self._readiness = plan, pace, readiness or Readiness()
        self._told_version = -1
        self.selection = plan.selection
        self._crowds, self._line = crowds, line
        self._may_join = not (plan.mode == "latest" or plan.metrics or plan.interval_s)
        self.position = log.head if plan.position is None else plan.position
        self.sending_since: float | None = None
        self.last_sent = time.monotonic()
        self._rest_until = 0.0
        self._beats = 0
        self._is_live = False
        self._closing = False
        self._bit = Bit()
        self._watch: Watch | None = None
        self.in_crowd = False

    def close(self) -> None:
        """Ask the stream to end itself; it says `bye` first."""
        self._closing = True
        self.wake()

    def wake_if_due(self, now: float) -> None:
        """Called by the one timer that all streams share, but not in a crowd; sets the bit when a heartbeat is due."""
        if now - self.last_sent >= self._pace.heartbeat_s:
            self.wake()

    def wake(self) -> None:
        """Have the loop look what is due; one wake too many is harmless (law 5)."""
        self._bit.set()

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Pieces to send, each of whole SSE blocks."""
        bit = self._bit
        self._watch = self._log.watch(self.selection, bit.set)
        try:
            for piece in self._opening():
                self.sending_since = time.monotonic()
                yield piece
                self._was_taken(piece)
            while not self._closing:
                # The bit is cleared before the read: what is appended during it sets it again.
                bit.clear()
                if piece := await self._due_piece():
                    self.sending_since = time.monotonic()
                    yield piece
                    self._was_taken(piece)
                await self._pause()
            self.sending_since = time.monotonic()
            yield (piece := frame.bye("stopping", self._pace.retry_ms()))
            self._was_taken(piece)
        finally:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._log.unwatch(self._watch)

    def _was_taken(self, piece: bytes) -> None:
        self.last_sent = time.monotonic()
        self.sending_since = None
        self._counters.sent_bytes_total += len(piece)

    async def _due_piece(self) -> bytes:
        """What is to be sent now: entries, unless the interval is not over, else a heartbeat; empty when nothing is."""
        if self._told_version != self._readiness.version:
            return self._tell_readiness()
        if self._rest_left() <= 0 and (piece := await self._next_piece()):
            self._beats = 0
            self._rest_until = time.monotonic() + self._plan.interval_s
            return piece
        return self._heartbeat() if self._heartbeat_is_due() else b""

    async def _pause(self) -> None:
        """Let others have their turn: for the rest of the interval, between two pages, or until the bit is set."""
        if (left := self._rest_left()) > 0:
            await _wait(self._bit, left)
        elif self.position < self._log.head:
            await asyncio.sleep(0)
        elif self._may_join and self._crowds is not None and self._line is not None and self._line.is_clear():
            await self._in_crowd(self._crowds, self._line)
        else:
            await self._bit.wait()

    async def _in_crowd(self, crowds: Crowds, line: Line) -> None:
        """Be served together with others until the bit is set; then wait for the reader if it is behind."""
        crowds.join(self, line)
        self._unwatch()
        self.in_crowd = True
        try:
            await self._bit.wait()
        finally:
            self.in_crowd = False
            self._watch = self._log.watch(self.selection, self._bit.set)
            crowds.leave(self)
        if not line.is_clear():
            await self._drain(line)

    async def _drain(self, line: Line) -> None:
        self.sending_since = time.monotonic()
        try:
            await line.drain()
        except ConnectionError:
            # The reader has left: what is sent from here on goes nowhere, and the server ends the response.
            self._closing = True
        self.sending_since = None

    def _rest_left(self) -> float:
        """How much of the interval is left; what was appended waits for its end."""
        return self._rest_until - time.monotonic() if self._plan.interval_s else 0

    def _opening(self) -> list[bytes]:
        """`retry`, `hello`, and the snapshot; taken in one go, so that it is exact at the stream's position."""
        log, plan = self._log, self._plan
        if plan.position is None:
            self.position = log.head
        pieces = [frame.retry(self._pace.retry_ms())]
        pieces[0] += frame.hello(self.position, log.floor, log.head, log.now_ms(), plan.mode)
        if not self._readiness.is_clear:
            pieces[0] += self._readiness.block
        self._told_version = self._readiness.version
        if plan.snapshot and plan.position is None:
            for state in self._registry.shown(plan.selection, plan.metrics):
                if len(pieces[-1]) > CHUNK_BYTES:
                    pieces.append(b"")
                pieces[-1] += frame.latest(state)
        if self.position == log.head:
            pieces[-1] += self._live()
        return pieces

    def _tell_readiness(self) -> bytes:
        self._told_version = self._readiness.version
        return self._readiness.block

    def _live(self) -> bytes:
        self._is_live = True
        return frame.live(self.position)

    def _heartbeat_is_due(self) -> bool:
        return time.monotonic() - self.last_sent >= self._pace.heartbeat_s

    def _heartbeat(self) -> bytes:
        self._beats += 1
        return frame.heartbeat(self._beats, self.position, self._log.now_ms())

    async def _next_piece(self) -> bytes:
        """What is to be sent next, and the position moved past it."""
        piece = await (self._latest() if self._plan.mode == "latest" else self._every())
        if not self._is_live and self.position >= self._log.head:
            piece += self._live()
        return piece

    async def _every(self) -> bytes:
        where = self.position, self.selection, self._pace.page_entries
        # Live streams find everything in the tail: then nothing is awaited, which saves a fifth of the work.
        found = self._log.read_tail(*where) or await self._log.read(*where)
        if isinstance(found, Gap):
            return self._tell(found)
        self.position = found.position
        return b"".join(self._projected(found.entries))

    def _projected(self, entries: list[Entry]) -> list[bytes]:
        metrics = self._plan.metrics
        if metrics:
            frames = [text for entry in entries if (text := project(entry, metrics)) is not None]
        else:
            frames = [entry.frame for entry in entries]
        self._counters.sent_entries_total += len(frames)
        return frames

    async def _latest(self) -> bytes:
        """All that waits, conflated. A gap ends the pass: what was read before it is sent first."""
        gathered, seen = Conflation(self._plan.metrics), 0
        while seen < MAX_CONFLATED:
            found = await self._log.read(self.position, self.selection, self._pace.page_entries)
            if isinstance(found, Gap):
                return self._conflated(gathered) or self._tell(found)
            self.position = found.position
            for entry in found.entries:
                gathered.add(entry)
            seen += len(found.entries)
            if self.position >= self._log.head or not found.entries:
                break
            await asyncio.sleep(0)
        return self._conflated(gathered)

    def _conflated(self, gathered: Conflation) -> bytes:
        frames, left_out = gathered.frames(self.position)
        self._counters.sent_entries_total += len(frames)
        self._counters.conflated_total += left_out
        return b"".join(frames)

    def _tell(self, gap: Gap) -> bytes:
        self._counters.gaps_total[gap.reason] += 1
        self.position = gap.floor
        return frame.gap(gap)


async def _wait(bit: Bit, seconds: float) -> None:
    """Until the bit is set, or so long. A reading sets it too: without the pause each one would cost a turn."""
    try:
        await asyncio.wait_for(bit.wait(), seconds)
    except TimeoutError:
        return
    await asyncio.sleep(min(seconds, WAKE_PAUSE_S))
