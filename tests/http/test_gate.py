"""The gate: who may ask, what every answer carries, and that nobody is shown what lies outside of their rights."""

from __future__ import annotations

import asyncio
import errno
import json
from typing import Any

import pytest

from gateway.config import Http
from gateway.log import Log
from gateway.selection import Selection, select
from tests.http.parts import House, ask, open_stream
from tests.log.parts import ONE_A_SEGMENT, append, draft, open_log

ORIGIN = "https://a.example"
STREAMS = ("/api/stream", "/api/devices/a/stream")


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("evil.example", 403), ("", 200)])
@pytest.mark.parametrize("path", ["/api/devices", "/healthz"])
async def test_a_foreign_host_gets_a_403_that_is_counted(log: Log, path: str, host: str, status: int) -> None:
    house = House(log)
    answer = await ask(house.gate, path, host=host)
    assert (status, status == 403) == (answer.status_code, house.sources.counters.bad_requests_total == 1)
    assert "nosniff" == answer.headers["X-Content-Type-Options"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", [*STREAMS, "/api/devices", "/api/nothing"])
async def test_a_foreign_host_gets_nothing_whatever_it_asks(log: Log, path: str, method: str) -> None:
    answer = await ask(House(log).gate, path, method, host="evil.example")
    assert 403 == answer.status_code
    assert ("" if method == "HEAD" else "this gateway does not answer to the name") == answer.text[:40]


@pytest.mark.parametrize("path", ["/healthz", "/missing", "/api/stream?x=1", "/api/devices"])
async def test_every_answer_is_not_sniffed_not_cached_and_tells_no_referrer(log: Log, path: str) -> None:
    headers = (await ask(House(log).gate, path)).headers
    found = [headers.get(name) for name in ("X-Content-Type-Options", "Referrer-Policy", "Cache-Control")]
    assert ["nosniff", "no-referrer", "no-store"] == found
    assert "Access-Control-Allow-Origin" not in headers


async def test_an_answer_s_own_headers_win_over_those_of_every_answer(log: Log) -> None:
    answer = await ask(House(log).gate, "/")
    assert ["no-cache"] == answer.headers.get_list("Cache-Control")


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ([], ORIGIN, None),
        ([ORIGIN], ORIGIN, ORIGIN),
        ([ORIGIN], "https://a.example:8080", None),
        ([ORIGIN], "http://a.example", None),
        ([ORIGIN], "https://a.example.evil", None),
        ([ORIGIN], "null", None),
        ([ORIGIN], None, None),
        ([ORIGIN, "*"], "https://b.example", "*"),
    ],
)
@pytest.mark.parametrize(("path", "method"), [("/healthz", "GET"), ("/api/stream", "HEAD"), ("/api/stream?x=1", "GET")])
async def test_only_configured_origins_may_read(
    log: Log, origins: list[str], origin: str | None, allowed: str | None, path: str, method: str
) -> None:
    house = House(log, Http(cors_origins=origins))
    answer = await ask(house.gate, path, method, {"Origin": origin} if origin else {})
    assert allowed == answer.headers.get("Access-Control-Allow-Origin")
    assert (["Origin"] if origins else []) == answer.headers.get_list("Vary")
    assert answer.headers.get("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize("path", [*STREAMS, "/api/devices"])
async def test_a_preflight_for_the_last_event_id_is_allowed(log: Log, path: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Headers": "last-event-id"}
    answer = await ask(House(log, Http(cors_origins=[ORIGIN])).gate, path, "OPTIONS", asked)
    assert (200, "") == (answer.status_code, answer.text)
    assert "Last-Event-ID" in answer.headers["Access-Control-Allow-Headers"]
    assert "600" == answer.headers["Access-Control-Max-Age"]


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_route_answers_every_method(log: Log, path: str) -> None:
    house = House(log)
    head = await ask(house.gate, path, "HEAD")
    assert (200, "text/event-stream", "") == (head.status_code, head.headers["Content-Type"], head.text)
    assert 400 == (await ask(house.gate, f"{path}?last=0", "HEAD")).status_code
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        refused = await ask(house.gate, path, method)
        assert (405, {"error": "method not allowed"}) == (refused.status_code, refused.json())
        assert "GET, HEAD, OPTIONS" == refused.headers["Allow"]
    assert 0 == house.sources.counters.streams_opened_total


async def test_a_stream_carries_what_every_answer_carries(log: Log) -> None:
    house = House(log, Http(cors_origins=[ORIGIN]))
    other = (await ask(house.gate, "/api/devices", headers={"Origin": ORIGIN})).headers
    async with open_stream(house.gate, "/api/stream", {"origin": ORIGIN}) as browser:
        await browser.wait_for("live")
        own = {name.decode(): value.decode() for name, value in browser.start["headers"]}
    shared = set(other) - {"content-length", "content-type"}
    assert {name: other[name] for name in shared} == {name: own[name] for name in shared}
    assert len(own) == len(browser.start["headers"])


async def test_a_connection_that_broke_is_no_fault_of_the_server(log: Log) -> None:
    house = House(log)

    async def receive() -> None:
        await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    scope = {"type": "http", "method": "GET", "path": "/api/stream", "query_string": b"", "headers": []}
    await house.gate(scope, receive, send)
    assert 0 == len(house.streams)


class TestRights:
    """A caller who may see `kitchen/*` and `a`; in the log are also `b` and `secret`."""

    RIGHTS = select(["kitchen/*", "a"])
    DEVICES = ("a", "b", "kitchen/fridge", "kitchen/oven", "secret")

    async def house(self, log: Log) -> House:
        house = House(log, rights=self.RIGHTS)
        log.listeners.append(house.sources.registry.apply)
        await append(log, *[draft(n, device) for n, device in enumerate(self.DEVICES)])
        return house

    async def test_the_list_of_devices_holds_those_that_may_be_seen(self, log: Log) -> None:
        house = await self.house(log)
        listed = (await ask(house.gate, "/api/devices")).json()["devices"]
        assert ["a", "kitchen/fridge", "kitchen/oven"] == [device["device"] for device in listed]

    @pytest.mark.parametrize(
        "path",
        [
            "/api/devices/{}",
            "/api/devices/{}/readings",
            "/api/devices/{}/readings?format=ndjson",
            "/api/devices/{}/readings?format=csv",
            "/api/devices/{}/readings?buckets=3",
            "/api/devices/{}/readings?limit=1&metric=x",
            "/api/devices/{}/readings?after=1",
            "/api/devices/{}/readings?since=1000",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_a_device_outside_of_them_is_answered_as_one_that_does_not_exist(
        self, log: Log, path: str, method: str
    ) -> None:
        house = await self.house(log)
        hidden, missing = [await ask(house.gate, path.format(name), method) for name in ("secret", "nobody")]
        assert (missing.status_code, missing.text) == (hidden.status_code, hidden.text.replace("secret", "nobody"))
        assert missing.headers == hidden.headers
        seen = await ask(house.gate, path.format("a"), method)
        assert (200, method == "HEAD") == (seen.status_code, seen.text == missing.text == "")

    @pytest.mark.parametrize(
        ("path", "seen"),
        [
            ("/api/stream", ["a", "kitchen/fridge", "kitchen/oven"]),
            ("/api/stream?device=*", ["a", "kitchen/fridge", "kitchen/oven"]),
            ("/api/stream?device=*r*", ["kitchen/fridge"]),
            ("/api/stream?device=secret&device=kitchen/oven", ["kitchen/oven"]),
            ("/api/devices/a/stream", ["a"]),
            ("/api/devices/secret/stream", []),
            ("/api/stream?device=s*", []),
        ],
    )
    async def test_a_stream_shows_live_replayed_and_known_devices_within_them(
        self, log: Log, path: str, seen: list[str]
    ) -> None:
        house = await self.house(log)
        sign = "&" if "?" in path else "?"
        async with (
            open_stream(house.gate, path) as live,
            open_stream(house.gate, f"{path}{sign}last=99") as replay,
            open_stream(house.gate, f"{path}{sign}last=99&mode=latest") as latest,
            open_stream(house.with_rights(select(["*"])), "/api/stream") as all_,
        ):
            for browser in (live, replay, latest, all_):
                await browser.wait_for("live")
            assert seen == [event.data["device"] for event in live.source.of("latest")]
            for browser in (replay, latest):
                assert seen == [event.data["device"] for event in browser.source.of("message")]
            await append(log, *[draft(n, device) for n, device in enumerate(self.DEVICES)])
            await all_.wait_for("message")
            await asyncio.sleep(0.05)
            assert seen == [event.data["device"] for event in live.source.of("message")]
            for browser in (live, replay, latest):
                assert b"secret" not in browser.body
                assert b'"b"' not in browser.body

    async def test_a_gap_tells_positions_and_nothing_of_devices(self, log: Log) -> None:
        house = await self.house(log)
        async with open_stream(house.gate, "/api/devices/secret/stream?after=1") as browser:
            await browser.wait_for("live")
            assert ["hello", "gap", "live"] == browser.types
            assert {"asked", "floor", "head", "reason"} == set(browser.source.of("gap")[0].data)
            assert b"secret" not in browser.body

    async def test_a_replay_from_disk_keeps_to_them(self, tmp_path: Any) -> None:
        log = await open_log(tmp_path, segment_bytes=ONE_A_SEGMENT, tail_bytes=1)
        house = House(log, rights=self.RIGHTS)
        for number, device in enumerate(self.DEVICES):
            await append(log, draft(number, device))
        async with open_stream(house.gate, "/api/stream?device=*e*&after=earliest") as browser:
            await browser.wait_for("live")
        told = [event.data["device"] for event in browser.source.of("message")]
        assert ["kitchen/fridge", "kitchen/oven"] == told
        answer = (await ask(house.gate, "/api/devices/*/readings")).json()
        assert ["a", "kitchen/fridge", "kitchen/oven"] == [each["device"] for each in answer["readings"]]
        await log.close()

    async def test_who_may_see_nothing_gets_a_stream_of_nothing(self, log: Log) -> None:
        house = await self.house(log)
        gate = house.with_rights(Selection(frozenset()))
        assert [] == (await ask(gate, "/api/devices")).json()["devices"]
        async with open_stream(gate, "/api/stream?last=9") as browser:
            await browser.wait_for("live")
            assert ["hello", "live"] == browser.types

    async def test_a_bad_parameter_is_named_whatever_the_rights(self, log: Log) -> None:
        house = await self.house(log)
        answer = await ask(house.gate, "/api/devices/secret/stream?interval=1")
        assert (400, "interval") == (answer.status_code, json.loads(answer.content)["parameter"])
