"""A broker's address."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Broker, parse_broker
from gateway.config.broker import without_password


def broker(**others) -> Broker:
    plain = {
        "transport": "tcp",
        "host": "h",
        "port": 1883,
        "path": "/mqtt",
        "tls": False,
        "username": "",
        "password": "",
    }
    return Broker(**{**plain, **others})


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("mqtt://h", broker()),
        ("mqtt://h/", broker(path="/")),
        ("MQTT://H:1884", broker(port=1884)),
        ("mqtts://h", broker(port=8883, tls=True)),
        ("ws://h", broker(transport="websockets", port=80)),
        ("ws://h:8080/a/b", broker(transport="websockets", port=8080, path="/a/b")),
        ("wss://h/mqtt?token=x%20y", broker(transport="websockets", port=443, path="/mqtt?token=x%20y", tls=True)),
        ("mqtt://[::1]:1884", broker(host="::1", port=1884)),
        ("mqtt://user:p%40s%2Fs%23@h", broker(username="user", password="p@s/s#")),
        ("mqtt://user@h", broker(username="user")),
        ("mqtt://u:a@b@h", broker(username="u", password="a@b")),
        ("mqtt://größe.example", broker(host="größe.example")),
    ],
)
def test_an_address_is_taken_apart(address, expected):
    assert expected == parse_broker(address)


@pytest.mark.parametrize(
    ("address", "part_of_rule"),
    [
        ("", "must be like"),
        ("h", "must be like"),
        ("h:1883", "must be like"),
        ("http://h", "must be like"),
        ("mqtt://", "must be like"),
        ("mqtt:h", "must be like"),
        ("mqtt://:1883", "must be like"),
        ("mqtt://u:hunter2@", "must be like"),
        ("mqtt://h/path", "may have a path only with ws"),
        ("mqtt://h?x=hunter2", "may have a path only with ws"),
        ("mqtt://h:0", "port from 1 to 65535"),
        ("mqtt://h:65536", "port from 1 to 65535"),
        ("mqtt://h:x", "port from 1 to 65535"),
        ("mqtt://h:1:2", "port from 1 to 65535"),
        ("mqtt://[::1", "must have a host"),
        ("mqtt://u:hunter2\u2100@h", "must have a host"),
        ("mqtt://u:hunter2#x@h", "no '#'"),
        ("mqtt://u:123#@h", "no '#'"),
        ("mqtt://h h", "no blank"),
        ("mqtt://h\n", "no blank"),
        ("mqtt://h\t:1", "no blank"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_with_its_rule_and_nothing_of_itself(address, part_of_rule):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the rule is compared as plain text below
        parse_broker(address)
    assert part_of_rule in str(refused.value)
    assert "hunter2" not in str(refused.value)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=20) | st.text(alphabet="[]:/@#?.%a1\u2100", max_size=15).map("mqtt://".__add__))
def test_any_text_is_an_address_or_a_value_error(address):
    try:
        found = parse_broker(address)
    except ValueError:
        return
    assert found.host
    assert 1 <= found.port <= 65_535


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("mqtt://user:hunter2@host:1", "mqtt://user:…@host:1"),
        ("mqtt://user:hun@ter://2@host", "mqtt://user:…@host"),
        ("mqtt:user:hunter2@host", "mqtt:…@host"),
        ("user:hunter2@host", "user:…@host"),
        ("mqtt://user@host", "mqtt://user@host"),
        ("mqtt://host:1883", "mqtt://host:1883"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_password(address, shown):
    assert shown == without_password(address)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab:/@#", max_size=8))
def test_no_password_whatever_is_shown(password):
    shown = without_password(f"mqtt://user:<{password}>@host")
    assert "mqtt://user:…@host" == shown
