"""The convention of the configured topics: a pattern of `[[topics]]` says what a message is and which device sent it."""

from __future__ import annotations

from typing import Any

from gateway.config import LimitsSection
from gateway.decode.device_time import TIME_KEYS, measured_at_ms
from gateway.decode.flat import FlatReports
from gateway.decode.info import availability, device_info
from gateway.decode.payload import parse
from gateway.decode.values import Flattened
from gateway.reading import Decoded, DeviceInfo, Message, MetricInfo, Reading, Rejected
from gateway.remembered import Remembered
from gateway.topic import Pattern, Route

MAX_ROUTES = 20_000
"""Topics whose route is remembered."""

_TIME_KEYS = frozenset(TIME_KEYS)

_LOST_LEVELS = frozenset({"", ".", ".."})
"""Levels that a browser removes from a URL's path, even percent-encoded."""


class Topics:
    """Decodes a message by the first of ``patterns`` that fits its topic.

    What it remembers (routes, good metric names) only saves time: it says the same of a message whatever came before.
    """

    name = "topics"

    def __init__(self, patterns: list[Pattern], limits: LimitsSection) -> None:
        self._patterns = patterns
        self._limits = limits
        self._flat = FlatReports(limits)
        self._routes: Remembered[str, Route | Rejected] = Remembered(MAX_ROUTES)

    def decode(self, message: Message) -> list[Decoded]:
        """All that one message says, in order; empty only for JSON that holds nothing but nulls and times."""
        route = self._route(message.topic)
        if isinstance(route, Rejected):
            return [route]
        if route.kind == "readings" and (reading := self._flat.reading(route, message)) is not None:
            return [reading]
        return self._whole(route, message)

    def _whole(self, route: Route, message: Message) -> list[Decoded]:
        """Decode any message; `FlatReports` does the same for usual reports in a fifth of the time."""
        parsed = parse(message.payload, self._limits)
        if isinstance(parsed, Rejected):
            return [parsed]
        if route.kind == "availability":
            return [availability(route.device, parsed, message.received_at_ms)]
        if route.kind == "info":
            return [device_info(route.device, parsed, message.received_at_ms, self._limits)]
        return self._readings(route, parsed, message)

    def payer(self, topic: str) -> str:
        """The device that a topic belongs to; empty when none does."""
        route = self._route(topic)
        return "" if isinstance(route, Rejected) else route.device

    def _route(self, topic: str) -> Route | Rejected:
        route = self._routes.get(topic)
        if route is None:
            route = self._routes.remember(topic, self._find_route(topic))
        return route

    def _find_route(self, topic: str) -> Route | Rejected:
        for pattern in self._patterns:
            if route := pattern.route(topic):
                return (
                    route if self._is_good_name(route.device) else Rejected("bad_name", f"device {route.device[:80]!r}")
                )
        return Rejected("no_topic_matches", repr(topic[:120]))

    def _is_good_name(self, device: str) -> bool:
        """A device's name is part of addresses and globs: no `*`, nothing unprintable, no level that a browser removes."""
        size_fits = len(device.encode("utf-8", "replace")) <= self._limits.max_device_bytes
        return size_fits and device.isprintable() and "*" not in device and _LOST_LEVELS.isdisjoint(device.split("/"))

    def _readings(self, route: Route, parsed: Any, message: Message) -> list[Decoded]:
        reports = parsed if _is_batch(parsed) else [parsed]
        decoded: list[Decoded] = []
        for report in reports[: self._limits.max_readings]:
            decoded.extend(self._report(route, report, message))
        if len(reports) > self._limits.max_readings:
            decoded.append(Rejected("too_many_readings", f"{len(reports)} in one message"))
        return decoded

    def _report(self, route: Route, report: Any, message: Message) -> list[Decoded]:
        measured = None
        if isinstance(report, dict):
            measured = measured_at_ms(report, message.received_at_ms)
            report = _without_times(report)
        found = Flattened(self._limits)
        found.add(route.metric, report)
        decoded: list[Decoded] = list(found.rejected)
        metrics = {metric: MetricInfo(unit=unit) for metric, unit in found.units.items() if metric in found.values}
        if metrics:
            decoded.append(DeviceInfo(route.device, message.received_at_ms, metrics=metrics))
        if found.values:
            decoded.append(Reading(route.device, found.values, message.received_at_ms, measured, message.retain))
        return decoded


def _is_batch(parsed: Any) -> bool:
    """Whether this is an array of reports; an array of plain values is one report instead."""
    return isinstance(parsed, list) and bool(parsed) and all(isinstance(element, dict) for element in parsed)


def _without_times(report: dict[str, Any]) -> dict[str, Any]:
    """The report without its time keys; ``{"time": …, "values": {…}}`` is unwrapped, as many senders wrap so."""
    rest = {key: value for key, value in report.items() if key not in _TIME_KEYS}
    if len(rest) == 1 and isinstance(rest.get("values"), dict):
        return dict(rest["values"])
    return rest
