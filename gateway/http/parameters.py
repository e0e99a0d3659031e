"""Query parameters to values; a bad one raises `BadParameterError`, which becomes a 400 that names it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from werkzeug.datastructures import MultiDict
from werkzeug.http import parse_accept_header

from gateway.decode.device_time import iso_ms
from gateway.errors import GatewayError
from gateway.history.query import HistoryPlan
from gateway.remembered import Remembered
from gateway.selection import MAX_PATTERNS, Selection, select
from gateway.stream.plan import EARLIEST, Last, Plan, Since, Start

MAX_POSITION = 2**53 - 1
MAX_LAST = 100_000
MAX_METRICS = 50
MAX_NAME_CHARACTERS = 512
MAX_BUCKETS = 10_000
MAX_LIMIT = 100_000
DEFAULT_LIMIT = 10_000
INTERVAL_S = (0.05, 60.0)
ALL_METRICS: frozenset[str] = frozenset()

Args = MultiDict[str, str]
_T = TypeVar("_T")

_FORMATS = {"application/json": "json", "*/*": "json", "application/x-ndjson": "ndjson", "text/csv": "csv"}
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=[0-9]{2}:?[0-9]{2}$)")
"""The `+` of a zone, which arrives as a blank when it was not percent-encoded."""


class BadParameterError(GatewayError):
    """Theirs, but raised because a request has one answer: 400, naming ``parameter``."""

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.parameter, self.detail = parameter, detail


def only_known(args: Args, known: tuple[str, ...]) -> None:
    """Refuse parameters that are not in ``known``, with the nearest one as a hint."""
    for name in args:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known) or 'none here'}"
            raise BadParameterError(name[:80], f"unknown; {hint}")


def stream_parameters(args: Args, device: str | None, last_event_id: str | None, now_ms: int) -> Plan:
    """The parameters of a stream; ``device`` is that of the path, ``last_event_id`` the header, which wins.

    Raises BadParameterError, which names the parameter; ``device`` for a name in the path that no device can have.
    """
    known = ("after", "since", "last", "mode", "interval", "metric", "snapshot")
    only_known(args, known if device is not None else ("device", *known))
    return Plan(
        selection=_selection(args) if device is None else _one_device(device),
        start=_start(args, last_event_id, now_ms),
        mode=_choice(args, "mode", ("every", "latest")),  # type: ignore[arg-type] # the choices are the modes
        interval_s=_single(args, "interval", _interval) or 0,
        metrics=metric_names(args),
        snapshot=_choice(args, "snapshot", ("yes", "no")) == "yes",
    )


def _selection(args: Args) -> Selection:
    names = args.getlist("device")
    if len(names) > MAX_PATTERNS:
        raise BadParameterError("device", f"at most {MAX_PATTERNS} (got {len(names)})")
    for name in names:
        if not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise BadParameterError("device", f"must be 1 to {MAX_NAME_CHARACTERS} characters")
    return select(names)


_of_one_device: Remembered[str, Selection] = Remembered(1024)


def _one_device(device: str) -> Selection:
    """One for all streams of a device, which keep it while they are open."""
    if (known := _of_one_device.get(device)) is not None:
        return known
    if "*" in device or not 0 < len(device) <= MAX_NAME_CHARACTERS:
        raise BadParameterError("device", f"must be one name of 1 to {MAX_NAME_CHARACTERS} characters, without '*'")
    return _of_one_device.remember(device, Selection(frozenset([device])))


def metric_names(args: Args) -> frozenset[str]:
    """The wanted metrics; none means all."""
    names = args.getlist("metric")
    if len(names) > MAX_METRICS or any(not 0 < len(name) <= MAX_NAME_CHARACTERS for name in names):
        raise BadParameterError("metric", f"at most {MAX_METRICS}, each 1 to {MAX_NAME_CHARACTERS} characters")
    return frozenset(names) if names else ALL_METRICS


def _start(args: Args, last_event_id: str | None, now_ms: int) -> Start:
    given = [name for name in ("after", "since", "last") if name in args]
    if len(given) > 1:
        raise BadParameterError(given[1], f"cannot be combined with {given[0]!r}")
    starts: list[Start] = [
        _single(args, "after", _after),
        _single(args, "since", lambda text: Since(moment(text, now_ms))),
        _single(args, "last", lambda text: Last(_integer(text, 1, MAX_LAST))),
    ]
    # One that is none of ours is not refused with 400, as a browser would give up for good: the address says where then.
    try:
        return _integer(last_event_id or "", 0, MAX_POSITION)
    except ValueError:
        return next((start for start in starts if start is not None), None)


def _after(text: str) -> int | None:
    if text == "head":
        return None
    return EARLIEST if text == "earliest" else _integer(text, 0, MAX_POSITION)


def _integer(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and low <= int(text) <= high):
        raise ValueError(f"must be a whole number from {low} to {high}")
    return int(text)


def duration_s(text: str) -> float:
    """``90s``, ``15m``, ``250ms``, ``2h``, ``1d`` in seconds; raises ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("must be a duration such as 250ms, 90s, 15m, 2h or 1d")
    return int(found[1]) * _UNITS_S[found[2]]


