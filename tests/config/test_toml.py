"""The configuration written out as a file."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Config, load, to_toml
from gateway.config.rules import relations_broken
from gateway.config.table import SECTIONS, Mqtt, Topic

printable = st.text(alphabet=st.characters(codec="utf-8"), max_size=8)


def any_value(entry) -> st.SearchStrategy:
    rules = entry.metadata
    if "choices" in rules:
        return st.sampled_from(rules["choices"])
    if rules["type"] is int:
        return st.integers(rules["low"], rules["high"])
    if rules["type"] is float:
        return st.floats(rules["low"], rules["high"])
    return st.lists(printable, max_size=2) if rules["type"] is list else printable


NEEDS_MORE = {"certificate", "key", "ca", "broker", "password", "cors_origins", "allowed_hosts"}
"""Settings whose values must name a file, or have a form; they are tested by themselves."""

sections = st.fixed_dictionaries(
    {
        name: st.builds(
            kind, **{entry.name: any_value(entry) for entry in fields(kind) if entry.name not in NEEDS_MORE}
        )
        for name, kind in SECTIONS.items()
    }
)
units = st.dictionaries(printable, st.sampled_from(["Cel", "%RH", '"\\']), max_size=3)
topics = st.sampled_from([(Topic(pattern="a/{device}", kind="info", qos=0, filter="a/+"), Topic(pattern="b/{device}"))])


@settings(max_examples=30, deadline=None)
@given(sections, units, topics, st.booleans())
def test_any_configuration_written_out_loads_as_the_same(tmp_path_factory, parts, of_metrics, of_topics, comments):
    config = Config(**parts, units=of_metrics, topics=of_topics)
    log = config.log
    config = replace(
        config,
        http=replace(config.http, retry_max_ms=600_000),
        log=replace(
            log,
            commit_interval_max_ms=60_000,
            retention_bytes=2**44,
            retention_age_s=float(max(log.retention_age_s, log.segment_age_s)),
        ),
    )
    assert [] == relations_broken(config)
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.write_text(to_toml(config, comments=comments), "utf-8", newline="")
    assert config == load(path, [], {})


def test_lists_are_written_out_too(tmp_path):
    overrides = [("http.allowed_hosts", "a.example,[::1]"), ("http.cors_origins", "https://a.example,*")]
    config = load(None, overrides, {})
    path = tmp_path / "written.toml"
    path.write_text(to_toml(config, comments=False), "utf-8")
    assert config == load(path, [], {})


def test_numbers_keep_all_their_digits():
    config = load(None, [("devices.silent_after_s", "1234567.125"), ("log.segment_age_s", "12345.678")], {})
    written = tomllib.loads(to_toml(config, comments=False))
    assert (1234567.125, 12345.678) == (written["devices"]["silent_after_s"], written["log"]["segment_age_s"])


@pytest.mark.parametrize("comments", [False, True])
def test_secrets_are_not_written(comments):
    config = Config(mqtt=Mqtt(broker="mqtts://user:hunter2@host", password="hunter3"))
    text = to_toml(config, comments=comments)
    assert "hunter" not in text
    written = tomllib.loads(text)["mqtt"]
    assert ("mqtts://user:(set)@host", "(set)") == (written["broker"], written["password"])


def test_an_address_without_a_password_is_written_as_it_is():
    config = Config(mqtt=Mqtt(broker="mqtts://user@host:8884"))
    assert "mqtts://user@host:8884" == tomllib.loads(to_toml(config, comments=False))["mqtt"]["broker"]


def test_every_key_stands_in_the_file_with_its_meaning():
    text = to_toml(Config(), comments=True)
    for name, kind in SECTIONS.items():
        written = tomllib.loads(text)[name]
        assert [entry.name for entry in fields(kind)] == list(written)
        for entry in fields(kind):
            assert f"# {entry.metadata['meaning'].split(chr(10))[0]}\n" in text
