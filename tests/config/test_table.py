"""The table of settings itself."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from gateway.config import Config, EmbeddedBroker, Http, to_toml
from gateway.config.setting import default_of, rule_broken
from gateway.config.table import SECTIONS, Mqtt, Topic
from gateway.topic import overlap

ROOT = Path(__file__).parents[2]
ENTRIES = [
    pytest.param(entry, id=f"{section}.{entry.name}")
    for section, kind in {**SECTIONS, "topics": Topic}.items()
    for entry in fields(kind)
]


def test_the_file_in_the_repository_is_the_table_written_out():
    assert to_toml(Config(), comments=True) == (ROOT / "config.toml").read_text("utf-8")


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_default_keeps_its_own_rules_and_says_what_it_means(entry):
    assert rule_broken(entry, default_of(entry)) is None
    assert entry.metadata["meaning"].endswith(".")
    assert ("low" in entry.metadata) == ("high" in entry.metadata) == (entry.metadata["type"] in (int, float))


def test_no_two_settings_have_the_same_environment_variable():
    names = [f"{section}_{entry.name}" for section, kind in SECTIONS.items() for entry in fields(kind)]
    assert len(set(names)) == len(names)


def test_the_default_topics_need_one_subscription():
    assert {"sensors/#": 1} == Config().subscriptions()


def test_subscriptions_never_overlap_and_keep_the_higher_qos():
    topics = (
        Topic(pattern="a/{device}", qos=0),
        Topic(pattern="a/{device}/{metric}"),
        Topic(pattern="b/{device}", filter="b/+"),
    )
    found = Config(topics=topics).subscriptions()
    assert {"a/+/#": 1, "b/+": 1} == found
    assert not overlap(*found)


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("sensors/a/b/availability", "availability"),
        ("sensors/a/info", "info"),
        ("sensors/a/temperature", "readings"),
        ("sensors/a", "readings"),
    ],
)
def test_the_default_patterns_tell_what_a_message_is(topic, kind):
    assert kind == next(route.kind for pattern in Config().patterns() if (route := pattern.route(topic)))


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("gateway", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_connect_to(host, is_loopback):
    assert is_loopback == Http(host=host).is_loopback


@pytest.mark.parametrize(
    ("host", "reached_at"), [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("10.0.0.5", "10.0.0.5")]
)
def test_the_embedded_broker_is_reached_where_it_listens(host, reached_at):
    broker = Config(embedded_broker=EmbeddedBroker(host=host, port=1999)).broker()
    assert (reached_at, 1999, "tcp", False) == (broker.host, broker.port, broker.transport, broker.tls)


def test_a_configured_broker_is_used_instead():
    broker = Config(mqtt=Mqtt(broker="mqtts://example.org")).broker()
    assert ("example.org", 8883, True) == (broker.host, broker.port, broker.tls)
