"""The route of the readings of one device."""

from __future__ import annotations

from collections.abc import AsyncIterator

from quart import Blueprint, Quart, Response, request

from gateway.history import formats
from gateway.history.query import History
from gateway.http.answers import json_answer
from gateway.http.caller import rights
from gateway.http.parameters import HistoryParameters, history_parameters
from gateway.selection import Selection
from gateway.stream.sources import Sources


def add_routes(app: Quart, sources: Sources) -> None:
    """Mount the route."""
    blueprint = Blueprint("history", __name__)
    clock = sources.clock

    @blueprint.get("/api/devices/<path:device>/readings")
    async def readings(device: str) -> Response:
        now_ms = clock.wall_ms()
        asked = history_parameters(request.args, request.headers.get("Accept", ""), now_ms)
        selection = Selection(frozenset([device])) & rights()
        history = await History.find(sources.log, selection, asked.plan)
        headers = {"X-Position": str(history.end)}
        if asked.plan.buckets:
            answer = json_answer(await _buckets(history, device, asked, now_ms))
            answer.headers.update(headers)
            return answer
        media = formats.TYPES[asked.format]
        if request.method == "HEAD":
            return Response(b"", headers=headers, content_type=media)
        known = sources.registry.get(device) if device in selection else None
        metrics = sorted(asked.plan.metrics or (known.values if known else ()))
        response = Response(_body(history, device, asked, metrics), headers=headers, content_type=media)
        response.timeout = None  # a long history on a slow line takes more than Quart's minute
        return response

    app.register_blueprint(blueprint)


async def _buckets(history: History, device: str, asked: HistoryParameters, now_ms: int) -> bytes:
    plan = asked.plan
    until_ms = plan.until_ms if plan.until_ms is not None else now_ms
    return await formats.buckets(history, device, plan.since_ms, until_ms, plan.buckets or 1)


def _body(history: History, device: str, asked: HistoryParameters, metrics: list[str]) -> AsyncIterator[bytes]:
    if asked.format == "json":
        return formats.json(history, device)
    return formats.ndjson(history) if asked.format == "ndjson" else formats.csv_lines(history, metrics)
