"""Topics, filters and patterns, held against the wording of MQTT 3.1.1 by brute force."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.topic import Pattern, Route, covers, filter_problem, matches, overlap, subscriptions

NAMES = ("a", "b", "", "$s")
TOPICS = ["/".join(levels) for length in (1, 2, 3) for levels in product((*NAMES, "z"), repeat=length)]
"""All of up to three levels, one more than filters have before `#`; `z` is in no filter, so only a wildcard takes it.
The empty topic is among them: nobody can publish to it, but level by level it is one like others."""

filters = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]),
    st.lists(st.sampled_from((*NAMES, "+")), min_size=1, max_size=2),
    st.sampled_from([[], ["#"]]),
).filter(bool) | st.just("#")


def by_the_book(topic_filter: str, topic: str) -> bool:
    """Section 4.7, word by word and level by level."""
    if topic_filter[0:1] in ("+", "#") and topic.startswith("$"):
        return False
    wanted, given_levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        parent = wanted[:-1]
        return len(given_levels) >= len(parent) and all(
            w in ("+", g) for w, g in zip(parent, given_levels, strict=False)
        )
    return len(wanted) == len(given_levels) and all(w in ("+", g) for w, g in zip(wanted, given_levels, strict=True))


@cache
def brought(topic_filter: str) -> set[str]:
    return {topic for topic in TOPICS if by_the_book(topic_filter, topic)}


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor/Clients", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("a/+", "a/$b", True),
        ("a/#", "a/$b", True),
        ("ACCOUNTS", "Accounts", False),
    ],
)
def test_filters_match_as_the_examples_of_the_standard_say(topic_filter, topic, fits):
    assert fits == matches(topic_filter, topic)


@settings(max_examples=60, deadline=None)
@given(filters)
def test_a_filter_matches_what_the_standard_says_it_matches(topic_filter):
    assert brought(topic_filter) == {topic for topic in TOPICS if matches(topic_filter, topic)}


@settings(max_examples=60, deadline=None)
@given(filters, filters)
def test_a_filter_covers_another_exactly_when_it_brings_all_that_the_other_brings(wide, narrow):
    assert (brought(narrow) <= brought(wide)) == covers(wide, narrow)


@settings(max_examples=60, deadline=None)
@given(filters, filters)
def test_filters_overlap_exactly_when_some_topic_matches_both(one, other):
    assert bool(brought(one) & brought(other)) == overlap(one, other)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(filters, st.integers(0, 1), max_size=6))
def test_subscriptions_bring_the_same_topics_and_none_of_them_covers_another(wanted):
    kept = subscriptions(wanted)
    assert set().union(*map(brought, wanted)) == set().union(*map(brought, kept))
    assert [] == [(one, other) for one in kept for other in kept if one != other and covers(one, other)]
    for topic_filter, qos in wanted.items():
        assert any(covers(wide, topic_filter) and qos <= kept[wide] for wide in kept)


def test_a_covered_subscription_leaves_its_higher_qos_to_the_wider_one():
    assert {"sensors/#": 1} == subscriptions({"sensors/+/info": 1, "sensors/#": 0})


def test_the_brokers_own_topics_are_not_covered_by_a_filter_for_all():
    assert {"#": 1, "$SYS/#": 0} == subscriptions({"#": 1, "$SYS/#": 0})


@pytest.mark.parametrize(
    ("topic_filter", "part_of_problem"),
    [
        ("", "1 to 65535 bytes"),
        ("a" * 65_536, "1 to 65535 bytes"),
        ("ü" * 32_768, "1 to 65535 bytes"),
        ("a\0b", "NUL"),
        ("a/#/b", "'#'"),
        ("a#", "'#'"),
        ("#/", "'#'"),
        ("a/b+", "'+'"),
        ("++", "'+'"),
    ],
)
def test_a_filter_that_breaks_a_rule_is_told_which(topic_filter, part_of_problem):
    assert part_of_problem in filter_problem(topic_filter)


@pytest.mark.parametrize("topic_filter", ["#", "+", "/", "a/+/#", "+/+", "$SYS/#", "a//b", "a" * 65_535])
def test_a_filter_that_breaks_no_rule_has_no_problem(topic_filter):
    assert filter_problem(topic_filter) is None


@pytest.mark.parametrize(
    ("pattern", "topic", "device", "metric"),
    [
        ("sensors/{device}", "sensors/boiler", "boiler", ""),
        ("sensors/{device}", "sensors/kitchen/fridge", "kitchen/fridge", ""),
        ("sensors/{device}/{metric}", "sensors/kitchen/fridge/temperature", "kitchen/fridge", "temperature"),
        ("sensors/{device}/info", "sensors/info/info", "info", ""),
        ("+/{device}", "home/boiler", "boiler", ""),
        ("{device}", "boiler", "boiler", ""),
        ("{device}/+/state", "a/b/c/state", "a/b", ""),
        ("{metric}/{device}", "temperature/a/b", "a/b", "temperature"),
        ("{metric}/of/{device}", "temperature/of/a/b", "a/b", "temperature"),
        ("shellies/{device}/sensor/{metric}", "shellies/ht-1/sensor/humidity", "ht-1", "humidity"),
        ("a.b/{device}", "a.b/x", "x", ""),
        ("x/{device}/#", "x/a/b", "a/b", ""),
        ("x/{device}", "x/a\nb", "a\nb", ""),
    ],
)
def test_a_pattern_names_device_and_metric(pattern, topic, device, metric):
    assert Route("readings", device, metric) == Pattern("readings", pattern).route(topic)


@pytest.mark.parametrize(
    ("pattern", "topic"),
    [
        ("sensors/{device}", "sensors"),
        ("sensors/{device}", "sensors/"),
        ("sensors/{device}", "other/boiler"),
        ("sensors/{device}/{metric}", "sensors/boiler"),
        ("sensors/{device}/{metric}", "sensors/boiler/"),
        ("a.b/{device}", "aXb/x"),
        ("+/{device}", "boiler"),
    ],
)
def test_a_topic_that_does_not_fit_names_nothing(pattern, topic):
    assert Pattern("readings", pattern).route(topic) is None


@pytest.mark.parametrize(
    ("kind", "pattern", "part_of_rule"),
    [
        ("readings", "sensors/+", "{device} once"),
        ("readings", "{device}/{device}", "{device} once"),
        ("readings", "x{device}", "{device} once"),
        ("readings", "{device}/{metric}/{metric}", "{metric} once"),
        ("info", "{device}/{metric}", "readings only"),
        ("readings", "{device}/{unit}", "placeholders"),
        ("readings", "{device}/x{metric}", "placeholders"),
        ("readings", "{device}/}", "placeholders"),
        ("readings", "#/{device}", "'#'"),
        ("readings", "{device}/a+", "'+'"),
        ("readings", "{device}/\0", "NUL"),
        ("readings", "{device}/\ud800", ""),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused_with_its_rule(kind, pattern, part_of_rule):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the rule is compared as plain text below
        Pattern(kind, pattern)
    assert part_of_rule in str(refused.value)


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(["{device}", "{metric}", "a", "+"]),
    st.integers(0, 4),
    st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=6),
)
def test_the_filter_of_a_pattern_brings_every_topic_that_the_pattern_fits(levels, size, topic_levels):
    kept = [level for level in levels[:size] if level != "{device}"]
    pattern = Pattern("readings", "/".join([*kept[:1], "{device}", *kept[1:]]))
    topic = "/".join(topic_levels)
    if pattern.route(topic) is not None:
        assert matches(pattern.topic_filter, topic)


@pytest.mark.parametrize(
    ("pattern", "topic_filter"),
    [
        ("sensors/{device}", "sensors/+/#"),
        ("sensors/{device}/{metric}", "sensors/+/+/#"),
        ("sensors/{device}/info", "sensors/#"),
        ("{device}", "+/#"),
        ("{metric}/{device}", "+/+/#"),
        ("a/+/{device}/+/#", "a/+/+/+/#"),
    ],
)
def test_the_filter_of_a_pattern_is_made_from_its_levels(pattern, topic_filter):
    assert topic_filter == Pattern("readings", pattern).topic_filter
