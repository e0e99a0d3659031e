"""A cursor: a position in the log, and what a stream is to send from there. Replay and live are the same reads.

Rules:

* The position moves with what was read, not with what was sent: entries of other devices, or without the wanted metrics,
  move it too, and the next heartbeat tells the reader.
* Nothing is read ahead: each piece is read when it is asked for, and no read stays open when it is handed out (law 6).
* Whatever may be missing is told where it is missing: the gap's id is the position where reading goes on (law 7).

It knows neither time nor connection: `gateway/stream/stream.py` decides when a piece is asked for and where it goes.
"""

from __future__ import annotations

import asyncio

from gateway import frame
from gateway.reading import Entry, Gap
from gateway.stream.conflate import Conflation
from gateway.stream.plan import Plan
from gateway.stream.sources import Sources

CHUNK_BYTES = 65_536
"""`latest` blocks are sent in pieces of about this size."""

MAX_CONFLATED = 100_000
"""Entries that one pass with `mode=latest` reads at most, so that a stream far behind shows something soon."""


class Cursor:
    """One stream's place. ``position`` is where it starts, None for the head at this moment.

    Ask for `opening` once, then for `next_piece` again and again. ``is_live`` once the `live` block was handed out.
    """

    __slots__ = ("_awaits_snapshot", "_log", "_page_entries", "_sources", "is_live", "plan", "position", "selection")

    def __init__(self, sources: Sources, plan: Plan, position: int | None, page_entries: int) -> None:
        self._sources, self._log, self._page_entries = sources, sources.log, page_entries
        self.plan, self.selection = plan, plan.selection
        self._awaits_snapshot = plan.snapshot and position is None
        self.position = sources.log.head if position is None else position
        self.is_live = False

    @property
    def is_behind(self) -> bool:
        """Whether the next piece is to be asked for at once, without waiting for a wake."""
        return self.position < self._log.head and not self._awaits_snapshot

    def opening(self, news: bytes) -> list[bytes]:
        """`hello`, ``news``, and the snapshot, in pieces; made in one go, so that it is exact at the position.

        While the registry is not current there is no snapshot yet: `next_piece` has it when it is.
        """
        log = self._log
        time_ms = self._sources.clock.wall_ms()
        pieces = [frame.hello(self.position, log.floor, log.head, time_ms, self.plan.mode) + news]
        if self._awaits_snapshot:
            if not self._sources.registry.is_current:
                return pieces
            self._add_snapshot(pieces)
        if self.position == log.head:
            pieces[-1] += self._live()
        return pieces

    def _add_snapshot(self, pieces: list[bytes]) -> None:
        self._awaits_snapshot = False
        for state in self._sources.registry.shown(self.selection, self.plan.metrics):
            if len(pieces[-1]) > CHUNK_BYTES:
                pieces.append(b"")
            pieces[-1] += frame.latest(state)

    def _live(self) -> bytes:
        self.is_live = True
        return frame.live(self.position)

    async def next_piece(self) -> bytes:
        """Whole blocks of what lies after the position, which has moved past it; empty when there is nothing."""
        if self._awaits_snapshot:
            return self._late_snapshot()
        piece = await (self._latest() if self.plan.mode == "latest" else self._every())
        if not self.is_live and self.position >= self._log.head:
            piece += self._live()
        return piece

    def _late_snapshot(self) -> bytes:
        """The snapshot in one piece, once the registry is current; nothing was appended meanwhile."""
        if not self._sources.registry.is_current:
            return b""
        pieces = [b""]
        self._add_snapshot(pieces)
        if self.position == self._log.head:
            pieces.append(self._live())
        return b"".join(pieces)

    async def _every(self) -> bytes:
        where = self.position, self.selection, self._page_entries
        # Live streams find everything in the tail: then nothing is awaited, which saves a fifth of the work.
        found = self._log.read_tail(*where) or await self._log.read(*where)
        if isinstance(found, Gap):
            return self._tell(found)
        self.position = found.position
        return b"".join(self._projected(found.entries))

    def _projected(self, entries: list[Entry]) -> list[bytes]:
        metrics = self.plan.metrics
        if metrics:
            frames = [block for entry in entries if (block := frame.projected(entry, metrics)) is not None]
        else:
            frames = [entry.frame for entry in entries]
        self._sources.counters.sent_entries_total += len(frames)
        return frames

    async def _latest(self) -> bytes:
        """All that waits, conflated. A gap ends the pass: what was read before it is sent first."""
        gathered, seen = Conflation(self.plan.metrics), 0
        while seen < MAX_CONFLATED:
            found = await self._log.read(self.position, self.selection, self._page_entries)
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
        self._sources.counters.sent_entries_total += len(frames)
        self._sources.counters.conflated_total += left_out
        return b"".join(frames)

    def _tell(self, gap: Gap) -> bytes:
        self._sources.counters.gaps_total[gap.reason] += 1
        self.position = gap.floor
        return frame.gap(gap)
