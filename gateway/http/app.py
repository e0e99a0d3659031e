"""Puts the routes together."""

from __future__ import annotations

from quart import Quart, Response
from werkzeug.exceptions import HTTPException

from gateway.counters import Exposition
from gateway.http import devices, health, history, openapi, page
from gateway.http.answers import problem
from gateway.http.parameters import BadParameterError
from gateway.stream.sources import Sources

MAX_REQUEST_BYTES = 16_384
"""The most that is kept of a request's body; no route takes one."""


def make_app(sources: Sources, exposition: Exposition) -> Quart:
    """All routes but the streams'. Every request must come through `gateway.http.gate`, which says who asks."""
    app = Quart("gateway", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    history.add_routes(app, sources)
    devices.add_routes(app, sources)
    health.add_routes(app, sources.readiness, exposition)
    openapi.add_routes(app)
    page.add_routes(app)

    @app.errorhandler(BadParameterError)
    async def bad_parameter(error: BadParameterError) -> Response:
        sources.counters.bad_requests_total += 1
        return problem(400, "bad parameter", parameter=error.parameter, detail=error.detail)

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response | HTTPException:
        if error.code is None or error.code < 400:
            return error  # a redirect
        answer = problem(error.code, error.name.lower())
        answer.headers.update({name: value for name, value in error.get_headers() if name == "Allow"})
        return answer

    return app
