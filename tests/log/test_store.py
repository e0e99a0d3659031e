"""The conformance suite on the store in memory, and what a log makes of entries that somebody else committed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from gateway.config import LogSection
from gateway.counters import Counters
from gateway.log import Deposit, Log
from gateway.log.store import Batch, Hole, Opened, Span, UnavailableError
from gateway.reading import Entry, Gap
from gateway.selection import ALL, select
from tests.clocks import StillClock
from tests.log.memory_store import Disk, MemoryStore, open_memory
from tests.log.parts import draft, read_all, seqs, until
from tests.log.store_suite import Home, StoreSuite


class InMemory:
    """The disk of a store in memory; nothing of it is lost in a crash."""

    def __init__(self) -> None:
        self.disk = Disk()

    async def open(self, clock: StillClock, known_position: int) -> Opened:
        return open_memory(self.disk, 20, clock, known_position)

    def crash(self) -> None: ...

    def clean(self) -> None: ...


class OnMemory(StoreSuite):
    def home(self) -> Home:
        return InMemory()


TestMemoryStore = OnMemory.TestCase
TestMemoryStore.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def disk() -> Disk:
    return Disk()


def log_on(disk: Disk, known_position: int = 0) -> Log:
    return Log(open_memory(disk, 1000, StillClock(), known_position), LogSection(commit_interval_ms=1), Counters())


class TestALogOnAnotherStore:
    async def test_entries_of_another_node_are_visible_and_wake(self, disk: Disk) -> None:
        log = log_on(disk)
        start, woken, heard = log.head, list[int](), list[tuple[int, int]]()
        log.watch(select(["b"]), lambda: woken.append(log.head))
        log.listeners.append(lambda entries, drafts: heard.append((len(entries), len(drafts))))
        store = log._store
        assert isinstance(store, MemoryStore)
        store.commit_of_another_node(Batch(7, [draft(1, "b"), draft(2, "b")]))
        log.append(Deposit([draft(3, "b")]))
        await log.commits.drain()
        store.commit_of_another_node(Batch(1, [draft(4, "b")]))
        assert ([start + 2, start + 3, start + 4], [(2, 0), (1, 1), (1, 0)]) == (woken, heard)
        assert [start + 1, start + 2, start + 3, start + 4] == seqs(await read_all(log, start))
        await log.close()

    async def test_a_batch_whose_answer_was_lost_is_logged_once(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, calls = log_on(disk), list[int]()
        store = log._store
        commit = store.commit

        async def loses_its_first_answer(batch: Batch) -> None:
            await commit(batch)
            calls.append(batch.id)
            if len(calls) == 1:
                raise UnavailableError("the answer was lost")

        monkeypatch.setattr(store, "commit", loses_its_first_answer)
        acknowledged: list[int] = []
        log.append(Deposit([draft(1)], b"", lambda: acknowledged.append(log.head)))
        await until(lambda: acknowledged)
        assert ([1, 1], 1, [log.head]) == (calls, len(disk.entries), acknowledged)
        await log.close()

    async def test_what_another_node_trims_is_a_gap_at_once(self, disk: Disk) -> None:
        log = log_on(disk)
        start = log.head
        for n in range(10):
            log.append(Deposit([draft(n)]))
        await log.commits.drain()
        await log._store._remove(8)  # type: ignore[attr-defined] # another node trims the same disk
        assert Gap(start, start + 8, log.head, "expired") == await log.read(start, ALL, 10)
        assert None is log.read_tail(start, ALL, 10)
        await log.close()

    async def test_a_log_opened_again_begins_with_what_is_held(self, disk: Disk) -> None:
        log = log_on(disk)
        log.append(Deposit([draft(1)], b"0123456789"))
        await log.close()
        opened = open_memory(disk, 1000, StillClock())
        assert b"0123456789" == opened.receipts
        log = Log(opened, LogSection(), Counters())
        (entry,) = await read_all(log, disk.floor)
        assert isinstance(entry, Entry)
        assert b'"x":1' in entry.frame
        await log.close()


class TestSpan:
    SPAN = Span(100, 500, "corrupt", (Hole(200, 250, "corrupt"), Hole(301, 399, "lost")))

    @pytest.mark.parametrize(
        ("position", "told"),
        [
            (99, (100, "corrupt")), (100, None), (199, None), (200, (251, "corrupt")), (250, (251, "corrupt")), (251, None),
            (301, (400, "lost")), (399, (400, "lost")), (400, None), (500, None), (501, (100, "ahead")),
        ],
    )  # fmt: skip
    def test_a_position_is_told_what_it_misses(self, position: int, told: tuple[int, str] | None) -> None:
        gap = self.SPAN.gap_at(position)
        assert told == ((gap.floor, gap.reason) if gap else None)

    def test_it_is_whole_from_the_newest_hole_that_hides_entries(self) -> None:
        assert [251, 100] == [self.SPAN.whole_from, self.SPAN._replace(holes=()).whole_from]
