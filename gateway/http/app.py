"""Puts the routes together."""

from __future__ import annotations

from quart import Quart, Response
from werkzeug.exceptions import HTTPException

from gateway.config import Http
from gateway.counters import Counters, Exposition
from gateway.devices.registry import Registry
from gateway.http import devices, health, history, openapi, page, security, streams
from gateway.http.answers import problem
from gateway.http.parameters import BadParameterError
from gateway.http.streams import Streams
from gateway.log import Log
from gateway.stream.readiness import Readiness

MAX_REQUEST_BYTES = 16_384
"""No route takes a body."""


def make_app(  # noqa: PLR0913, PLR0917 - one argument for each station it shows
    settings: Http,
    log: Log,
    registry: Registry,
    counters: Counters,
    open_streams: Streams,
    exposition: Exposition,
    readiness: Readiness,
) -> Quart:
    """Everything but the streams, which `gateway.http.hypercorn.front` serves."""
    app = Quart("gateway", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    security.guard(app, settings, counters)
    streams.add_routes(app, open_streams)
    history.add_routes(app, log, registry)
    devices.add_routes(app, log, registry)
    health.add_routes(app, readiness, exposition)
    openapi.add_routes(app)
    page.add_routes(app)

    @app.errorhandler(BadParameterError)
    async def bad_parameter(error: BadParameterError) -> Response:
        counters.bad_requests_total += 1
        return problem(400, "bad parameter", parameter=error.parameter, detail=error.detail)

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response | HTTPException:
        if error.code is None or error.code < 400:
            return error  # a redirect
        answer = problem(error.code, error.name.lower())
        answer.headers.update({name: value for name, value in error.get_headers() if name == "Allow"})
        return answer

    return app
