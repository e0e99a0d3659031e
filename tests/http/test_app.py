from __future__ import annotations

import json
from typing import Any

import pytest
from quart import Quart

from gateway.config import Http
from gateway.counters import Counters, Exposition
from gateway.devices.registry import Registry
from gateway.http.app import make_app
from gateway.http.streams import Streams
from gateway.log import Log
from gateway.stream.readiness import Readiness


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def app(log: Log, counters: Counters) -> Quart:
    registry = Registry()
    streams = Streams(log, registry, counters, Http(), Readiness())
    made = make_app(Http(), log, registry, counters, streams, Exposition(counters, {}), Readiness())
    made.logger.disabled = True

    @made.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("a secret")

    return made


async def answer(app: Quart, path: str, method: str = "GET") -> tuple[int, Any]:
    response = await app.test_client().open(path, method=method, headers={"Host": "localhost"})
    return response.status_code, json.loads(await response.get_data())


async def test_what_is_not_there_is_a_404_in_json(app: Quart) -> None:
    assert (404, {"error": "not found"}) == await answer(app, "/api/nothing")


async def test_another_method_is_a_405_that_names_the_allowed(app: Quart) -> None:
    assert (405, {"error": "method not allowed"}) == await answer(app, "/api/devices", "POST")
    response = await app.test_client().post("/api/devices", headers={"Host": "localhost"})
    assert {"GET", "HEAD", "OPTIONS"} == {each.strip() for each in response.headers["Allow"].split(",")}


async def test_a_fault_of_ours_is_a_500_that_tells_nothing(app: Quart) -> None:
    assert (500, {"error": "internal server error"}) == await answer(app, "/broken")


async def test_a_bad_parameter_is_counted(app: Quart, counters: Counters) -> None:
    status, body = await answer(app, "/api/stream?intervall=1s")
    assert (400, "intervall", "unknown; did you mean 'interval'?") == (status, body["parameter"], body["detail"])
    assert 1 == counters.bad_requests_total


async def test_answers_are_not_cached_and_not_sniffed(app: Quart) -> None:
    response = await app.test_client().get("/api/devices", headers={"Host": "localhost"})
    assert ("no-store", "nosniff") == (response.headers["Cache-Control"], response.headers["X-Content-Type-Options"])
