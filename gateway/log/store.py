"""Where the log's entries are kept: what a store promises, and what it tells. `sqlite/` is the first one.

A store gives entries their numbers, keeps them in order, and finds them again. It knows nothing of streams, devices or
MQTT: receipts are bytes to it, and what an entry says it never looks at, but for the metrics that a count asks for.

What every store promises, and `tests/log/store_suite.py` holds for each of them:

1. `Store.commit` takes all of a batch or nothing, returns when it is as durable as the settings ask, and by then has
   told the feed. The same batch again changes nothing: a commit whose answer was lost may be repeated.
2. Numbers rise and none is ever given twice, also over openings, crashes and trims.
3. The feed hears of every entry once, in the order of the numbers, on the event loop: also of those that somebody else
   committed to the same store.
4. A span never claims what is gone: the floor rises, and a hole is told, before entries go.
5. `Store.read` returns entries without a hole between the position asked for and the one reached, or a gap.
6. Receipts of the newest batches come back at the next opening, the oldest first, whatever was trimmed meanwhile.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.errors import LogError
from gateway.reading import Draft, Entry, Gap, GapReason, Page, Place, Wanted
from gateway.selection import Selection

RECEIPT_BYTES = 10
"""The size of one receipt. A batch brings any number of them in one run; of equal ones the newest counts."""

RECEIPTS_KEPT = 65_535
"""Receipts that an opening brings back: one for each packet id of MQTT. mosquitto 2.0 keeps no window where messages have
queued for us: for each PUBACK it sends as many as the window holds, so after a kill it may send again thousands."""


class FullError(LogError):
    """There is no room for a batch: `Store.make_room` may help, else the same commit is tried again later."""


class UnavailableError(LogError):
    """The store cannot be read or written now, for a reason other than room: the same call is tried again later."""


class Hole(NamedTuple):
    """Positions from ``low`` to ``high``, both included, miss entries that are gone; reading goes on at ``high + 1``."""

    low: int
    high: int
    reason: GapReason


class Span(NamedTuple):
    """What is held: everything after ``floor`` up to ``head``, but for the holes, which are in order and do not overlap.

    ``floor_reason`` says why what lay at or before the floor is gone.
    """

    floor: int
    head: int
    floor_reason: GapReason = "expired"
    holes: tuple[Hole, ...] = ()

    def gap_at(self, position: int) -> Gap | None:
        """What a stream at ``position`` must be told before it may read on, or None."""
        if position > self.head:
            return Gap(position, self.floor, self.head, "ahead")
        if position < self.floor:
            return Gap(position, self.floor, self.head, self.floor_reason)
        place = bisect_right(self.holes, position, key=lambda hole: hole.low) - 1
        if place >= 0 and position <= self.holes[place].high:
            hole = self.holes[place]
            return Gap(position, hole.high + 1, self.head, hole.reason)
        return None

    @property
    def whole_from(self) -> int:
        """The position after which nothing is missing: the end of the newest hole that hides entries, or the floor."""
        return max([self.floor, *(hole.high + 1 for hole in self.holes if hole.reason == "corrupt")])


class Batch(NamedTuple):
    """What one commit adds: all of it or nothing.

    ``id`` rises from 1 with each new batch of an opening. ``receipts`` is a run of records of `RECEIPT_BYTES` each.
    """

    id: int
    drafts: Sequence[Draft]
    receipts: bytes = b""


class Recent(NamedTuple):
    """The newest entries of an opening: every entry that is held after the position ``after``, in order, without a hole."""

    after: int
    entries: Sequence[Entry]


class Size(NamedTuple):
    """What a store takes now: ``bytes`` on its disk, in ``segments`` files or their like."""

    bytes: int
    segments: int


class Feed(Protocol):
    """Who hears what a store holds. Called on the event loop, in the order of the numbers; must not block."""

    def committed(self, entries: Sequence[Entry], span: Span, batch: int | None) -> None:
        """These entries are committed, and ``span`` is what is held with them. ``batch`` is None for another node's."""

    def changed(self, span: Span) -> None:
        """Something went, or was found to be gone: trimmed, damaged, lost."""


class Store(Protocol):
    """An open store. Every method belongs to the event loop and leaves it free while it waits."""

    def follow(self, feed: Feed) -> None:
        """Tell ``feed`` from now on. Called once, before the first commit."""

    async def commit(self, batch: Batch) -> None:
        """Number the drafts and keep them, durably, and tell the feed. One call at a time.

        Within a batch ``received_at_ms`` may go back, where the clock was set back.
        Raises FullError or UnavailableError, after which nothing is changed and the same batch may be committed again.
        """

    async def read(self, after: int, selection: Selection, limit: int) -> Page | Gap:
        """Up to ``limit`` entries of ``selection`` after a position, or the gap that lies there.

        The page's position may lie before the head although it is empty: then read again from there. A store looks at a
        bounded number of entries for one page, and holds no file and no lock when it returns (law 6).
        """

    async def oldest_of(self, selection: Selection, count: int, end: int, wanted: Wanted, after: int) -> int | None:
        """The number of the oldest of the newest ``count`` entries up to ``end`` that count by ``wanted``.

        None when fewer are held above ``after``.
        """

    async def position_at(self, wall_ms: int) -> Place:
        """The position of the newest entry that arrived before that time, by the wall clock of its arrival."""

    async def trim(self) -> None:
        """Let go of what retention by age and bytes no longer keeps."""

    async def make_room(self) -> bool:
        """Let go of the oldest entries, in need; whether anything could be let go."""

    @property
    def commit_interval_s(self) -> float:
        """Seconds from one commit to the next, if nobody is in a hurry. Only the store knows what a commit costs."""

    def size(self) -> Size:
        """What it takes now, as of the newest commit."""

    async def close(self) -> None:
        """End. No other method may be called after it."""


class Opened(NamedTuple):
    """A store that was opened, and what was found: ``receipts`` are the newest, oldest first.

    ``damaged`` names what was found damaged and set aside.
    """

    store: Store
    span: Span
    recent: Recent
    receipts: bytes = b""
    damaged: Sequence[str] = ()
