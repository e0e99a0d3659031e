"""The API for machines: OpenAPI 3.1, written by hand and held to the routes by a test."""

from __future__ import annotations

from typing import Any

import msgspec
from quart import Blueprint, Quart, Response

from gateway import __version__
from gateway.http.answers import json_answer

_TEXT = {"type": "string"}
_DURATION = "90s, 15m, 2h, 1d, an ISO 8601 time with a zone, or Unix ms"


def _query(name: str, meaning: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": meaning, "schema": schema or _TEXT}


def _several(name: str, meaning: str) -> dict[str, Any]:
    return _query(name, meaning, {"type": "array", "items": _TEXT})


def _number(name: str, meaning: str, low: int, high: int) -> dict[str, Any]:
    return _query(name, meaning, {"type": "integer", "minimum": low, "maximum": high})


_DEVICE = {"name": "device", "in": "path", "required": True, "schema": _TEXT, "description": "name; may hold slashes"}
_METRIC = _several("metric", "only these metrics")
_STREAM = [
    _query("after", "an event id, earliest or head"),
    _query("since", _DURATION),
    _number("last", "start so that this many entries are replayed", 1, 100_000),
    _query("mode", "all entries, or the newest of each metric", {"enum": ["every", "latest"]}),
    _query("interval", "50ms to 60s: send at most this often"),
    _METRIC,
    _query("snapshot", "begin with latest blocks", {"enum": ["yes", "no"]}),
    {"name": "Last-Event-ID", "in": "header", "description": "wins over after, since and last", "schema": _TEXT},
]
_READINGS = [
    _query("since", _DURATION),
    _query("until", _DURATION),
    _query("after", "an event id"),
    _METRIC,
    _number("limit", "the newest, at most this many", 1, 100_000),
    _number("buckets", "min, mean, max and count over this many equal spans of time", 1, 10_000),
    _query("format", "wins over Accept", {"enum": ["json", "ndjson", "csv"]}),
]


def _get(summary: str, media: str, parameters: list[dict[str, Any]] | None = None, **others: str) -> dict[str, Any]:
    answers = {"200": {"description": "OK", "content": {media: {}}}}
    answers |= {code.removeprefix("s"): {"description": text} for code, text in others.items()}
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": answers}}


_BAD = "a parameter is wrong; the body names it"
PATHS = {
    "/api/stream": _get(
        "Many devices on one stream", "text/event-stream", [_several("device", "names and globs"), *_STREAM], s400=_BAD
    ),
    "/api/devices/{device}/stream": _get("One device's stream", "text/event-stream", [_DEVICE, *_STREAM], s400=_BAD),
    "/api/devices/{device}/readings": _get(
        "One device's readings", "application/json", [_DEVICE, *_READINGS], s400=_BAD
    ),
    "/api/devices/{device}": _get("One device", "application/json", [_DEVICE], s404="nothing is known of it"),
    "/api/devices": _get("All devices", "application/json"),
    "/healthz": _get("The process serves", "application/json"),
    "/readyz": _get("Readings can come in", "application/json", s503="they cannot; the body says why"),
    "/metrics": _get("Counters for Prometheus", "text/plain"),
    "/api/openapi.json": _get("This description", "application/json"),
    "/": _get("The page", "text/html"),
}


def add_routes(app: Quart) -> None:
    """Mount ``/api/openapi.json``."""
    blueprint = Blueprint("openapi", __name__)
    document = {"openapi": "3.1.0", "info": {"title": "Sensor Gateway", "version": __version__}, "paths": PATHS}
    text = msgspec.json.encode(document)

    @blueprint.get("/api/openapi.json")
    async def openapi() -> Response:
        return json_answer(text)

    app.register_blueprint(blueprint)
