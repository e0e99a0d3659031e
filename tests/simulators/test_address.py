from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.address import Broker


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mqtt://localhost", "mqtt://localhost:1883"),
        ("mqtt://localhost/", "mqtt://localhost:1883"),
        ("mqtts://broker.example", "mqtts://broker.example:8883"),
        ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
        ("ws://localhost:9001", "ws://localhost:9001/mqtt"),
        ("wss://broker.example/a/b", "wss://broker.example:443/a/b"),
    ],
)
def test_an_address_gets_the_port_and_path_of_its_scheme(url: str, shown: str) -> None:
    assert shown == str(Broker.parse(url))


def test_user_and_password_come_from_the_url_unquoted() -> None:
    broker = Broker.parse("mqtt://ann:p%40ss@localhost")
    assert ("ann", "p@ss") == (broker.username, broker.password)


def test_user_and_password_given_beside_the_url_win() -> None:
    broker = Broker.parse("mqtt://ann:old@localhost", username="bob", password="new")
    assert ("bob", "new") == (broker.username, broker.password)


def test_a_password_is_never_shown() -> None:
    broker = Broker.parse("mqtt://ann:secret@localhost")
    assert "secret" not in str(broker) + repr(broker)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("localhost:1883", "must be mqtt://"),
        ("http://localhost", "must be mqtt://"),
        ("mqtt://", "must be mqtt://"),
        ("mqtt://localhost:0", "port"),
        ("mqtt://localhost:70000", "not an address"),
        ("mqtt://localhost:abc", "not an address"),
        ("mqtt://[::1", "not an address"),
        ("mqtt://localhost/path", "have a path"),
        ("ws://localhost/mqtt?a=b", "no \\? and no #"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Broker.parse(url)


def test_a_refusal_does_not_repeat_the_password() -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        Broker.parse("http://ann:secret@localhost")
    assert "secret" not in str(refused.value)


def test_a_password_without_a_user_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a username"):
        Broker.parse("mqtt://localhost", password="secret")


def test_a_ca_file_without_tls_is_refused() -> None:
    with pytest.raises(ValueError, match="needs mqtts://"):
        Broker.parse("mqtt://localhost", ca="ca.pem")


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    for url in (text, f"mqtt://{text}"):
        try:
            broker = Broker.parse(url)
        except ValueError:
            continue
        assert 1 <= broker.port <= 65_535
        assert broker.host
