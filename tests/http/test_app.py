from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gateway.config import Http
from gateway.counters import Counters, Exposition
from gateway.http.app import make_app
from gateway.http.gate import Gate
from gateway.log import Log
from gateway.stream.streams import Streams
from tests.stream.parts import sources_of


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def app(log: Log, counters: Counters) -> Gate:
    sources = sources_of(log)._replace(counters=counters)
    made = make_app(sources, Exposition(counters, {}))
    made.logger.disabled = True

    @made.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("a secret")

    return Gate(made, Streams(sources, Http(), bytes).serve, Http(), sources)


async def ask(app: Gate, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.request(method, path)


async def answer(app: Gate, path: str, method: str = "GET") -> tuple[int, Any]:
    response = await ask(app, path, method)
    return response.status_code, json.loads(response.content)


async def test_what_is_not_there_is_a_404_in_json(app: Gate) -> None:
    assert (404, {"error": "not found"}) == await answer(app, "/api/nothing")


async def test_another_method_is_a_405_that_names_the_allowed(app: Gate) -> None:
    assert (405, {"error": "method not allowed"}) == await answer(app, "/api/devices", "POST")
    response = await ask(app, "/api/devices", "POST")
    assert {"GET", "HEAD", "OPTIONS"} == {each.strip() for each in response.headers["Allow"].split(",")}


async def test_a_fault_of_ours_is_a_500_that_tells_nothing(app: Gate) -> None:
    assert (500, {"error": "internal server error"}) == await answer(app, "/broken")


async def test_a_bad_parameter_is_counted(app: Gate, counters: Counters) -> None:
    status, body = await answer(app, "/api/stream?intervall=1s")
    assert (400, "intervall", "unknown; did you mean 'interval'?") == (status, body["parameter"], body["detail"])
    assert 1 == counters.bad_requests_total


async def test_answers_are_not_cached_and_not_sniffed(app: Gate) -> None:
    response = await ask(app, "/api/devices")
    assert ("no-store", "nosniff") == (response.headers["Cache-Control"], response.headers["X-Content-Type-Options"])
