from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from gateway.config import LogSection
from gateway.counters import Counters
from gateway.errors import LogError
from gateway.log import group_commit
from gateway.log.group_commit import Deposit, GroupCommit
from gateway.log.store import Batch, FullError
from gateway.reading import Draft
from tests.log.parts import draft, until


class Disk:
    """Where batches are committed to: accepts them, is slow or refuses as told, and makes room when it can."""

    def __init__(self, **settings: Any) -> None:
        self.batches: list[list[Draft]] = []
        self.receipts: list[bytes] = []
        self.ids: list[int] = []
        self.refusals: list[Exception] = []
        self.room = 0
        self.takes_s = 0.0
        self.gate = asyncio.Event()
        self.gate.set()
        self.counters = Counters()
        self.commits = GroupCommit(LogSection(**settings), self.counters, self.commit, self.make_room)

    async def commit(self, batch: Batch) -> None:
        self.ids.append(batch.id)
        await self.gate.wait()
        await asyncio.sleep(self.takes_s)
        if self.refusals:
            raise self.refusals.pop(0)
        self.batches.append(list(batch.drafts))
        self.receipts.append(batch.receipts)

    async def first_commit(self) -> None:
        """After it the interval counts: what comes alone is committed at once."""
        self.commits.append(Deposit([draft()]))
        await self.commits.drain()

    async def make_room(self) -> bool:
        self.room -= 1
        return self.room >= 0


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "RETRY_S", (0.001, 0.002))


async def test_what_comes_within_the_interval_is_one_commit() -> None:
    disk = Disk(commit_interval_ms=5)
    for n in range(3):
        disk.commits.append(Deposit([draft(n, at=1)], b"%d" % n))
    assert 3 == disk.commits.waiting
    await until(lambda: not disk.commits.waiting)
    assert ([[draft(n, at=1) for n in range(3)]], [b"012"]) == (disk.batches, disk.receipts)


async def test_enough_messages_do_not_wait_for_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "FULL_MESSAGES", 2)
    disk = Disk(commit_interval_ms=60_000)
    disk.commits.append(Deposit([draft()]))
    disk.commits.append(Deposit([draft()]))
    await until(lambda: disk.batches)
    disk.commits.append(Deposit([draft()]))
    await asyncio.sleep(0.01)
    assert (1, 1) == (len(disk.batches), disk.commits.waiting)
    await disk.commits.close()


