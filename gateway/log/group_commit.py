"""Group commit: what messages brought is gathered, committed together, and acknowledged after that.

When a commit begins, the first of these times decides:

* the interval after the last commit began: `log.commit_interval_ms`, or more where a budget lengthened it,
* at once with `FULL_MESSAGES`, so that a flood does not gather for a whole interval,
* `EARLY_S` after the last commit began with `EARLY_MESSAGES`, where nothing asks to spare the disk,
* the time that somebody gave to `GroupCommit.hurry`, because a broker waits for its acknowledgements.

A commit that fails is tried again until it succeeds: the batch waits, unacknowledged, and the broker holds what follows.
Lives on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from gateway.config import LogSection
from gateway.counters import Counters
from gateway.errors import LogError
from gateway.log.store import Batch, FullError
from gateway.reading import Draft

_log = logging.getLogger(__name__)

RETRY_S = (0.1, 0.5, 2.0, 5.0)
"""Pauses after failed commits; the last one repeats until the disk accepts the batch."""

SHORTEST_S = 0.02
"""A hurried commit begins no sooner than this after the last one, or than the interval where that is shorter: the default of
`log.commit_interval_ms`."""

FULL_MESSAGES = 500
"""Messages that begin a commit at once, whatever the interval: larger batches cost hardly less a message."""

EARLY_MESSAGES, EARLY_S = 5, 0.005
"""With `EARLY_MESSAGES` waiting, a commit begins `EARLY_S` after the last one began: to wait for the interval was most of the
latency of a busy gateway. Not where the disk is to be spared: with an interval above `SHORTEST_S`, or a budget."""

EARLY_PART = 4
"""An early commit begins no sooner than this number of usual durations of a commit after the last one began, so on a slow
card early commits are farther apart."""

WEIGHT = 0.1
"""How much the newest commit counts in the usual duration of one."""

MAX_COMMIT_ENTRIES = 5_000
"""A batch ends with the message that reaches this; what waits behind it is the next batch. To make a batch visible takes the
event loop about a microsecond an entry."""

MAX_WAITING_BYTES = 64 * 2**20
"""Bytes of waiting entries; reached only when messages are large, `log.max_waiting_messages` is the usual limit."""

_NEVER = float("inf")


class Deposit(NamedTuple):
    """What messages brought that came together: committed as a whole, and ``committed`` called after, on the event loop.

    ``receipts`` are stored in the same transaction. ``messages`` is the number of messages, for the limits.
    """

    drafts: list[Draft]
    receipts: bytes = b""
    committed: Callable[[], object] | None = None
    messages: int = 1


class GroupCommit:
    """Calls ``commit`` with batches, one at a time; when the disk is full and ``make_room`` frees some, at once again."""

    def __init__(
        self,
        settings: LogSection,
        counters: Counters,
        commit: Callable[[Batch], Awaitable[None]],
        make_room: Callable[[], Awaitable[bool]],
    ) -> None:
        self._settings, self._counters, self._commit, self._make_room = settings, counters, commit, make_room
        self._room_listeners: list[Callable[[], object]] = []
        self._failing = ""
        self._gathered: list[Deposit] = []
        self._gathered_bytes = 0
        self._gathered_messages = 0
        self._batch: list[Deposit] = []
        self._batch_messages = self._batch_id = 0
        self._timer: asyncio.TimerHandle | None = None
        self._interval_s = settings.commit_interval_ms / 1000
        self._shortest_s = min(self._interval_s, SHORTEST_S)
        self._hurry_s = _NEVER
        self._began_s = -self._interval_s
        self._usual_s = 0.0
        self._was_full = False
        self._committing: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Messages that were appended but not committed yet."""
        return self._gathered_messages + self._batch_messages

    @property
    def is_full(self) -> bool:
        """Whether `log.max_waiting_messages` or `MAX_WAITING_BYTES` wait, so that nobody should append more for now."""
        too_many = self._gathered_messages >= self._settings.max_waiting_messages
        return too_many or self._gathered_bytes >= MAX_WAITING_BYTES

    @property
    def failing(self) -> str:
        """Why commits fail now; empty while they do not."""
        return self._failing

    @property
    def interval_s(self) -> float:
        """Seconds between the beginnings of two commits, where nothing makes the second one begin sooner."""
        return self._interval_s

    def set_interval(self, interval_s: float) -> None:
        """From now on commits are ``interval_s`` seconds apart, as the store tells after each commit."""
        self._interval_s = interval_s

    def on_room(self, call: Callable[[], object]) -> None:
        """Have ``call`` called whenever `is_full` was true and has become false."""
        self._room_listeners.append(call)

    # --- when a commit begins ----------------------------------------------------------------------------------------

    def append(self, deposit: Deposit) -> None:
        """Add what messages brought to the next commit. Never blocks; one that comes alone does not wait."""
        self._gathered.append(deposit)
        self._gathered_bytes += _size(deposit)
        self._gathered_messages += deposit.messages
        self._was_full = self._was_full or self.is_full
        self._schedule()

    def hurry(self, by_s: float) -> None:
        """A commit of what waits should begin by this loop time, in seconds; the newest call counts.

        0 means at once, even sooner than `SHORTEST_S` after the last commit, unless one is running.
        """
        if not by_s:
            self._begin()
        elif self._gathered:
            self._hurry_s = by_s
            self._schedule()

    def _schedule(self) -> None:
        if self._committing is not None or not self._gathered:
            return
        if self._gathered_messages >= FULL_MESSAGES:
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
        interval_s = self._interval_s
        if self._gathered_messages >= EARLY_MESSAGES and self._may_be_early():
            return self._began_s + min(interval_s, max(EARLY_S, EARLY_PART * self._usual_s))
        return max(min(self._began_s + interval_s, self._hurry_s), self._began_s + self._shortest_s)

    def _may_be_early(self) -> bool:
        return self._interval_s <= SHORTEST_S and not self._settings.write_budget_bytes_per_day

    def _look(self) -> None:
        """The timer has run out. What came meanwhile may have put the time off: to set a timer for each would cost more."""
        self._timer = None
        if self._due_s() > asyncio.get_running_loop().time():
            self._schedule()
        else:
            self._begin()

    # --- the commit --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._stop_timer()
        if self._gathered and self._committing is None:
            self._began_s = asyncio.get_running_loop().time()
            self._batch = self._next_batch()
            self._committing = asyncio.create_task(self._run(), name="commit")

    def _next_batch(self) -> list[Deposit]:
        entries = count = 0
        for deposit in self._gathered:
            entries += len(deposit.drafts)
            count += 1
            if entries >= MAX_COMMIT_ENTRIES:
                break
        batch, self._gathered = self._gathered[:count], self._gathered[count:]
        self._gathered_bytes -= sum(map(_size, batch))
        self._batch_messages = sum(deposit.messages for deposit in batch)
        self._gathered_messages -= self._batch_messages
        if not self._gathered:
            self._hurry_s = _NEVER
        return batch

    async def _run(self) -> None:
        try:
            await self._commit_until_done()
        finally:
            # Also after a fault of our own, which asyncio reports: it must not hold up what follows.
            batch, self._batch, self._batch_messages, self._committing = self._batch, [], 0, None
        self._schedule()
        for deposit in batch:
            if deposit.committed is not None:
                # Not called here: one that raises must not keep the others from being acknowledged.
                asyncio.get_running_loop().call_soon(deposit.committed)
        if self._was_full and not self.is_full:
            self._was_full = False
            for call in self._room_listeners:
                call()

    async def _commit_until_done(self) -> None:
        batch = self._made_batch()
        began, tries, has_room = time.perf_counter(), 0, False
        while True:
            tried = time.perf_counter()
            try:
                await self._commit(batch)
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
        if self._failing:
            _log.warning("the log accepts entries again")
            self._failing = ""

    def _made_batch(self) -> Batch:
        """What the store gets; the same one again when a commit fails, as the store may have taken it."""
        self._batch_id += 1
        drafts = [draft for deposit in self._batch for draft in deposit.drafts]
        return Batch(self._batch_id, drafts, b"".join(deposit.receipts for deposit in self._batch))

    def _tell(self, error: LogError) -> None:
        self._counters.commit_failures_total += 1
        if not self._failing:
            _log.error("the log cannot be written, trying again: %s", error)
        self._failing = str(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- the end -----------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Commit what waits. Comes back without it while the disk refuses: it stays unacknowledged at the broker."""
        self._begin()
        while self._committing is not None and not self._failing:
            await asyncio.wait([self._committing], timeout=0.1)
            self._begin()

    async def close(self) -> None:
        """`drain`, then give up what the disk refuses."""
        await self.drain()
        self._stop_timer()
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.wait([self._committing])


def _size(deposit: Deposit) -> int:
    return sum([len(draft.data) for draft in deposit.drafts])
