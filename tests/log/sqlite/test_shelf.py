from __future__ import annotations

from pathlib import Path

import pytest

from gateway.log.sqlite.files import Facts, Seam
from gateway.log.sqlite.shelf import Shelf
from gateway.reading import Gap


def facts(first: int, last: int, *seams: Seam, size: int = 10, newest_ms: int = 0) -> Facts:
    return Facts(Path(str(first)), first, last, 0, newest_ms or last, seams or (Seam(first - 1, first),), size)


A, B, C = facts(100, 199), facts(200, 299), facts(300, 399)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf([A, B, C])


def gap(shelf: Shelf, position: int, head: int = 399) -> tuple[int, str] | None:
    found = shelf.span._replace(head=head).gap_at(position)
    assert found is None or (position, head) == (found.asked, found.head)
    return (found.floor, found.reason) if found else None


class TestFloorAndHead:
    def test_the_floor_is_where_the_oldest_begins(self, shelf: Shelf) -> None:
        assert [(99, "expired"), None, None] == [gap(shelf, 98), gap(shelf, 99), gap(shelf, 100)]

    def test_the_head_has_no_gap_and_what_is_above_it_has(self, shelf: Shelf) -> None:
        assert [None, (99, "ahead")] == [gap(shelf, 399), gap(shelf, 400)]

    def test_the_floor_of_an_opening_lies_before_its_seam(self) -> None:
        assert 50 == Shelf([facts(100, 199, Seam(50, 100))]).span.floor

    def test_removing_the_oldest_raises_the_floor_and_says_why(self, shelf: Shelf) -> None:
        shelf.remove(A, "corrupt")
        assert [(199, "corrupt"), None] == [gap(shelf, 100), gap(shelf, 199)]

    def test_the_only_segment_stays(self) -> None:
        shelf = Shelf([A])
        shelf.remove(A, "expired")
        assert [A] == shelf.segments

    def test_removing_what_is_not_held_changes_nothing(self, shelf: Shelf) -> None:
        shelf.remove(facts(7, 8), "corrupt")
        assert ([A, B, C], "expired") == (shelf.segments, shelf.span.floor_reason)


class TestHoles:
    def test_a_missing_middle_is_a_gap_for_all_who_come_to_it(self, shelf: Shelf) -> None:
        shelf.remove(B, "corrupt")
        positions = [198, 199, 200, 298, 299, 300]
        assert [None, *[(299, "corrupt")] * 3, None, None] == [gap(shelf, position) for position in positions]

    def test_neighbouring_holes_are_told_one_after_the_other(self) -> None:
        shelf = Shelf([A, C, facts(500, 599)])
        assert [(299, "corrupt"), (499, "corrupt"), None] == [
            gap(shelf, 199, 599),
            gap(shelf, 399, 599),
            gap(shelf, 499, 599),
        ]

    def test_a_segment_that_lost_its_end_leaves_a_hole(self) -> None:
        shelf = Shelf([facts(100, 150), B])
        assert [None, (199, "corrupt"), (199, "corrupt"), None] == [gap(shelf, p) for p in (149, 150, 198, 199)]

    def test_a_lost_newest_entry_is_a_hole_one_wide(self) -> None:
        assert (199, "corrupt") == gap(Shelf([facts(100, 198), B]), 198)


