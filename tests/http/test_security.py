"""Which names are answered to, and what the page may load."""

from __future__ import annotations

import pytest

from gateway.config import Http
from gateway.http.security import CONTENT_POLICY, host_name, host_problem

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


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline():
    policy = dict(part.strip().split(" ", 1) for part in CONTENT_POLICY.split(";"))
    assert "'none'" == policy["default-src"]
    assert "'self'" == policy["script-src"] == policy["connect-src"]
    assert "unsafe" not in CONTENT_POLICY
