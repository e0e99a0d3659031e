from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.log import tail as tail_module
from gateway.log.tail import ENTRY_OVERHEAD_BYTES, MERGE_DEVICES, Tail
from gateway.reading import Entry, Page
from gateway.selection import ALL, select
from tests.log.parts import draft, numbered

NAMES = ["a", "b", "k/x", "k/y"]


def entries(count: int, first: int = 1, device: str = "a") -> list[Entry]:
    return [numbered(draft(n, device), first + n) for n in range(count)]


def size(entry: Entry) -> int:
    return len(entry.frame) + ENTRY_OVERHEAD_BYTES


class TestBound:
    def test_the_oldest_go_first_and_the_floor_follows(self) -> None:
        made = entries(5)
        tail = Tail(0, sum(map(size, made[2:])))
        tail.add(made)
        assert (2, 3, sum(map(size, made[2:]))) == (tail.floor, len(tail), tail.bytes)

    def test_an_entry_larger_than_the_bound_is_not_kept(self) -> None:
        tail = Tail(0, 10)
        tail.add(entries(1))
        assert (1, 0, 0, {}) == (tail.floor, len(tail), tail.bytes, tail._by_device)

    @given(st.lists(st.lists(st.sampled_from(NAMES), max_size=9), max_size=20), st.integers(0, 5000))
    def test_it_never_holds_more_than_its_bytes_and_counts_them_right(
        self, batches: list[list[str]], max_bytes: int
    ) -> None:
        tail, seq = Tail(0, max_bytes), 0
        for batch in batches:
            made = [numbered(draft(0, device), seq + n + 1) for n, device in enumerate(batch)]
            seq += len(made)
            tail.add(made)
            held = tail.read(tail.floor, ALL, 1000, seq).entries
            assert tail.bytes == sum(map(size, held)) <= max_bytes
            assert {entry.device for entry in held} == set(tail._by_device)
            assert list(range(tail.floor + 1, seq + 1)) == [entry.seq for entry in held]

    def test_what_was_dropped_is_not_kept_alive(self) -> None:
        made = entries(60)
        frames = [entry.frame for entry in made]
        tail = Tail(0, size(made[-1]))
        tail.add(made)
        del made
        held_by_tail = [sys.getrefcount(frame) - sys.getrefcount(object()) - 1 for frame in frames]
        assert [0] * 59 == [count - held_by_tail[0] for count in held_by_tail[:59]]
        assert held_by_tail[59] > held_by_tail[0]

    def test_many_more_entries_than_fit_leave_a_short_list(self) -> None:
        tail = Tail(0, 20 * 500)
        for n in range(2000):
            tail.add(entries(1, n + 1))
        assert len(tail._all.entries) < 200


class TestRead:
    @given(
        devices=st.lists(st.sampled_from(NAMES), max_size=40),
        patterns=st.lists(st.sampled_from([*NAMES, "k/*", "*", "zz"]), max_size=4),
        also=st.lists(st.sampled_from([*NAMES, "k/*", "*x", "zz"]), max_size=3),
        after=st.integers(0, 45),
        limit=st.integers(1, 9),
        max_bytes=st.sampled_from([1500, 10**6]),
    )
    def test_any_page_is_what_a_naive_filter_gives(
        self, devices: list[str], patterns: list[str], also: list[str], after: int, limit: int, max_bytes: int
    ) -> None:
        made = [numbered(draft(n, device), n + 1) for n, device in enumerate(devices)]
        head, tail, selection = len(made), Tail(0, max_bytes), select(patterns) & select(also)
        tail.add(made)
        after = max(min(after, head), tail.floor_of(selection))
        wanted = [entry for entry in made if entry.seq > after and entry.device in selection][:limit]
        expected = Page(wanted, wanted[-1].seq if len(wanted) == limit else max(head, after))
        assert expected == tail.read(after, selection, limit, head)

    def test_a_quiet_device_is_held_further_back_than_others(self) -> None:
        tail = Tail(5, size(entries(1, 16)[0]))
        tail.add([*entries(1, 6, "b"), *entries(10, 7, "a")])
        floors = [tail.floor_of(select(names)) for names in (["nobody"], ["b"], ["a"], ["a", "b"], ["n*"], [])]
        assert [5, 6, 15, 15, 15, 15] == floors
        assert Page([], 16) == tail.read(5, select(["nobody"]), 10, 16)

    def test_many_named_devices_are_looked_for_in_one_pass(self) -> None:
        tail = Tail(0, 10**6)
        tail.add([numbered(draft(n, f"d{n}"), n + 1) for n in range(2 * MERGE_DEVICES)])
        selection = select([f"d{n}" for n in range(MERGE_DEVICES + 1)])
        assert MERGE_DEVICES + 1 == len(tail.read(0, selection, 100, 2 * MERGE_DEVICES).entries)

    def test_a_long_search_ends_before_the_head_and_says_where(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tail_module, "SCAN_ENTRIES", 4)
        tail = Tail(0, 10**6)
        tail.add([*entries(5), *entries(1, 6, "b")])
        selection = select(["b*"])
        assert Page([], 4) == tail.read(0, selection, 10, 6)
        assert [6] == [entry.seq for entry in tail.read(4, selection, 10, 6).entries]

    def test_at_the_head_there_is_nothing(self) -> None:
        tail = Tail(7, 100)
        assert Page([], 7) == tail.read(7, ALL, 10, 7)

    def test_what_nobody_may_see_is_as_a_device_that_is_not_there(self) -> None:
        nothing, not_there = select(["a"]) & select(["b"]), select(["nobody"])
        tail = Tail(5, size(entries(1, 16)[0]))
        tail.add([*entries(1, 6, "b"), *entries(10, 7, "a")])
        assert tail.floor_of(not_there) == tail.floor_of(nothing)
        assert Page([], 16) == tail.read(5, not_there, 10, 16) == tail.read(5, nothing, 10, 16)
