"""Topics: which filter a topic matches, and which device and metric a topic names.

Filters follow MQTT 3.1.1, section 4.7. A pattern is a topic with placeholders: ``{device}`` takes one or more levels,
as many as it can; ``{metric}`` takes one; ``+`` and a final ``#`` take levels that name nothing.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

TopicKind = Literal["readings", "info", "availability"]


class Route(NamedTuple):
    """What a topic names: ``metric`` is empty where the payload names the metrics itself."""

    kind: TopicKind
    device: str
    metric: str


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a broker would deliver ``topic`` to a subscription to ``topic_filter``."""
    return _covers(_levels(topic_filter), topic.split("/"))


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that ``narrow`` matches is matched by ``wide`` too."""
    return _covers(_levels(wide), _levels(narrow))


def _levels(topic_filter: str) -> list[str]:
    """The levels of a filter; ``#`` alone asks for the same as ``+/#``, and only so is its first level never ``#``."""
    return ["+", "#"] if topic_filter == "#" else topic_filter.split("/")


def _covers(wide: list[str], narrow: list[str]) -> bool:
    for at, level in enumerate(wide):
        if level == "#":
            return True
        if at >= len(narrow) or not _level_covers(level, narrow[at], at):
            return False
    return len(wide) == len(narrow)


def _level_covers(wide: str, narrow: str, at: int) -> bool:
    if wide != "+":
        return wide == narrow
    # A wildcard in the first place takes no topic that begins with `$` (4.7.2): those are the broker's own.
    return narrow != "#" and not (at == 0 and narrow.startswith("$"))


def overlap(one: str, other: str) -> bool:
    """Whether some topic matches both filters: a broker may then deliver its messages twice."""
    return _overlap(_levels(one), _levels(other))


def _overlap(one: list[str], other: list[str]) -> bool:
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if "#" in (left, right):
            return True
        if not (_level_covers(left, right, at) or _level_covers(right, left, at)):
            return False
    longer = one[len(other) :] or other[len(one) :]
    return longer in ([], ["#"])


def filter_problem(topic_filter: str) -> str | None:
    """What is wrong with a topic filter, or None."""
    if not topic_filter or len(topic_filter.encode()) > 65_535 or "\0" in topic_filter:
        return "must be 1 to 65535 bytes without NUL"
    for at, level in enumerate(topic_filter.split("/")):
        if "#" in level and (level != "#" or at != topic_filter.count("/")):
            return "'#' must be a whole level, and the last"
        if "+" in level and level != "+":
            return "'+' must be a whole level"
    return None


class Pattern:
    """A compiled pattern of one kind; ``Pattern("readings", "sensors/{device}/{metric}")``.

    Raises ValueError, with the rule that was broken, for a pattern that makes no sense.
    """

    def __init__(self, kind: TopicKind, text: str) -> None:
        self.kind, self.text = kind, text
        levels = text.split("/")
        if levels.count("{device}") != 1:
            raise ValueError("must hold {device} once, as a whole level")
        if levels.count("{metric}") > (1 if kind == "readings" else 0):
            raise ValueError("may hold {metric} once, for readings only")
        if any(("{" in level or "}" in level) and level not in ("{device}", "{metric}") for level in levels):
            raise ValueError("placeholders are {device} and {metric}, each a whole level")
        if problem := filter_problem(text.replace("{device}", "+").replace("{metric}", "+")):
            raise ValueError(problem)
        self._regex = re.compile("/".join(map(_level_regex, levels)).replace("/(?:.*)", "(?:/.*)?"), re.DOTALL)
        self.topic_filter = _derived_filter(levels)

    def route(self, topic: str) -> Route | None:
        """The device and metric that ``topic`` names, or None when it does not fit."""
        found = self._regex.fullmatch(topic)
        if found is None:
            return None
        names = found.groupdict()
        return Route(self.kind, names["device"], names.get("metric") or "")


def _level_regex(level: str) -> str:
    known = {"{device}": "(?P<device>.+)", "{metric}": "(?P<metric>[^/]+)", "+": "[^/]*", "#": "(?:.*)"}
    return known.get(level) or re.escape(level)


def _derived_filter(levels: list[str]) -> str:
    """A filter that surely brings every topic that a pattern of these levels fits.

    Where names come after ``{device}`` it asks for all below, so that the filters of patterns side by side cover each
    other: one subscription brings them all.
    """
    at = levels.index("{device}")
    before = ["+" if level == "{metric}" else level for level in levels[:at]]
    rest = levels[at + 1 :]
    singles = ["+" for level in rest if level != "#"]
    if any(level not in ("{metric}", "+", "#") for level in rest):
        return "/".join([*before, "#"])
    return "/".join([*before, "+", *singles, "#"])


def subscriptions(filters: dict[str, int]) -> dict[str, int]:
    """The fewest filters that bring the same messages: those covered by another go, at the higher QoS of the two."""
    kept: dict[str, int] = {}
    for topic_filter in sorted(filters, key=lambda text: (text.count("/"), not text.endswith("#"), text)):
        wider = next((other for other in kept if covers(other, topic_filter)), None)
        if wider is None:
            for narrower in [other for other in kept if covers(topic_filter, other)]:
                filters = {**filters, topic_filter: max(filters[topic_filter], kept.pop(narrower))}
            kept[topic_filter] = filters[topic_filter]
        else:
            kept[wider] = max(kept[wider], filters[topic_filter])
    return kept
