from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.log.sqlite import query
from gateway.log.sqlite.faults import DamagedError
from gateway.log.sqlite.files import Seam, path_of
from gateway.log.sqlite.segment import OpenSegment
from gateway.log.store import UnavailableError
from gateway.reading import Draft, Entry, Kind, Wanted
from gateway.selection import ALL, Selection, select
from tests.log.parts import FIRST, HARM, draft, drafts_of, entries, numbered
from tests.log.sqlite.parts import open_segment

ODD_NAMES = ["x", "a b", 'quo"te', "back\\slash", "$", "$.values", "a.b", "values", "at", "é", "\U0001f321", "[0]"]
METRICS = st.sampled_from(ODD_NAMES) | st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=5
)
"""What a metric may be called: any text that can be printed."""

KINDS = st.sampled_from(get_args(Kind))
PATTERNS = st.frozensets(st.text("ab*/", max_size=4), max_size=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return path_of(tmp_path, FIRST)


def make(path: Path, made: list[Entry]) -> None:
    opened = open_segment(path)
    for entry in made:
        opened.append(entry.seq, drafts_of([entry]), b"")
    opened.close()


def append(opened: OpenSegment, made: list[Entry], receipts: bytes = b"") -> None:
    opened.append(made[0].seq, drafts_of(made), receipts)


def read_seqs(path: Path, after: int, until: int, patterns: list[str], limit: int) -> tuple[list[int], int]:
    found = query.read(path, after, until, select(patterns), limit)
    return [entry.seq for entry in found.entries], found.position


class TestRead:
    def test_what_was_appended_is_read_byte_for_byte(self, path: Path) -> None:
        make(path, made := entries(3))
        assert (made, FIRST + 2, 0) == query.read(path, 0, FIRST + 2, ALL, 10)

    def test_a_full_page_ends_at_its_last_entry(self, path: Path) -> None:
        make(path, entries(5))
        assert ([FIRST, FIRST + 1], FIRST + 1) == read_seqs(path, 0, FIRST + 4, [], 2)

    def test_a_page_without_entries_of_the_selection_reaches_the_end(self, path: Path) -> None:
        make(path, entries(5))
        assert ([], FIRST + 4) == read_seqs(path, 0, FIRST + 4, ["b"], 2)

    def test_nothing_beyond_the_given_end_is_read(self, path: Path) -> None:
        make(path, entries(5))
        assert ([FIRST, FIRST + 1, FIRST + 2], FIRST + 2) == read_seqs(path, 0, FIRST + 2, [], 10)

    def test_the_open_segment_can_be_read(self, path: Path) -> None:
        opened = open_segment(path)
        opened.append(FIRST, drafts_of(made := entries(3)), b"")
        assert (made, FIRST + 2, 0) == query.read(path, 0, FIRST + 2, ALL, 10)
        opened.close()

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        devices=st.lists(st.sampled_from(["a", "b", "k/x", "k/y", "[*?", "[", "]", "A", "ä/x"]), max_size=30),
        patterns=st.lists(
            st.sampled_from(["a", "b", "k/*", "*", "*x", "[*", "z", "[a]*", "?*", "*]", "[[]*", "ä*", "*[*?*"]),
            max_size=3,
        ),
        after=st.integers(-5, 31),
        limit=st.integers(1, 8),
    )
    def test_any_page_is_what_a_naive_filter_gives(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        devices: list[str],
        patterns: list[str],
        after: int,
        limit: int,
    ) -> None:
        path = path_of(tmp_path_factory.mktemp("segment"), FIRST)
        made = [numbered(draft(n, device), FIRST + n) for n, device in enumerate(devices)]
        make(path, made)
        selection, end = select(patterns), FIRST + len(made) - 1
        wanted = [entry for entry in made if entry.device in selection and entry.seq > FIRST + after][:limit]
        position = wanted[-1].seq if len(wanted) == limit else end
        assert (wanted, position, 0) == query.read(path, FIRST + after, end, selection, limit)

    @settings(max_examples=200, deadline=None)
    @given(
        device=st.text("ab[]?*^-/ä", max_size=8), glob=st.text("ab[]?*^-/ä", max_size=8).map(lambda text: f"{text}*")
    )
    def test_a_glob_means_the_same_in_a_query_as_in_memory(self, device: str, glob: str) -> None:
        where = query._where(selection := select([glob]))
        with closing(sqlite3.connect(":memory:")) as connection:
            sql = f"SELECT count(*) FROM (SELECT ? AS device) WHERE 1 {where.text}"
            (fits,) = connection.execute(sql, [device, *where.patterns]).fetchone()
        assert (device in selection) == bool(fits)

    @settings(max_examples=200, deadline=None)
    @given(device=st.text("ab*/", max_size=6), a=PATTERNS, b=PATTERNS, c=PATTERNS)
    def test_what_selections_have_in_common_means_the_same_in_a_query_as_in_memory(
        self, device: str, a: frozenset[str], b: frozenset[str], c: frozenset[str]
    ) -> None:
        selection = Selection(a) & Selection(b) & Selection(c)
        where = query._where(selection)
        with closing(sqlite3.connect(":memory:")) as connection:
            sql = f"SELECT count(*) FROM (SELECT ? AS device) WHERE 1 {where.text}"
            (fits,) = connection.execute(sql, [device, *where.patterns]).fetchone()
        assert all(device in Selection(each) for each in (a, b, c)) == bool(fits)

    def test_a_name_with_any_sign_in_it_can_be_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "a ?#%41 &=b"
        folder.mkdir()
        make(path_of(folder, FIRST), made := entries(2))
        assert made == query.read(path_of(folder, FIRST), 0, FIRST + 1, ALL, 10)[0]


