"""One open stream: the loop that asks its cursor for pieces, at its pace, and sends them to its reader.

A stream owns a cursor, a mode and one bit (law 4). It sends what its cursor has; at the head it sleeps until the bit is
set. How slow its reader is only shows in its position.

Rules:

* The next piece is asked for after the last send has returned.
* Between two pieces the loop gets its turn, also when a send never waits: else a fast replay could not be cancelled.
* At the head most streams have the same to send. Then it goes back to sleep in a crowd (`gateway/stream/crowd.py`), which
  serves it until it must go on alone; the cursor's position says where.
"""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from gateway import frame
from gateway.config import Http
from gateway.log import Watch
from gateway.stream.bit import Bit
from gateway.stream.crowd import Crowds, Line
from gateway.stream.cursor import Cursor
from gateway.stream.sources import Sources

WAKE_PAUSE_S = 0.05
"""While an interval runs, readings wake a stream at most this often; it looks whether it must end, and rests on."""


class Connection(Protocol):
    """The way to one reader, whatever carries it."""

    @property
    def line(self) -> Line | None:
        """What a crowd can write to; None when each piece must go through `put`."""

    async def put(self, blocks: bytes) -> None:
        """Send a piece; back when the reader can take the next."""

    def cut(self) -> bool:
        """End it at once, whatever still waits for the reader; false when it has ended already, or cannot be cut."""


def retry_ms(settings: Http) -> int:
    """How long one client is to wait before it reconnects: a time of its own, so that many do not return in step."""
    return random.randint(settings.retry_min_ms, settings.retry_max_ms)  # noqa: S311 - spreads clients, guards nothing


class Stream:
    """One reader's stream. `run` it once; `close` ends it. ``sending_since`` is set while its reader is waited for.

    When the connection has a line it joins one of ``crowds`` once it has caught up, if it sends what others send.
    """

    __slots__ = (
        "_beats", "_bit", "_closing", "_connection", "_crowds", "_may_join", "_rest_until", "_settings", "_sources",
        "_told_version", "_watch", "cursor", "in_crowd", "last_sent", "sending_since",
    )  # fmt: skip

    def __init__(
        self, sources: Sources, settings: Http, cursor: Cursor, crowds: Crowds, connection: Connection
    ) -> None:
        self._sources, self._settings, self._crowds = sources, settings, crowds
        self.cursor, self._connection = cursor, connection
        self._told_version = sources.readiness.version
        plan = cursor.plan
        self._may_join = not (plan.mode == "latest" or plan.metrics or plan.interval_s) and connection.line is not None
        self.sending_since: float | None = None
        self.last_sent = sources.clock.elapsed_s()
        self._rest_until = 0.0
        self._beats = 0
        self._closing = False
        self._bit = Bit()
        self._watch: Watch | None = None
        self.in_crowd = False

    def close(self) -> None:
        """Ask the stream to end itself; it says `bye` first."""
        self._closing = True
        self.wake()

    def cut(self) -> bool:
        """Cut its connection; false when that has ended already."""
        return self._connection.cut()

    def wake_if_due(self, now_s: float) -> None:
        """Called by the one timer that all streams share, but not in a crowd; sets the bit when a heartbeat is due."""
        if now_s - self.last_sent >= self._settings.heartbeat_s:
            self.wake()

    def wake(self) -> None:
        """Have the loop look what is due; one wake too many is harmless (law 5)."""
        self._bit.set()

    async def run(self) -> None:
        """Send until `close`, then say `bye`. Cancelled when the reader has left."""
        bit = self._bit
        self._watch = self._sources.log.watch(self.cursor.selection, bit.set)
        try:
            for piece in self._opening():
                await self._send(piece)
            while not self._closing:
                # The bit is cleared before the read: what is appended during it sets it again.
                bit.clear()
                if piece := await self._due_piece():
                    await self._send(piece)
                await self._pause()
            await self._send(frame.bye("stopping", retry_ms(self._settings)))
        finally:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def _opening(self) -> list[bytes]:
        readiness = self._sources.readiness
        self._told_version = readiness.version
        pieces = self.cursor.opening(b"" if readiness.is_clear else readiness.block)
        pieces[0] = frame.retry(retry_ms(self._settings)) + pieces[0]
        return pieces

    async def _send(self, piece: bytes) -> None:
        clock = self._sources.clock
        self.sending_since = clock.elapsed_s()
        await self._connection.put(piece)
        self.last_sent = clock.elapsed_s()
        self.sending_since = None
        self._sources.counters.sent_bytes_total += len(piece)

    async def _due_piece(self) -> bytes:
        """What is to be sent now: news of the gateway, and entries unless the interval is not over; else a heartbeat.

        Empty when nothing is due.
        """
        news = self._news() if self._told_version != self._sources.readiness.version else b""
        if self._rest_left() <= 0 and (piece := await self.cursor.next_piece()):
            self._beats = 0
            if interval_s := self.cursor.plan.interval_s:
                self._rest_until = self._sources.clock.elapsed_s() + interval_s
            return news + piece
        return news or self._heartbeat()

    def _news(self) -> bytes:
        self._told_version = self._sources.readiness.version
        return self._sources.readiness.block

    def _heartbeat(self) -> bytes:
        clock = self._sources.clock
        if clock.elapsed_s() - self.last_sent < self._settings.heartbeat_s:
            return b""
        self._beats += 1
        return frame.heartbeat(self._beats, self.cursor.position, clock.wall_ms())

    async def _pause(self) -> None:
        """Let others have their turn: for the rest of the interval, between two pieces, or until the bit is set."""
        if (left := self._rest_left()) > 0:
            await _wait(self._bit, left)
        elif self.cursor.is_behind:
            await asyncio.sleep(0)
        elif self._may_join and self.cursor.is_live and (line := self._connection.line) and line.is_clear():
            await self._in_crowd(line)
        else:
            await self._bit.wait()

    def _rest_left(self) -> float:
        """How many seconds of the interval are left; what was appended waits for its end."""
        return self._rest_until - self._sources.clock.elapsed_s() if self._rest_until else 0

    async def _in_crowd(self, line: Line) -> None:
        """Be served together with others until the bit is set; then wait for the reader if it is behind."""
        self._crowds.join(self, line)
        self._unwatch()
        self.in_crowd = True
        try:
            await self._bit.wait()
        finally:
            self.in_crowd = False
            self._watch = self._sources.log.watch(self.cursor.selection, self._bit.set)
            self._crowds.leave(self)
        if not line.is_clear():
            await self._drain(line)

    async def _drain(self, line: Line) -> None:
        self.sending_since = self._sources.clock.elapsed_s()
        try:
            await line.drain()
        except ConnectionError:
            # The reader has left: what is sent from here on goes nowhere, and the server ends the response.
            self._closing = True
        self.sending_since = None


async def _wait(bit: Bit, seconds: float) -> None:
    """Until the bit is set, at most ``seconds``. A reading sets it too: without the pause each one would cost a turn."""
    try:
        await asyncio.wait_for(bit.wait(), seconds)
    except TimeoutError:
        return
    await asyncio.sleep(min(seconds, WAKE_PAUSE_S))
