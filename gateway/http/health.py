"""The routes about the gateway itself: does it serve, can readings come in and be kept, and every counter."""

from __future__ import annotations

import asyncio
import importlib

import msgspec
from quart import Blueprint, Quart, Response

from gateway.counters import Exposition
from gateway.http.answers import json_answer
from gateway.stream.readiness import Readiness


def add_routes(app: Quart, readiness: Readiness, exposition: Exposition) -> None:
    """Mount ``/healthz``, ``/readyz`` and ``/metrics``."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    async def healthz() -> Response:
        return json_answer(b'{"status":"ok"}')

    @blueprint.get("/readyz")
    async def readyz() -> Response:
        readiness.look()
        return json_answer(msgspec.json.encode(readiness.body), 200 if readiness.is_ready else 503)

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        # In a thread the first time, because it takes 40 ms; the counters themselves are the event loop's.
        prometheus = await asyncio.to_thread(importlib.import_module, "prometheus_client")
        registry = prometheus.CollectorRegistry()
        registry.register(exposition)
        return Response(prometheus.generate_latest(registry), content_type=prometheus.CONTENT_TYPE_LATEST)

    app.register_blueprint(blueprint)