class TestFacts:
    def test_facts_tell_numbers_times_and_seams(self, path: Path) -> None:
        make(path, entries(3))
        facts = query.facts(path)
        assert facts is not None
        assert (FIRST, FIRST + 2, FIRST, FIRST + 2, (Seam(FIRST - 1, FIRST),)) == facts[1:6]
        assert path.stat().st_size == facts.bytes

    def test_an_empty_segment_ends_before_its_first_number(self, path: Path) -> None:
        make(path, [])
        facts = query.facts(path)
        assert facts is not None
        assert (True, FIRST - 1) == (facts.is_empty, facts.last)

    def test_a_file_whose_beginning_was_cut_short_has_none(self, path: Path) -> None:
        path.touch()
        assert None is query.facts(path)

    def test_facts_fold_in_the_log_that_a_crash_left(self, path: Path, tmp_path: Path) -> None:
        opened = open_segment(path)
        opened.append(FIRST, drafts_of(entries(3)), b"")
        copy = path_of(tmp_path / "copy", FIRST)
        copy.parent.mkdir()
        for side in ("", "-wal"):
            copy.with_name(copy.name + side).write_bytes(path.with_name(path.name + side).read_bytes())
        opened.close()
        facts = query.facts(copy)
        assert facts is not None
        assert (FIRST + 2, [copy.name]) == (facts.last, [file.name for file in copy.parent.iterdir()])

    @pytest.mark.parametrize("seq", [FIRST - 1, FIRST + 1_000_000, 2**60])
    def test_numbers_that_do_not_fit_the_name_are_damage(self, path: Path, seq: int) -> None:
        make(path, [numbered(draft(), seq)])
        with pytest.raises(DamagedError, match="do not fit its name"):
            query.facts(path)


