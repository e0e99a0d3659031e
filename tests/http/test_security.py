"""Who may ask, and what every answer carries."""

from __future__ import annotations

import pytest
from quart import Quart

from gateway.config import Http
from gateway.counters import Counters
from gateway.http.security import CONTENT_POLICY, guard, host_name, host_problem

LOOPBACK = Http()
PUBLIC = Http(host="0.0.0.0")
NAMED = Http(host="0.0.0.0", allowed_hosts=["Gateway.Local.", "fe80::1", "[fe80::2]", "10.0.0.5"])


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8080", "localhost"),
        ("localhost.", "localhost"),
        ("localhost.:8080", "localhost"),
        ("127.0.0.1:8080", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8080", "::1"),
        ("[FE80::1]", "fe80::1"),
        ("::1", "::1"),
        ("[::1]evil.com", ""),
        ("[::1]:80.evil.com", ""),
        ("[::1", "::1"),
        ("[localhost]", ""),
        ("", ""),
        (":80", ""),
        ("[]", ""),
    ],
)
def test_a_host_is_its_name_without_port_brackets_final_dot_and_case(header, name):
    assert name == host_name(header)


@pytest.mark.parametrize(
    "header",
    [
        "localhost",
        "LOCALHOST:8080",
        "localhost.",
        "localhost.:80",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
    ],
)
@pytest.mark.parametrize("settings", [LOOPBACK, PUBLIC, NAMED, Http(allowed_hosts=["a"])])
def test_loopback_names_are_always_answered(header, settings):
    assert host_problem(header, settings) is None


@pytest.mark.parametrize(
    "header",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:localhost",
        "evil.example:80:localhost",
        "localhost@evil.example",
        "[::1].evil.example",
        "[::1]:80.evil.example",
        "127.0.0.1%00",
        "localhost..",
        "0.0.0.0",
        "",
        "[]",
        ":80",
    ],
)
def test_a_loopback_gateway_answers_to_no_other_name(header):
    assert "this gateway does not answer to the name" in host_problem(header, LOOPBACK)
    assert "this gateway does not answer to the name" in host_problem(header, NAMED)


@pytest.mark.parametrize("header", ["gateway.local", "GATEWAY.LOCAL.:8080", "[fe80::1]:80", "[FE80::2]", "10.0.0.5:1"])
def test_configured_hosts_are_answered_in_any_writing(header):
    assert host_problem(header, NAMED) is None


def test_a_gateway_for_others_without_configured_hosts_answers_to_any_name():
    assert host_problem("anything.example", PUBLIC) is None


def test_the_loopback_address_that_is_listened_on_is_answered():
    assert host_problem("127.0.0.2:8080", Http(host="127.0.0.2")) is None
    assert host_problem("127.0.0.2:8080", LOOPBACK)


def test_the_answer_names_the_host_short_and_the_setting():
    problem = host_problem("x" * 10_000, LOOPBACK)
    assert "http.allowed_hosts" in problem
    assert len(problem) < 250


def make_client(settings: Http):
    app, counters = Quart("test"), Counters()
    guard(app, settings, counters)

    @app.get("/x")
    async def answer() -> str:
        return "hello"

    return app.test_client(), counters


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("evil.example", 403), ("", 200)])
async def test_a_foreign_host_gets_a_403_that_is_counted(host, status):
    client, counters = make_client(LOOPBACK)
    answer = await client.get("/x", headers={"Host": host})
    assert (status, status == 403) == (answer.status_code, counters.bad_requests_total == 1)
    assert "nosniff" == answer.headers["X-Content-Type-Options"]


async def test_every_answer_is_not_sniffed_not_cached_and_tells_no_referrer():
    client, _ = make_client(LOOPBACK)
    for path in ("/x", "/missing"):
        headers = (await client.get(path, headers={"Host": "localhost"})).headers
        found = [headers.get(name) for name in ("X-Content-Type-Options", "Referrer-Policy", "Cache-Control")]
        assert ["nosniff", "no-referrer", "no-store"] == found
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ([], "https://a.example", None),
        (["https://a.example"], "https://a.example", "https://a.example"),
        (["https://a.example"], "https://a.example:8080", None),
        (["https://a.example"], "http://a.example", None),
        (["https://a.example"], "https://a.example.evil", None),
        (["https://a.example"], "null", None),
        (["https://a.example"], None, None),
        (["https://a.example", "*"], "https://b.example", "*"),
    ],
)
async def test_only_configured_origins_may_read(origins, origin, allowed):
    client, _ = make_client(Http(cors_origins=origins))
    headers = {"Host": "localhost", **({"Origin": origin} if origin else {})}
    answer = await client.get("/x", headers=headers)
    assert allowed == answer.headers.get("Access-Control-Allow-Origin")
    assert (["Origin"] if origins else []) == answer.headers.getlist("Vary")
    assert answer.headers.get("Access-Control-Allow-Credentials") is None


async def test_a_preflight_for_the_last_event_id_is_allowed():
    client, _ = make_client(Http(cors_origins=["https://a.example"]))
    asked = {"Host": "localhost", "Origin": "https://a.example", "Access-Control-Request-Headers": "last-event-id"}
    headers = (await client.options("/x", headers=asked)).headers
    assert "Last-Event-ID" in headers["Access-Control-Allow-Headers"]
    assert "600" == headers["Access-Control-Max-Age"]


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline():
    policy = dict(part.strip().split(" ", 1) for part in CONTENT_POLICY.split(";"))
    assert "'none'" == policy["default-src"]
    assert "'self'" == policy["script-src"] == policy["connect-src"]
    assert "unsafe" not in CONTENT_POLICY