class TestSeams:
    def test_numbers_inside_a_seam_were_lost_and_its_ends_are_sound(self) -> None:
        shelf = Shelf([A, facts(300, 399, Seam(199, 300))])
        told = [gap(shelf, position) for position in (199, 200, 298, 299)]
        assert [None, (299, "lost"), (299, "lost"), None] == told

    def test_the_start_of_an_opening_without_entries_is_a_sound_position(self) -> None:
        shelf = Shelf([A, facts(500, 599, Seam(199, 300), Seam(299, 400), Seam(399, 500))])
        told = [gap(shelf, position, 599) for position in (199, 250, 299, 300, 399, 400, 499)]
        assert [None, (299, "lost"), None, (399, "lost"), None, (499, "lost"), None] == told

    def test_a_seam_that_does_not_join_is_told_to_who_stands_before_it(self) -> None:
        shelf = Shelf([A, facts(300, 399, Seam(299, 300))])
        assert [None, (299, "corrupt"), (299, "corrupt"), None] == [gap(shelf, p) for p in (198, 199, 298, 299)]

    def test_it_is_whole_from_its_newest_hole_on(self) -> None:
        lost, hole = facts(300, 399, Seam(199, 300)), facts(500, 599, Seam(499, 500))
        assert [99, 99, 499] == [Shelf(held).span.whole_from for held in ([A], [A, lost], [A, lost, hole])]

    def test_one_number_skipped_is_no_gap(self) -> None:
        assert [None, None] == [gap(Shelf([A, facts(201, 299, Seam(199, 201))]), p) for p in (199, 200)]

    def test_seams_told_twice_are_told_once(self) -> None:
        empty = facts(300, 299, Seam(199, 300))
        shelf = Shelf([A, empty, facts(400, 499, Seam(199, 300), Seam(299, 400))])
        assert [None, (299, "lost"), None, (399, "lost"), None] == [
            gap(shelf, p, 499) for p in (199, 200, 299, 300, 399)
        ]


class TestPut:
    def test_new_facts_replace_old_ones(self, shelf: Shelf) -> None:
        shelf.put(C._replace(last=450))
        assert (450, 3) == (shelf.newest.last, len(shelf.segments))

    def test_a_newer_segment_goes_to_the_end(self, shelf: Shelf) -> None:
        shelf.put(facts(400, 401))
        assert 400 == shelf.newest.first

    def test_what_was_set_aside_stays_away(self, shelf: Shelf) -> None:
        shelf.remove(B, "corrupt")
        shelf.put(B)
        assert [A, C] == shelf.segments

    def test_it_knows_what_it_holds_by_the_path(self, shelf: Shelf) -> None:
        assert [True, False] == [shelf.holds(B._replace(last=0)), shelf.holds(facts(1, 2))]


class TestLookups:
    @pytest.mark.parametrize(("position", "first"), [(0, 100), (99, 100), (198, 100), (199, 200), (399, None)])
    def test_the_next_segment_is_the_first_with_something_after_the_position(
        self, shelf: Shelf, position: int, first: int | None
    ) -> None:
        found = shelf.first_after(position)
        assert first == (found.first if found else None)

    def test_an_empty_newest_segment_is_reached_too(self) -> None:
        found = Shelf([A, facts(300, 299, Seam(199, 300))]).first_after(199)
        assert 300 == (found.first if found else None)

    def test_bytes_are_those_of_all(self, shelf: Shelf) -> None:
        assert 30 == shelf.bytes

    @pytest.mark.parametrize(
        ("max_bytes", "oldest_ms", "gone"),
        [(30, 0, []), (29, 0, [A]), (15, 0, [A, B]), (0, 0, [A, B]), (99, 199, []), (99, 200, [A]), (99, 999, [A, B])],
    )
    def test_retention_takes_from_the_old_end_and_never_the_newest(
        self, shelf: Shelf, max_bytes: int, oldest_ms: int, gone: list[Facts]
    ) -> None:
        assert gone == shelf.expired(max_bytes, oldest_ms, 10**6)

    @pytest.mark.parametrize(("oldest_ms", "gone"), [(199, []), (299, []), (300, [A, B])])
    def test_a_segment_that_ended_in_the_future_goes_with_the_next_whose_time_can_be_true(
        self, oldest_ms: int, gone: list[Facts]
    ) -> None:
        ahead = A._replace(last_received_at_ms=10**9)
        assert [ahead, B][: len(gone)] == Shelf([ahead, B, C, facts(400, 499)]).expired(99, oldest_ms, 10**6)


def test_a_gap_carries_what_the_wire_needs(shelf: Shelf) -> None:
    assert Gap(5, 99, 399, "expired") == shelf.span.gap_at(5)