class TestDamage:
    @pytest.mark.parametrize("harm", HARM)
    def test_a_harmed_file_is_called_damaged_when_it_is_read(self, path: Path, harm: Callable[[Path], None]) -> None:
        make(path, entries(200))
        harm(path)
        with pytest.raises(DamagedError):
            query.read(path, 0, FIRST + 199, ALL, 500)

    @pytest.mark.parametrize("harm", HARM[:3])
    def test_a_harmed_file_is_called_damaged_when_it_is_checked(self, path: Path, harm: Callable[[Path], None]) -> None:
        make(path, entries(200))
        harm(path)
        with pytest.raises(DamagedError):
            query.check(path)

    @pytest.mark.parametrize(
        "change",
        [
            "data = NULL",
            "data = 7",
            "data = x'ff'",
            "data = CAST(x'ff' AS TEXT)",
            "data = char(123, 10, 10, 125)",
            "data = char(13)",
            "kind = 'event: x'",
            "kind = ''",
            "kind = NULL",
            "kind = x'ff'",
            "device = 1.5",
        ],
    )
    def test_a_row_that_makes_no_sense_is_damage_and_never_a_block(self, path: Path, change: str) -> None:
        make(path, entries(1))
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("CREATE TABLE bare (seq INTEGER PRIMARY KEY, kind, device, received_at_ms, data, receipts)")
            other.execute("INSERT INTO bare SELECT * FROM entry")
            other.execute(f"UPDATE bare SET {change}")
            other.execute("DROP TABLE entry")
            other.execute("ALTER TABLE bare RENAME TO entry")
        with pytest.raises(DamagedError):
            query.read(path, 0, FIRST, ALL, 10)

    @settings(max_examples=60, deadline=None)
    @given(
        kinds=st.lists(st.sampled_from(["reading", "device", "alert", "annotation", "x2"]), max_size=12),
        after=st.integers(-1, 12),
        limit=st.integers(1, 5),
    )
    def test_entries_of_a_kind_that_a_newer_gateway_knows_are_left_out_and_counted(
        self, tmp_path_factory: pytest.TempPathFactory, kinds: list[str], after: int, limit: int
    ) -> None:
        path = path_of(tmp_path_factory.mktemp("segment"), FIRST)
        made = [numbered(draft(n, kind=kind), FIRST + n) for n, kind in enumerate(kinds)]  # type: ignore[arg-type]
        make(path, made)
        position, told, unknown, end = FIRST - 1 + after, list[Entry](), 0, FIRST + len(made) - 1
        while position < end:
            found = query.read(path, position, end, ALL, limit)
            assert found.position > position
            told, unknown, position = [*told, *found.entries], unknown + found.unknown, found.position
        rest = [entry for entry in made if entry.seq >= FIRST + after]
        known = [entry for entry in rest if entry.kind in ("reading", "device", "alert")]
        assert (known, len(rest) - len(known)) == (told, unknown)
        assert [entry.seq for entry in known] == query.numbers(path, FIRST - 1 + after, end, ALL)

    def test_a_file_that_cannot_be_opened_is_no_damage(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(UnavailableError):
            query.read(path, 0, FIRST, ALL, 10)


class TestSearch:
    def test_a_time_finds_the_newest_entry_before_it(self, path: Path) -> None:
        make(path, [numbered(draft(at=ms), FIRST + n) for n, ms in enumerate([10, 10, 20, 20, 30])])
        found = [query.position_before(path, ms) for ms in (10, 11, 20, 21, 30, 31)]
        assert [None, FIRST + 1, FIRST + 1, FIRST + 3, FIRST + 3, FIRST + 4] == found

    def test_an_empty_segment_has_nothing_before_any_time(self, path: Path) -> None:
        make(path, [])
        assert None is query.position_before(path, 2**40)

    @given(times=st.lists(st.integers(1, 20), min_size=1, max_size=20).map(sorted), asked=st.integers(0, 21))
    @settings(max_examples=40, deadline=None)
    def test_any_time_finds_what_a_naive_search_finds(
        self, tmp_path_factory: pytest.TempPathFactory, times: list[int], asked: int
    ) -> None:
        path = path_of(tmp_path_factory.mktemp("times"), FIRST)
        make(path, [numbered(draft(at=ms), FIRST + 3 * n) for n, ms in enumerate(times)])
        before = [FIRST + 3 * n for n, ms in enumerate(times) if ms < asked]
        assert (before[-1] if before else None) == query.position_before(path, asked)

    @pytest.mark.parametrize(
        ("patterns", "after", "until", "found"),
        [([], 1, 3, [2, 3]), (["a"], -9, 4, [0, 2, 4]), (["b*"], 0, 99, [1, 3, 5, 7, 9]), (["c"], -1, 9, [])],
    )
    def test_numbers_are_those_of_the_selection_in_the_range(
        self, path: Path, patterns: list[str], after: int, until: int, found: list[int]
    ) -> None:
        make(path, [numbered(draft(n, "ab"[n % 2]), FIRST + n) for n in range(10)])
        numbers = query.numbers(path, FIRST + after, FIRST + until, select(patterns), Wanted())
        assert found == [number - FIRST for number in numbers]

    def test_numbers_can_be_held_to_one_kind(self, path: Path) -> None:
        make(path, [numbered(draft(kind=kind), FIRST + n) for n, kind in enumerate(["reading", "device", "device"])])
        assert [FIRST + 1, FIRST + 2] == query.numbers(path, 0, FIRST + 2, ALL, Wanted("device"))

    @settings(max_examples=80, deadline=None)
    @given(
        said=st.lists(st.tuples(KINDS, st.dictionaries(METRICS, st.integers() | METRICS, max_size=3)), max_size=8),
        metrics=st.sets(METRICS, max_size=3).map(frozenset),
        kind=st.none() | KINDS,
    )
    def test_numbers_held_to_metrics_are_what_a_naive_filter_gives(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        said: list[tuple[Kind, dict[str, Any]]],
        metrics: frozenset[str],
        kind: Kind | None,
    ) -> None:
        path = path_of(tmp_path_factory.mktemp("metrics"), FIRST)
        drafts = [
            Draft(each, "a", 1, msgspec.json.encode({"device": "a", "at": 7, "values": values, "metrics": {"b": 1}}))
            for each, values in said
        ]
        make(path, [numbered(each, FIRST + n) for n, each in enumerate(drafts)])
        expected = [
            FIRST + n
            for n, (each, values) in enumerate(said)
            if kind in (None, each) and (each != "reading" or not metrics or metrics & values.keys())
        ]
        assert expected == query.numbers(path, 0, FIRST + 99, ALL, Wanted(kind, metrics))

    def test_a_row_that_is_no_json_does_not_count_and_harms_nothing(self, path: Path) -> None:
        rows = [b'{"values":{"x":1}}', b'{"values":{"x":1', b'{"x":1}', b'{"values":["x"]}', b'"x":1']
        make(path, [numbered(Draft("reading", "a", 1, text), FIRST + n) for n, text in enumerate(rows)])
        assert [FIRST] == query.numbers(path, 0, FIRST + 9, ALL, Wanted("reading", frozenset(["x"])))

    def test_marks_with_and_without_entries_come_in_the_order_of_their_commits(self, path: Path) -> None:
        opened = open_segment(path)
        opened.append(FIRST, [], b"1")
        append(opened, entries(2), b"2")
        opened.append(FIRST, [], b"3")
        opened.append(FIRST, [], b"4")
        append(opened, entries(2, first=FIRST + 2), b"5")
        append(opened, entries(1, first=FIRST + 4))
        opened.append(FIRST, [], b"6")
        opened.close()
        assert [b"6", b"5", b"4", b"3", b"2", b"1"] == query.receipts(path, 99)

    def test_packet_marks_come_newest_batch_first_and_no_more_than_asked_for(self, path: Path) -> None:
        opened = open_segment(path)
        for batch in (b"aa", b"bb", b"cc"):
            opened.append(FIRST, [], batch)
        opened.close()
        assert [[b"cc", b"bb"], [b"cc", b"bb", b"aa"]] == [query.receipts(path, 3), query.receipts(path, 99)]
