"""The two stream routes: answered here for every method, because a stream through Quart holds five times the memory.

Quart keeps a request with its contexts, tasks and generators while it is open: 33 KB, where here it is 6 (docs/decisions/0013).
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from werkzeug.datastructures import MultiDict

from gateway.http.answers import Answer, problem_answer
from gateway.http.caller import Caller
from gateway.http.parameters import BadParameterError, stream_parameters
from gateway.stream.plan import Plan

ALL_DEVICES, ONE_DEVICE, STREAM = "/api/stream", "/api/devices/", "/stream"
ROUTES = (ALL_DEVICES, "/api/devices/<path:device>/stream")
"""As Quart would write them; `docs/wire.md` and the description for machines name the same."""

HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""nginx buffers without the last one."""

METHODS = "GET, HEAD, OPTIONS"


class Target(NamedTuple):
    """The stream that a path names: of one ``device``, or of many when that is None."""

    device: str | None


def target_of(path: str) -> Target | None:
    """Which stream route the path is; None when it is another route's."""
    if path == ALL_DEVICES:
        return Target(None)
    device = path.removeprefix(ONE_DEVICE).removesuffix(STREAM)
    is_one = path == f"{ONE_DEVICE}{device}{STREAM}" and device and "//" not in path
    return Target(device) if is_one else None


def answer(target: Target, scope: Any, caller: Caller, now_ms: int) -> Plan | Answer:
    """The stream to be served, for a GET; or the whole answer, which tells how it would begin or why it does not."""
    if scope["method"] == "OPTIONS":
        return Answer(200, {"Content-Type": "text/html; charset=utf-8", "Allow": METHODS})
    if scope["method"] not in ("GET", "HEAD"):
        return problem_answer(405, "method not allowed", {"Allow": METHODS})
    try:
        plan = _plan(target, scope, now_ms)
    except BadParameterError as error:
        return problem_answer(400, "bad parameter", parameter=error.parameter, detail=error.detail)
    if scope["method"] == "HEAD":
        return Answer(200, HEADERS)
    both = plan.selection & caller.rights
    return plan if both is plan.selection else plan._replace(selection=both)


def _plan(target: Target, scope: Any, now_ms: int) -> Plan:
    # As Quart does, with what werkzeug does about bytes that are no UTF-8.
    pairs = parse_qsl(scope["query_string"].decode("latin1"), keep_blank_values=True, errors="werkzeug.url_quote")
    return stream_parameters(MultiDict(pairs), target.device, header(scope, b"last-event-id"), now_ms)


def header(scope: Any, wanted: bytes) -> str | None:
    """The first header of that name, which ASGI gives in lower case; None when there is none."""
    return next((value.decode("latin1") for name, value in scope["headers"] if name == wanted), None)
