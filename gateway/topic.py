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
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    return _covers(topic_filter.split("/"), topic.split("/"))


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that ``narrow`` matches is matched by ``wide`` too."""
    return _covers(wide.split("/"), narrow.split("/"))


def _covers(wide: list[str], narrow: list[str]) -> bool:
    for at, level in enumerate(wide):
        if level == "#":
            return True
        if at >= len(narrow) or (level == "+" and narrow[at] == "#") or level not in ("+", narrow[at]):
            return False
    return len(wide) == len(narrow)


def overlap(one: str, other: str) -> bool:
    """Whether some topic matches both filters: a broker may then deliver its messages twice."""
    return _overlap(one.split("/"), other.split("/"))


def _overlap(one: list[str], other: list[str]) -> bool:
    for left, right in zip(one, other, strict=False):
        if "#" in (left, right):
            return True
        if left != right and "+" not in (left, right):
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
    """The narrowest filter that surely brings every topic that a pattern of these levels fits."""
    at = levels.index("{device}")
    rest = levels[at + 1 :]
    singles = ["+" for level in rest if level != "#"]
    if any(level not in ("{metric}", "+", "#") for level in rest):
        return "/".join([*levels[:at], "#"])
    return "/".join([*levels[:at], "+", *singles, "#"])


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