@pytest.fixture
def hurrying(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval of a minute counts as short, so what does not hurry waits for good."""
    monkeypatch.setattr(group_commit, "SHORTEST_S", 60.0)
    monkeypatch.setattr(group_commit, "EARLY_S", 0.001)


@pytest.mark.usefixtures("hurrying")
async def test_a_few_messages_do_not_wait_for_a_short_interval() -> None:
    disk = Disk(commit_interval_ms=60_000)
    await disk.first_commit()
    for _ in range(group_commit.EARLY_MESSAGES - 1):
        disk.commits.append(Deposit([draft()]))
    await asyncio.sleep(0.02)
    assert 1 == len(disk.batches)
    disk.commits.append(Deposit([draft()]))
    await until(lambda: not disk.commits.waiting)
    assert [1, group_commit.EARLY_MESSAGES] == [len(batch) for batch in disk.batches]


@pytest.mark.usefixtures("hurrying")
@pytest.mark.parametrize("spared", ["a budget", "a long interval", "slow commits"])
async def test_they_wait_where_the_disk_is_to_be_spared(monkeypatch: pytest.MonkeyPatch, spared: str) -> None:
    if spared == "slow commits":
        monkeypatch.setattr(group_commit, "EARLY_PART", 1e9)
    disk = Disk(
        commit_interval_ms=60_001 if spared == "a long interval" else 60_000,
        write_budget_bytes_per_day=1 if spared == "a budget" else 0,
    )
    await disk.first_commit()
    for _ in range(20):
        disk.commits.append(Deposit([draft()]))
    await asyncio.sleep(0.02)
    assert (1, 20) == (len(disk.batches), disk.commits.waiting)
    await disk.commits.close()


async def test_messages_that_come_in_each_round_of_the_loop_do_not_put_a_commit_off() -> None:
    disk, loop = Disk(commit_interval_ms=20), asyncio.get_running_loop()
    # Longer than the interval: the next commit is overdue when one ends.
    disk.takes_s = 0.03
    end_s = loop.time() + 0.5

    def keep_coming() -> None:
        disk.commits.append(Deposit([draft()]))
        time.sleep(0.001)
        if loop.time() < end_s and len(disk.batches) < 4:
            loop.call_soon(keep_coming)

    keep_coming()
    await until(lambda: len(disk.batches) >= 4 or loop.time() > end_s)
    assert 4 == len(disk.batches)
    await disk.commits.close()


async def test_a_hurried_commit_begins_long_before_a_long_interval_ends() -> None:
    disk, loop = Disk(commit_interval_ms=60_000), asyncio.get_running_loop()
    await disk.first_commit()
    for n in range(20):
        disk.commits.append(Deposit([draft(n)]))
        disk.commits.hurry(loop.time() + 0.03)
        await asyncio.sleep(0.001)
    assert 20 == disk.commits.waiting, "each call put it off"
    await until(lambda: not disk.commits.waiting)
    assert [1, 20] == [len(batch) for batch in disk.batches]


async def test_what_nobody_hurries_waits_for_the_interval() -> None:
    disk = Disk(commit_interval_ms=60_000)
    await disk.first_commit()
    for _ in range(20):
        disk.commits.append(Deposit([draft()]))
        await asyncio.sleep(0.002)
    assert (1, 20) == (len(disk.batches), disk.commits.waiting)
    await disk.commits.drain()
    assert [1, 20] == [len(batch) for batch in disk.batches]


async def test_hurried_commits_are_not_too_close_together_unless_it_is_to_be_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "SHORTEST_S", 60.0)
    disk, loop = Disk(commit_interval_ms=60_000), asyncio.get_running_loop()
    disk.commits.set_interval(120)
    await disk.first_commit()
    disk.commits.append(Deposit([draft()]))
    disk.commits.hurry(loop.time())
    await asyncio.sleep(0.02)
    assert 1 == disk.commits.waiting
    disk.commits.hurry(0)
    await until(lambda: not disk.commits.waiting)


async def test_a_hurry_counts_for_what_waits_and_for_nothing_that_comes_later() -> None:
    disk, loop = Disk(commit_interval_ms=60_000), asyncio.get_running_loop()
    await disk.first_commit()
    disk.commits.hurry(loop.time())
    disk.commits.hurry(0)
    disk.commits.append(Deposit([draft()]))
    disk.commits.hurry(loop.time() + 10)
    await disk.commits.drain()
    disk.commits.append(Deposit([draft()]))
    await asyncio.sleep(0.05)
    assert (2, 1) == (len(disk.batches), disk.commits.waiting)
    await disk.commits.close()


async def test_a_shorter_interval_counts_from_the_next_message_on() -> None:
    disk = Disk(commit_interval_ms=60_000)
    await disk.first_commit()
    disk.commits.set_interval(0.001)
    assert 0.001 == disk.commits.interval_s
    disk.commits.append(Deposit([draft()]))
    await until(lambda: len(disk.batches) == 2)


async def test_one_commit_runs_at_a_time_and_the_rest_goes_together() -> None:
    disk = Disk()
    disk.gate.clear()
    for n in range(4):
        disk.commits.append(Deposit([draft(n)]))
        disk.commits.hurry(0)
    disk.gate.set()
    await until(lambda: not disk.commits.waiting)
    assert [1, 3] == [len(batch) for batch in disk.batches]


async def test_messages_are_acknowledged_in_order_after_their_commit() -> None:
    disk = Disk()
    acknowledged: list[tuple[int, int]] = []
    for n in range(3):
        disk.commits.append(Deposit([], b"", lambda n=n: acknowledged.append((n, len(disk.batches)))))
    await disk.commits.drain()
    assert [(0, 1), (1, 1), (2, 1)] == acknowledged


async def test_a_message_whose_commit_failed_is_acknowledged_after_the_one_that_did_not() -> None:
    disk = Disk()
    disk.refusals = [LogError("no"), LogError("no"), LogError("no")]
    acknowledged: list[int] = []
    disk.commits.append(Deposit([draft()], b"", lambda: acknowledged.append(len(disk.refusals))))
    await until(lambda: disk.commits.failing)
    assert [] == acknowledged
    await until(lambda: acknowledged)
    assert ([0], 3, 1, "") == (
        acknowledged,
        disk.counters.commit_failures_total,
        disk.counters.commits_total,
        disk.commits.failing,
    )


async def test_a_full_disk_that_made_room_is_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "RETRY_S", (60.0,))
    disk = Disk()
    disk.refusals, disk.room = [FullError("full")], 2
    disk.commits.append(Deposit([draft()]))
    await until(lambda: disk.batches)
    assert 1 == disk.room


async def test_a_disk_that_stays_full_costs_a_segment_at_each_try_and_not_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "RETRY_S", (0.05, 60.0))
    disk = Disk()
    disk.refusals, disk.room = [FullError("full")] * 100, 50
    disk.commits.append(Deposit([draft()]))
    await until(lambda: disk.room == 48)
    await asyncio.sleep(0.1)
    assert 48 == disk.room


async def test_a_failure_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    disk.refusals = [LogError("the reason")] * 5
    disk.commits.append(Deposit([draft()]))
    await until(lambda: disk.batches)
    assert ["the log cannot be written, trying again: the reason", "the log accepts entries again"] == caplog.messages


async def test_it_is_full_by_messages_and_tells_when_there_is_room() -> None:
    disk = Disk(max_waiting_messages=3)
    told: list[int] = []
    disk.commits.on_room(lambda: told.append(disk.commits.waiting))
    disk.gate.clear()
    disk.commits.append(Deposit([draft()]))
    disk.commits.hurry(0)
    for _ in range(3):
        assert not disk.commits.is_full
        disk.commits.append(Deposit([draft()]))
    assert disk.commits.is_full
    disk.gate.set()
    await until(lambda: told)
    assert not disk.commits.is_full
    await disk.commits.drain()
    assert 1 == len(told)


async def test_it_is_full_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING_BYTES", 100)
    disk = Disk()
    disk.commits.append(Deposit([Draft("reading", "a", 1, b"-" * 99)]))
    assert not disk.commits.is_full
    disk.commits.append(Deposit([Draft("reading", "a", 1, b"-")]))
    assert disk.commits.is_full
    await disk.commits.drain()
    assert (False, 0) == (disk.commits.is_full, disk.commits._gathered_bytes)


async def test_a_batch_ends_with_the_message_that_makes_it_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_COMMIT_ENTRIES", 4)
    disk = Disk()
    for count in (3, 3, 1, 9, 1):
        disk.commits.append(Deposit([draft()] * count))
    await disk.commits.drain()
    assert [6, 10, 1] == [len(batch) for batch in disk.batches]


async def test_a_fault_of_our_own_is_reported_and_does_not_hold_up_what_follows() -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    disk = Disk()
    disk.refusals = [RuntimeError("ours")]
    disk.commits.append(Deposit([draft()]))
    await disk.commits.drain()
    disk.commits.append(Deposit([draft()]))
    await disk.commits.drain()
    assert (["ours"], 1) == ([str(error) for error in told], len(disk.batches))


async def test_draining_comes_back_while_the_disk_refuses() -> None:
    disk = Disk()
    disk.refusals = [LogError("no")] * 10_000
    disk.commits.append(Deposit([draft()]))
    async with asyncio.timeout(1):
        await disk.commits.drain()
        assert 1 == disk.commits.waiting
        await disk.commits.close()
    assert [] == disk.batches


async def test_draining_commits_what_came_while_it_committed() -> None:
    disk = Disk()
    disk.commits.append(Deposit([draft()], b"", lambda: disk.commits.append(Deposit([draft()]))))
    await disk.commits.drain()
    assert (2, 0) == (len(disk.batches), disk.commits.waiting)
