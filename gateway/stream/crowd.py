"""The shared write: streams that have caught up are served together, each by one `write` and nothing more.

Streams with equal selections that stand at the head form a crowd. It has one watch. When that wakes, one pass reads once
for each position at which members stand (mostly one), joins and frames once, and writes the same bytes to all of them.

Rules:

* A stream's own task sleeps while it is a member: nobody else writes to its connection.
* Each member keeps its own position, which moves together with the write: it may join and leave between any two.
* A member that cannot be served here goes back to its own task and goes on from its position: when its reader takes too
  little or has left, when the entries after its position are on disk only, or when a gap lies there.
* The unit of cost is the write. After a round of T seconds the next begins no earlier than T later: under load more
  entries go into each write, and half of the loop is left to others. A round that takes less than 1 ms delays nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

from gateway import frame
from gateway.config import Http
from gateway.log import Log
from gateway.selection import Selection
from gateway.stream.cursor import Cursor
from gateway.stream.sources import Sources

SLICE_WRITES = 100
"""After this many writes, 1 to 2 ms, the loop gets its turn."""

REST_S = (0.001, 0.05)
"""The shortest round that is followed by a rest, and the longest rest, in seconds."""


class Line(Protocol):
    """The connection to one reader."""

    def write(self, chunk: bytes) -> bool:
        """Write what `Crowds` framed, never waiting; false when the reader must be waited for, or has left."""

    def is_clear(self) -> bool:
        """Whether the response is open, and its reader has taken nearly all: then the stream may join a crowd."""

    async def drain(self) -> None:
        """Wait until the reader has taken most of what was written; raises ConnectionError when it has left."""


class Member(Protocol):
    """A stream as its crowd sees it."""

    cursor: Cursor
    last_sent: float

    def wake(self) -> None:
        """Go on in its own task, which then calls `Crowds.leave`."""


class _Crowd:
    """All members with equal selections. ``beats`` counts the heartbeats in a row; ``wake`` is called by its watch."""

    __slots__ = ("beats", "is_due", "last_sent", "members", "selection", "watch")

    def __init__(self, selection: Selection, log: Log, now_s: float, wake: Callable[[_Crowd], None]) -> None:
        self.selection = selection
        self.members: dict[Member, Line] = {}
        self.last_sent = now_s
        self.beats = 0
        self.is_due = False
        self.watch = log.watch(selection, lambda: wake(self))


class _Piece(NamedTuple):
    """What members at one position get: its chunk, empty when there is nothing; and where they stand then."""

    chunk: bytes
    position: int
    entries: int
    bytes: int


class Crowds:
    """All crowds. ``framed`` makes a chunk of the connection's protocol out of SSE blocks."""

    def __init__(self, sources: Sources, settings: Http, framed: Callable[[bytes], bytes]) -> None:
        self._log, self._counters, self._clock = sources.log, sources.counters, sources.clock
        self._settings, self._framed = settings, framed
        self._by_selection: dict[Selection, _Crowd] = {}
        self._woken: dict[_Crowd, None] = {}
        self._bit = asyncio.Event()

    def join(self, member: Member, line: Line) -> None:
        """Serve a stream that stands at the head and sends nothing itself."""
        selection = member.cursor.selection
        crowd = self._by_selection.get(selection)
        if crowd is None:
            crowd = _Crowd(selection, self._log, self._clock.elapsed_s(), self._wake)
            self._by_selection[selection] = crowd
        crowd.members[member] = line
        crowd.last_sent = min(crowd.last_sent, member.last_sent)

    def leave(self, member: Member) -> None:
        """Serve it no more; the position of its cursor says where it stands."""
        crowd = self._by_selection.get(member.cursor.selection)
        if crowd is not None and member in crowd.members:
            self._remove(crowd, member)

    def _remove(self, crowd: _Crowd, member: Member) -> None:
        del crowd.members[member]
        member.last_sent = crowd.last_sent
        if not crowd.members:
            del self._by_selection[crowd.selection]
            crowd.watch.close()

    def _send_back(self, crowd: _Crowd, member: Member) -> None:
        """Removed at once: until its task runs nothing more may be written for it."""
        self._remove(crowd, member)
        member.wake()

    def beat(self, now_s: float) -> None:
        """Called by the one timer that all streams share; a crowd that was sent nothing for a while gets a heartbeat."""
        for crowd in self._by_selection.values():
            if now_s - crowd.last_sent >= self._settings.heartbeat_s:
                crowd.is_due = True
                self._wake(crowd)

    def _wake(self, crowd: _Crowd) -> None:
        self._woken[crowd] = None
        self._bit.set()

    async def serve_forever(self) -> None:
        """Serve whoever was woken."""
        while True:
            await self._bit.wait()
            self._bit.clear()
            woken, self._woken = self._woken, {}
            took = await self._round(list(woken))
            await asyncio.sleep(min(took, REST_S[1]) if took > REST_S[0] else 0)

    async def _round(self, crowds: list[_Crowd]) -> float:
        """One pass over each crowd; the seconds that they took, without the turns of others."""
        clock = self._clock
        began, took, left = clock.elapsed_s(), 0.0, SLICE_WRITES
        for crowd in crowds:
            pieces: dict[int, _Piece | None] = {}
            for member, line in list(crowd.members.items()):
                if member in crowd.members:
                    self._serve(crowd, member, line, pieces)
                left -= 1
                if not left:
                    took += clock.elapsed_s() - began
                    await asyncio.sleep(0)
                    began, left = clock.elapsed_s(), SLICE_WRITES
            crowd.is_due = False
        return took + clock.elapsed_s() - began

    def _serve(self, crowd: _Crowd, member: Member, line: Line, pieces: dict[int, _Piece | None]) -> None:
        """Send a member what lies after its position. ``pieces`` holds what this pass made already, by position."""
        cursor, counters = member.cursor, self._counters
        after = cursor.position
        if after not in pieces:
            pieces[after] = self._piece(crowd, after)
        piece = pieces[after]
        if piece is None:
            self._send_back(crowd, member)
            return
        cursor.position = piece.position
        if piece.chunk:
            if not line.write(piece.chunk):
                self._send_back(crowd, member)
            counters.shared_writes_total += 1
            counters.sent_entries_total += piece.entries
            counters.sent_bytes_total += piece.bytes

    def _piece(self, crowd: _Crowd, after: int) -> _Piece | None:
        """What lies after a position, or a heartbeat if one is due; None when members must go on alone."""
        page = self._log.read_tail(after, crowd.selection, self._settings.page_entries)
        if page is None:
            return None
        if page.position < self._log.head:
            self._wake(crowd)
        blocks = b"".join([entry.frame for entry in page.entries])
        if blocks:
            crowd.beats = 0
        elif crowd.is_due:
            crowd.beats += 1
            blocks = frame.heartbeat(crowd.beats, page.position, self._clock.wall_ms())
        else:
            return _Piece(b"", page.position, 0, 0)
        crowd.last_sent = self._clock.elapsed_s()
        return _Piece(self._framed(blocks), page.position, len(page.entries), len(blocks))