def _interval(text: str) -> float:
    seconds = duration_s(text)
    if not INTERVAL_S[0] <= seconds <= INTERVAL_S[1]:
        raise ValueError("must be from 50ms to 60s")
    return seconds


def moment(text: str, now_ms: int) -> int:
    """A duration before now, an ISO 8601 time with a zone, or Unix ms, as Unix ms; raises ValueError."""
    if text.isascii() and text.isdecimal() and len(text) <= 16:
        return int(text)
    ms = iso_ms(_LOST_PLUS.sub("+", text))
    if ms is not None:
        return ms
    try:
        return max(0, now_ms - round(duration_s(text) * 1000))
    except ValueError:
        raise ValueError("must be a duration (15m), an ISO 8601 time with a zone, or Unix ms") from None


def _single(args: Args, name: str, parse: Callable[[str], _T]) -> _T | None:
    values = args.getlist(name)
    if not values:
        return None
    if len(values) > 1:
        raise BadParameterError(name, "may be given once")
    try:
        return parse(values[0])
    except ValueError as error:
        raise BadParameterError(name, f"{error} (got {values[0][:80]!r})") from None


def _choice(args: Args, name: str, choices: tuple[str, ...]) -> str:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return text

    return _single(args, name, parse) or choices[0]


class HistoryParameters(NamedTuple):
    """What `docs/wire.md` lists for readings: what is asked for, and the format of the answer."""

    plan: HistoryPlan
    format: str


def history_parameters(args: Args, accept: str, now_ms: int) -> HistoryParameters:
    """The parameters of the readings of one device."""
    only_known(args, ("since", "until", "after", "metric", "limit", "buckets", "format"))
    since = _single(args, "since", lambda text: moment(text, now_ms))
    until = _single(args, "until", lambda text: moment(text, now_ms))
    if since is not None and until is not None and until < since:
        raise BadParameterError("until", "must not lie before 'since'")
    plan = HistoryPlan(
        since,
        until,
        _single(args, "after", lambda text: _integer(text, 0, MAX_POSITION)),
        metric_names(args),
        _single(args, "limit", lambda text: _integer(text, 1, MAX_LIMIT)) or DEFAULT_LIMIT,
        _single(args, "buckets", lambda text: _integer(text, 1, MAX_BUCKETS)),
    )
    format_ = _choice(args, "format", _accepted_first(accept))
    if plan.buckets and format_ != "json":
        raise BadParameterError("buckets", "is there for format=json only")
    if plan.buckets and "limit" in args:
        raise BadParameterError("limit", "cannot be combined with 'buckets'")
    return HistoryParameters(plan, format_)


def _accepted_first(accept: str) -> tuple[str, ...]:
    """The formats, the one that the Accept header likes best in front, as that is the default; JSON when it likes none."""
    liked = (media.partition(";")[0].strip().lower() for media, quality in parse_accept_header(accept) if quality)
    best = next((_FORMATS[media] for media in liked if media in _FORMATS), "json")
    return tuple(dict.fromkeys((best, *_FORMATS.values())))
