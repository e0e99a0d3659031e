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
