"""What every store promises, as one machine: held on SQLite and on the store in memory, later on others.

The machine drives a store and remembers what it was told. It holds after each step that the feed told every entry once
and in order, that a walk of reads and gaps from any position gives exactly what was committed and is not told to be gone,
and that times and counts are found as a plain search finds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import hypothesis.strategies as st
import msgspec
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gateway.frame import entry_data
from gateway.log.store import RECEIPT_BYTES, Batch, Opened, Span
from gateway.reading import Draft, Entry, Gap, Wanted
from gateway.selection import Selection, select
from tests.clocks import StillClock

_T = TypeVar("_T")
DEVICES = ["a", "b", "kitchen/fridge", "kitchen/oven"]
SELECTIONS = [[], ["a"], ["a", "b"], ["kitchen/*"], ["b", "*oven"], ["nobody"]]
METRICS = ["x", "y", 'odd "name"']


class Home(Protocol):
    """Where a store is kept over its openings."""

    async def open(self, clock: StillClock, known_position: int) -> Opened:
        """Open it."""

    def crash(self) -> None:
        """All that was durable stays; what was open is gone without being closed."""

    def clean(self) -> None:
        """The test has ended."""


class Walk(NamedTuple):
    """What a reader was told from a position on, and the position reached."""

    told: list[Entry | Gap]
    end: int


class Told:
    """A feed that remembers what it was told; each call must agree with the one before."""

    def __init__(self, span: Span) -> None:
        self.span, self.entries, self.batches = span, list[Entry](), list[int | None]()

    def committed(self, entries: Sequence[Entry], span: Span, batch: int | None) -> None:
        assert all(entry.seq > self.span.head for entry in entries)
        assert [entry.seq for entry in entries] == sorted({entry.seq for entry in entries})
        self.changed(span)
        assert (entries[-1].seq if entries else span.head) == span.head
        self.entries += entries
        self.batches.append(batch)

    def changed(self, span: Span) -> None:
        assert span.floor >= self.span.floor
        assert span.head >= self.span.head
        assert list(span.holes) == sorted(span.holes)
        assert all(one.high < other.low for one, other in zip(span.holes, span.holes[1:], strict=False))
        self.span = span


class StoreSuite(RuleBasedStateMachine):
    """Subclass it with `home`, which makes a place for a store with small limits."""

    def home(self) -> Home:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = StillClock()
        self.place = self.home()
        self.committed: list[Entry] = []
        self.receipts = b""
        self.value = 0
        self.known_position = 0
        self.has_lost = False

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.run(self._open())

    async def _open(self) -> None:
        opened = await self.place.open(self.clock, self.known_position)
        self.store, self.told, self.batch = opened.store, Told(opened.span), 0
        self.store.follow(self.told)
        assert opened.span.head > max([0, *(entry.seq for entry in self.committed[-1:])])
        assert [e for e in self.committed if e.seq > opened.recent.after] == list(opened.recent.entries)
        assert opened.span.whole_from <= opened.recent.after
        newest = receipts_in(self.receipts)[-3:]
        assert newest == receipts_in(opened.receipts)[-len(newest) or None :]
        assert bool(self.receipts) == bool(opened.receipts)

    def _drafts(self, devices: list[int], metric: str, kind: str = "reading") -> list[Draft]:
        made = []
        for device in devices:
            self.value += 1
            self.clock.pass_s(0.25)
            name = DEVICES[device]
            data = msgspec.json.encode({"device": name, "at": self.clock.wall, "values": {metric: self.value}})
            made.append(Draft(kind, name, self.clock.wall, data))  # type: ignore[arg-type] # one of the kinds
        return made

    # --- what comes --------------------------------------------------------------------------------------------------

    @rule(
        devices=st.lists(st.integers(0, 3), max_size=8),
        metric=st.sampled_from(METRICS),
        kind=st.sampled_from(["reading", "reading", "device", "alert"]),
        receipts=st.integers(0, 3),
        again=st.booleans(),
    )
    def commit(self, devices: list[int], metric: str, kind: str, receipts: int, again: bool) -> None:
        self.batch += 1
        run = b"".join(b"%010d" % (self.value + n) for n in range(receipts))
        batch = Batch(self.batch, self._drafts(devices, metric, kind), run)
        before = len(self.told.entries)
        self.run(self.store.commit(batch))
        new = self.told.entries[before:]
        assert [(d.kind, d.device, d.received_at_ms, d.data) for d in batch.drafts] == [
            (e.kind, e.device, e.received_at_ms, entry_data(e)) for e in new
        ]
        self.committed += new
        self.receipts += run
        if again:
            # A commit whose answer was lost.
            self.run(self.store.commit(batch))
            assert new == self.told.entries[before:]

    @rule(devices=st.lists(st.integers(0, 3), min_size=1, max_size=4), readers=st.integers(1, 3))
    def commit_while_others_read(self, devices: list[int], readers: int) -> None:
        async def work() -> None:
            self.batch += 1
            batch = Batch(self.batch, self._drafts(devices, "x"))
            before, start = len(self.told.entries), self.told.span.floor
            reads = [self._walk(start, select([]), 3 + n) for n in range(readers)]
            _, *walks = await asyncio.gather(self.store.commit(batch), *reads)
            self.committed += self.told.entries[before:]
            for walk in walks:
                self._check_walk(start, select([]), walk)

        self.run(work())

    @rule(seconds=st.sampled_from([1, 60, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.pass_s(seconds)

    @rule(step_s=st.sampled_from([-864_000, -30, -2, 10, 864_000]))
    def the_wall_clock_steps(self, step_s: int) -> None:
        self.clock.wall += step_s * 1000

    # --- what goes ---------------------------------------------------------------------------------------------------

    @rule()
    def trim(self) -> None:
        self.run(self.store.trim())

    @rule()
    def make_room(self) -> None:
        before = self.told.span.floor
        assert self.run(self.store.make_room()) == (self.told.span.floor > before)

    @rule(crashes=st.booleans(), knows_more=st.integers(0, 3))
    def open_again(self, crashes: bool, knows_more: int) -> None:
        if crashes:
            self.place.crash()
        self.has_lost = self.has_lost or knows_more == 3
        self.run(self.store.close())
        # Positions told elsewhere lie at the head, or, where this store has lost something, above it.
        self.known_position = self.told.span.head + (knows_more if knows_more == 3 else 0)
        if knows_more != 3:
            self.known_position = max([0, *(entry.seq for entry in self.committed)])
        self.run(self._open())

    # --- what is asked -----------------------------------------------------------------------------------------------

    @rule(
        patterns=st.sampled_from(SELECTIONS),
        limit=st.sampled_from([1, 2, 7, 500]),
        which=st.integers(-1, 10**6),
        beside=st.integers(-1, 1),
    )
    def walk(self, patterns: list[str], limit: int, which: int, beside: int) -> None:
        positions = [self.told.span.floor, *(entry.seq for entry in self.committed)]
        start = max(0, positions[which % len(positions)] + beside) if which >= 0 else 0
        selection = select(patterns)
        self._check_walk(start, selection, self.run(self._walk(start, selection, limit)))

    async def _walk(self, position: int, selection: Selection, limit: int) -> Walk:
        walk: list[Entry | Gap] = []
        while position != self.told.span.head:
            found = await self.store.read(position, selection, limit)
            if isinstance(found, Gap):
                walk.append(found)
                assert found.floor > position or found.reason == "ahead"
                position = found.floor
                continue
            assert position < found.position or found.entries == []
            walk += found.entries
            position = found.position
        return Walk(walk, position)

    def _check_walk(self, start: int, selection: Selection, walk: Walk) -> None:
        gaps = [each for each in walk.told if isinstance(each, Gap)]
        told = [each for each in walk.told if isinstance(each, Entry)]
        begun = min([start, *(gap.floor for gap in gaps if gap.reason == "ahead")])
        wanted = [e for e in self.committed if e.device in selection and begun < e.seq <= walk.end]
        held = [e for e in wanted if not any(g.asked < e.seq <= g.floor for g in gaps if g.reason != "ahead")]
        assert held == told

    @rule(patterns=st.sampled_from(SELECTIONS), count=st.integers(1, 9), metrics=st.sets(st.sampled_from(METRICS)))
    def oldest_of(self, patterns: list[str], count: int, metrics: set[str]) -> None:
        selection, wanted = select(patterns), Wanted("reading" if count % 2 else None, frozenset(metrics))
        fitting = [e.seq for e in self._held() if e.device in selection and counts(e, wanted)]
        expected = fitting[-count] if len(fitting) >= count else None
        found = self.run(self.store.oldest_of(selection, count, self.told.span.head, wanted, 0))
        assert expected == found

    @rule(seconds=st.integers(-5, 900_000))
    def position_at(self, seconds: int) -> None:
        wall_ms = self.clock.wall - seconds * 1000
        before = [e for e in self._held() if e.received_at_ms < wall_ms]
        gone = [e for e in self.committed if e.seq <= self.told.span.floor]
        is_whole = bool(before) or not gone or gone[-1].received_at_ms < wall_ms
        found = self.run(self.store.position_at(wall_ms))
        assert (before[-1].seq if before else self.told.span.floor) == found.position
        # What was lost before an opening arrived at a time that nobody knows: then it is not said to be held.
        may_be_unknown = self.has_lost and not before
        assert (is_whole == found.is_whole) or (may_be_unknown and not found.is_whole)

    def _held(self) -> list[Entry]:
        return [entry for entry in self.committed if entry.seq > self.told.span.floor]

    @rule()
    def size(self) -> None:
        assert self.store.size().segments >= 1

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.walk([], 5, -1, 0)
            self.run(self.store.close())
        self.runner.close()
        self.place.clean()


def receipts_in(run: bytes) -> list[bytes]:
    """Of equal ones the newest counts."""
    each = [run[at : at + RECEIPT_BYTES] for at in range(0, len(run), RECEIPT_BYTES)]
    return list(reversed(dict.fromkeys(reversed(each))))


def counts(entry: Entry, wanted: Wanted) -> bool:
    """Whether an entry counts, by the plainest means."""
    if wanted.kind is not None and entry.kind != wanted.kind:
        return False
    if not wanted.metrics or entry.kind != "reading":
        return True
    return bool(wanted.metrics & set(msgspec.json.decode(entry_data(entry))["values"]))
