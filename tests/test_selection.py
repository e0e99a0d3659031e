"""Which devices a selection holds."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.selection import ALL, MAX_PATTERNS, Selection, select

texts = st.text(alphabet="ab/.[*", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "device", "is_in"),
    [
        ("boiler", "boiler", True),
        ("boiler", "Boiler", False),
        ("kitchen/*", "kitchen/fridge/door", True),
        ("kitchen/*", "kitchen/", True),
        ("kitchen/*", "kitchen", False),
        ("*", "", True),
        ("*/door", "kitchen/fridge/door", True),
        ("k*n/*r", "kitchen/door", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a**b", "ab", True),
        ("?", "x", False),
        ("[ab]", "a", False),
        ("[ab]*", "[ab]c", True),
        (".*", "abc", False),
        ("a*b*c", "a-c-b", False),
        ("a*b*b", "ab", False),
        ("a*b*b", "abb", True),
    ],
)
def test_only_the_star_is_special_in_a_glob(pattern, device, is_in):
    assert is_in == (device in select([pattern]))


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), texts)
def test_a_selection_holds_what_a_naive_expression_for_its_globs_matches(patterns, device):
    expected = any(re.fullmatch(re.escape(each).replace(r"\*", ".*"), device, re.DOTALL) for each in patterns)
    assert expected == (device in select(patterns))


def test_no_pattern_at_all_means_all_devices():
    assert select([]) is ALL
    assert ALL.is_all
    assert "anything/at all" in ALL


def test_names_and_globs_are_told_apart():
    selection = select(["a", "b*", "c"])
    assert frozenset({"a", "c"}) == selection.names
    assert frozenset({"b*"}) == selection.globs
    assert not selection.is_all


def test_equal_selections_are_equal_and_hash_alike():
    assert select(["a", "b*"]) == select(["b*", "a", "a"])
    assert 1 == len({select(["a", "b*"]), select(["b*", "a"])})
    assert select(["a"]) != select(["b"])
    assert select(["a"]) != frozenset(["a"])


def test_more_patterns_than_the_limit_are_refused():
    patterns = frozenset(map(str, range(MAX_PATTERNS)))
    assert patterns == Selection(patterns).patterns
    with pytest.raises(ValueError, match="at most 200"):
        Selection(patterns | {"one more"})


def test_globs_made_to_backtrack_take_no_time():
    selection = select([f"{'a*' * 200}{number}b" for number in range(100)])
    began = time.thread_time()
    assert "a" * 500 not in selection
    assert time.thread_time() - began < 0.1


selections = st.lists(texts | st.sampled_from(["*", "a*", "*b", "a", "ab"]), max_size=4).map(
    lambda patterns: Selection(frozenset(patterns))
)
devices = texts | st.sampled_from(["a", "ab", "aab", "b"])


class TestBoth:
    """What two selections have in common."""

    @settings(max_examples=300, deadline=None)
    @given(selections, selections, devices)
    def test_a_device_is_in_both_when_it_is_in_each(self, a, b, device):
        assert (device in a and device in b) == (device in (a & b))

    @settings(max_examples=300, deadline=None)
    @given(selections, selections, selections)
    def test_the_order_in_which_selections_meet_does_not_matter(self, a, b, c):
        assert a & b == b & a
        assert hash(a & b) == hash(b & a)
        assert (a & b) & c == a & (b & c)
        assert hash((a & b) & c) == hash(a & (b & c))

    @settings(max_examples=100, deadline=None)
    @given(selections, selections)
    def test_what_adds_no_condition_changes_nothing(self, a, b):
        both = a & b
        assert a is a & ALL
        assert a == ALL & a
        assert [a, both, both] == [a & a, both & a, b & both]

    @settings(max_examples=300, deadline=None)
    @given(selections, selections)
    def test_a_selection_without_globs_names_all_its_devices(self, a, b):
        both = a & b
        if not both.globs:
            assert both.names == {name for name in a.names | b.names if name in a and name in b}

    def test_names_meet_names_and_globs_in_names(self):
        assert select(["b"]) == select(["a", "b"]) & select(["b", "c"])
        assert select(["k/x"]) == select(["k/x", "a"]) & select(["k/*"])
        assert Selection(frozenset()) == select(["a"]) & select(["b"])

    def test_a_selection_that_lies_in_the_other_is_kept_itself(self):
        one, rights = select(["k/x"]), select(["k/*", "a"])
        assert one is one & rights
        assert one is rights & one
        both = rights & select(["*x"])
        assert both is both & rights

    def test_globs_that_meet_are_both_asked(self):
        both = select(["k/*"]) & select(["*/door"])
        assert [True, False, False] == [device in both for device in ("k/door", "k/x", "x/door")]
        assert select(["k/*"]) != both
