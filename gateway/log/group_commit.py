"""Group commit: what messages brought is gathered, committed together, and acknowledged after that.

A commit that fails is tried again until it succeeds: the batch waits, unacknowledged, and the broker holds what follows.
Lives on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from gateway.counters import Counters
from gateway.errors import LogError
from gateway.log.lull import Lull
from gateway.log.settings import LogSettings
from gateway.log.sqlite.faults import FullError
from gateway.reading import Draft

_log = logging.getLogger(__name__)

RETRY_S = (0.1, 0.5, 2.0, 5.0)
"""Pauses after failed commits; the last one repeats for as long as the disk does."""

SHORTEST_S = 0.02
"""Commits that a lull begins are no closer together, unless the interval is shorter: the default of `commit_interval_ms`."""

HURRY_MESSAGES, HURRY_S = 5, 0.005
"""So many messages do not wait for the interval when the last commit began so long ago: that wait was most of the latency of
a busy gateway. Only while nothing asks to spare the disk: an interval longer than `SHORTEST_S`, or a budget."""

HURRY_PART = 4
"""Such commits take one part in so many of the time at most, so on a slow card they are farther apart."""

WEIGHT = 0.1
"""How much the newest commit counts in the usual time of one."""

MAX_COMMIT_ENTRIES = 5_000
"""A batch ends with the message that reaches this; what waits behind it is the next one. To make it visible takes the
event loop about a microsecond an entry."""

MAX_WAITING_BYTES = 64 * 2**20
"""Data of waiting messages; reached only when messages are large, `max_waiting_messages` is the usual limit."""


class Deposit(NamedTuple):
    """What messages brought that came together: committed as a whole, and `committed` called after, on the event loop."""

    drafts: list[Draft]
    marks: bytes = b""
    committed: Callable[[], None] | None = None
    messages: int = 1


class Appender:
    """Calls ``commit`` with batches, one at a time; when the disk is full and ``make_room`` frees some, at once again.

    ``interval_s`` may be changed at any time. A lull begins a commit too, so that no broker waits out a long interval for
    its acknowledgements.
    """

    def __init__(
        self,
        settings: LogSettings,
        counters: Counters,
        commit: Callable[[list[Draft], bytes], Awaitable[None]],
        make_room: Callable[[], Awaitable[bool]],
    ) -> None:
        self._settings, self._counters, self._commit, self._make_room = settings, counters, commit, make_room
        self.on_room: Callable[[], None] = lambda: None
        self.failing = ""
        self._gathered: list[Deposit] = []
        self._gathered_bytes = 0
        self._gathered_messages = 0
        self._batch: list[Deposit] = []
        self._batch_messages = 0
        self._timer: asyncio.TimerHandle | None = None
        self.interval_s = settings.commit_interval_ms / 1000
        self._shortest_s = min(self.interval_s, SHORTEST_S)
        self._lull = Lull(self._shortest_s)
        self._began_s = -self.interval_s
        self._usual_s = 0.0
        self._was_full = False
        self.committing: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Messages that were appended but not committed yet."""
        return self._gathered_messages + self._batch_messages

    @property
    def is_full(self) -> bool:
        """Whether so much was gathered that ingest should stop reading from the broker."""
        too_many = self._gathered_messages >= self._settings.max_waiting_messages
        return too_many or self._gathered_bytes >= MAX_WAITING_BYTES

    def append(self, deposit: Deposit) -> None:
        """Never blocks. The commit begins ``interval_s`` after the one before, with enough messages, or with a lull.

        A few messages hurry it, and one that comes alone does not wait.
        """
        self._gathered.append(deposit)
        self._gathered_bytes += _size(deposit)
        self._gathered_messages += deposit.messages
        self._was_full = self._was_full or self.is_full
        self._lull.arrived(asyncio.get_running_loop().time())
        self._schedule()

    def _schedule(self) -> None:
        if self.committing is not None or not self._gathered:
            return
        if self._gathered_messages >= self._settings.commit_messages:
            self._begin()
            return
        loop = asyncio.get_running_loop()
        # Never earlier than now: an overdue timer, set anew with each message, would not run while messages keep coming.
        due_s = max(self._due_s(), loop.time())
        if self._timer is None or due_s < self._timer.when():
            self._stop_timer()
            self._timer = loop.call_at(due_s, self._look)

    def _due_s(self) -> float:
        """When the next commit begins, if nothing arrives until then."""
        interval_s = self.interval_s
        if self._gathered_messages >= HURRY_MESSAGES and self._may_hurry():
            return self._began_s + min(interval_s, max(HURRY_S, HURRY_PART * self._usual_s))
        return max(min(self._began_s + interval_s, self._lull.begins_s), self._began_s + self._shortest_s)

    def _may_hurry(self) -> bool:
        return self.interval_s <= SHORTEST_S and not self._settings.write_budget_bytes_per_day

    def _look(self) -> None:
        """The timer has run out. What arrived meanwhile may have put the lull off, and setting it each time would cost."""
        self._timer = None
        if self._due_s() > asyncio.get_running_loop().time():
            self._schedule()
        else:
            self._begin()

    def _begin(self) -> None:
        self._stop_timer()
        if self._gathered and self.committing is None:
            self._began_s = asyncio.get_running_loop().time()
            self._batch = self._take_batch()
            self.committing = asyncio.create_task(self._run(), name="commit")

    def _take_batch(self) -> list[Deposit]:
        entries = taken = 0
        for deposit in self._gathered:
            entries += len(deposit.drafts)
            taken += 1
            if entries >= MAX_COMMIT_ENTRIES:
                break
        batch, self._gathered = self._gathered[:taken], self._gathered[taken:]
        self._gathered_bytes -= sum(map(_size, batch))
        self._batch_messages = sum(deposit.messages for deposit in batch)
        self._gathered_messages -= self._batch_messages
        return batch

    async def _run(self) -> None:
        try:
            await self._commit_until_done()
        finally:
            # Also after a fault of our own, which asyncio reports: it must not hold up what follows.
            batch, self._batch, self._batch_messages, self.committing = self._batch, [], 0, None
        if not self._gathered:
            self._lull.acknowledged(asyncio.get_running_loop().time())
        self._schedule()
        for deposit in batch:
            if deposit.committed is not None:
                # Not called here: one that raises must not keep the others from being acknowledged.
                asyncio.get_running_loop().call_soon(deposit.committed)
        if self._was_full and not self.is_full:
            self._was_full = False
            self.on_room()

    async def _commit_until_done(self) -> None:
        drafts = [draft for deposit in self._batch for draft in deposit.drafts]
        marks = b"".join(deposit.marks for deposit in self._batch)
        began, tries, has_room = time.perf_counter(), 0, False
        while True:
            tried = time.perf_counter()
            try:
                await self._commit(drafts, marks)
            except LogError as error:
                self._tell(error)
                # Room that was of no use (a quota, another program took it) is not made again at once: a disk that stays
                # full would cost the whole history in a moment.
                has_room = not has_room and isinstance(error, FullError) and await self._make_room()
                if not has_room:
                    await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                    tries += 1
            else:
                break
        now = time.perf_counter()
        self._usual_s += WEIGHT * (now - tried - self._usual_s)
        self._counters.commit_seconds_total += now - began
        self._counters.commits_total += 1
        if self.failing:
            _log.warning("the log accepts entries again")
            self.failing = ""

    def _tell(self, error: LogError) -> None:
        self._counters.commit_failures_total += 1
        if not self.failing:
            _log.error("the log cannot be written, trying again: %s", error)
        self.failing = str(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def drain(self) -> None:
        """Commit what waits. Comes back without it while the disk refuses: it stays unacknowledged at the broker."""
        self._begin()
        while self.committing is not None and not self.failing:
            await asyncio.wait([self.committing], timeout=0.1)
            self._begin()

    async def close(self) -> None:
        """`drain`, then give up what the disk refuses."""
        await self.drain()
        self._stop_timer()
        if self.committing is not None:
            self.committing.cancel()
            await asyncio.wait([self.committing])


def _size(deposit: Deposit) -> int:
    return sum([len(draft.data) for draft in deposit.drafts])
