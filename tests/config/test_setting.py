"""How one setting is checked, overridden and written."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.setting import as_toml, default_of, from_text, got, read_section, rule_broken, setting, unknown_key


@dataclass(frozen=True)
class Example:
    count: int = setting(5, "A count.", low=1, high=10)
    pause_s: float = setting(1.5, "A pause.", low=0.5, high=60, unit="s")
    name: str = setting("a", "A name.")
    mode: str = setting("x", "A mode.", choices=("x", "y"))
    on: bool = setting(False, "A switch.")
    hosts: list[str] = setting(["a"], "Some hosts.")
    password: str = setting("", "A secret.", secret=True)


ENTRIES = {entry.name: entry for entry in fields(Example)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 1),
        ("count", 10),
        ("pause_s", 0.5),
        ("pause_s", 60),
        ("name", ""),
        ("name", "größe"),
        ("mode", "y"),
        ("on", True),
        ("hosts", []),
        ("hosts", ["a", "b"]),
    ],
)
def test_a_value_within_its_rules_breaks_none(name, value):
    assert rule_broken(ENTRIES[name], value) is None


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("count", 0, "must be from 1 to 10"),
        ("count", 11, "must be from 1 to 10"),
        ("count", 10**400, "must be from 1 to 10"),
        ("count", 5.0, "must be a whole number"),
        ("count", True, "must be a whole number"),
        ("count", "5", "must be a whole number"),
        ("pause_s", 61, "must be from 0.5 to 60"),
        ("pause_s", 10**400, "must be from 0.5 to 60"),
        ("pause_s", float("nan"), "must be from 0.5 to 60"),
        ("pause_s", float("inf"), "must be from 0.5 to 60"),
        ("pause_s", True, "must be a number"),
        ("pause_s", "1", "must be a number"),
        ("name", 5, "must be text"),
        ("name", "\udc80", "must be text in UTF-8"),
        ("mode", "z", "must be one of 'x', 'y'"),
        ("on", 1, "must be true or false"),
        ("hosts", "a", "must be a list of text"),
        ("hosts", ["a", 1], "must be a list of text"),
        ("hosts", ["\udc80"], "must be a list of text"),
    ],
)
def test_a_value_that_breaks_a_rule_is_told_which(name, value, rule):
    assert rule == rule_broken(ENTRIES[name], value)


def test_a_section_takes_what_is_right_and_lists_all_that_is_wrong():
    problems: list[str] = []
    read = read_section("example", Example, {"count": 99, "pause_s": 2, "naem": "x", "mode": "z", "on": True}, problems)
    assert [
        "example.count: must be from 1 to 10 (got 99)",
        "example.naem: unknown key; did you mean example.name?",
        "example.mode: must be one of 'x', 'y' (got 'z')",
    ] == problems
    assert Example(pause_s=2.0, on=True) == read
    assert float is type(read.pause_s)


def test_a_secret_is_not_in_its_problem():
    problems: list[str] = []
    read_section("example", Example, {"password": 123456}, problems)
    assert ["example.password: must be text (got …)"] == problems


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "(got 5)"),
        ("mqtt://user:hunter2@host", "(got 'mqtt://user:…@host')"),
        (["mqtt://user:hunter2@host"], "(got ['mqtt://user:…@host'])"),
        ("x" * 1000, f"(got '{'x' * 79})"),
    ],
)
def test_what_was_got_is_shown_short_and_without_passwords(value, shown):
    assert shown == got(value)


@pytest.mark.parametrize(
    ("key", "hint"),
    [("http.prot", "; did you mean http.port?"), ("http.zzz", ""), ("mqtt.port", "; did you mean http.port?")],
)
def test_an_unknown_key_is_answered_with_the_nearest_if_one_is_near(key, hint):
    assert f"{key}: unknown key{hint}" == unknown_key(key, ["http.port", "http.certificate"])


def test_what_all_keys_begin_with_makes_none_of_them_near():
    known = ["embedded_broker.host", "embedded_broker.port"]
    assert "embedded_broker.xyz: unknown key" == unknown_key("embedded_broker.xyz", known, "embedded_broker.")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "7", 7),
        ("count", "7.5", "7.5"),
        ("count", "", ""),
        ("count", "9" * 5000, "9" * 5000),
        ("pause_s", "2", 2.0),
        ("pause_s", "x", "x"),
        ("name", "7", "7"),
        ("on", "True", True),
        ("on", "no", False),
        ("on", "perhaps", "perhaps"),
        ("hosts", "a, b,,c ", ["a", "b", "c"]),
        ("hosts", "", []),
    ],
)
def test_text_means_a_value_of_the_settings_type_or_stays_for_the_rules_to_refuse(name, text, value):
    meant = from_text(ENTRIES[name], text)
    assert (value, type(value)) == (meant, type(meant))


def test_lists_are_not_shared_between_instances():
    assert Example().hosts is not Example().hosts
    assert default_of(ENTRIES["hosts"]) is not default_of(ENTRIES["hosts"])
    assert 5 == default_of(ENTRIES["count"])


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet=st.characters(codec="utf-8"))
    | st.sampled_from(["\x7f", '"\\', "\r\n\t\0", "\u2028"])
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.lists(st.text(alphabet=st.characters(codec="utf-8")), max_size=3)
)
def test_any_value_written_as_toml_is_read_back_equal(value):
    assert value == tomllib.loads(f"x = {as_toml(value)}")["x"]
