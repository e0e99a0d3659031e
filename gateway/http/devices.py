"""What is known of devices: their newest values, units and status, and the position to join a stream at."""

from __future__ import annotations

from quart import Blueprint, Quart, Response, request

from gateway.http.answers import json_answer, problem
from gateway.http.caller import rights
from gateway.http.parameters import only_known
from gateway.selection import Selection
from gateway.stream.sources import Sources


def add_routes(app: Quart, sources: Sources) -> None:
    """Mount the two device routes; a device outside of the caller's rights is one of which nothing is known."""
    log, registry, clock = sources.log, sources.registry, sources.clock
    blueprint = Blueprint("devices", __name__)

    @blueprint.get("/api/devices")
    async def all_devices() -> Response:
        _no_parameters()
        if not registry.is_current:
            return _not_yet()
        shown = b",".join(registry.shown(rights()))
        return json_answer(b'{"position":%d,"time":%d,"devices":[%b]}' % (log.head, clock.wall_ms(), shown))

    @blueprint.get("/api/devices/<path:device>")
    async def one_device(device: str) -> Response:
        _no_parameters()
        if not registry.is_current:
            return _not_yet()
        if device not in registry or device not in rights():
            return problem(404, "unknown device", device=device)
        (shown,) = registry.shown(Selection(frozenset([device])))
        return json_answer(b'{"position":%d,"time":%d,%b' % (log.head, clock.wall_ms(), shown[1:]))

    app.register_blueprint(blueprint)


def _not_yet() -> Response:
    """A part of the devices would look like all of them. How far the gateway is stands in ``/readyz`` and in every stream."""
    answer = problem(503, "not ready", detail="reading the log to learn of its devices")
    answer.headers["Retry-After"] = "1"
    return answer


def _no_parameters() -> None:
    only_known(request.args, ())
