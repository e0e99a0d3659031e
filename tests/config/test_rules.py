"""What must hold between settings."""

from __future__ import annotations

import pytest

from gateway.config import Config, EmbeddedBroker, Http
from gateway.config.rules import relations_broken, topic_problems
from gateway.config.table import LogSection, Mqtt, Topic


def test_the_defaults_break_no_rule():
    assert [] == relations_broken(Config())


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            Config(http=Http(retry_min_ms=500, retry_max_ms=400)),
            "http.retry_max_ms: must be at least http.retry_min_ms (500) (got 400)",
        ),
        (
            Config(log=LogSection(commit_interval_ms=500, commit_interval_max_ms=400)),
            "log.commit_interval_max_ms: must be at least log.commit_interval_ms (500) (got 400)",
        ),
        (
            Config(log=LogSection(segment_bytes=2**20, retention_bytes=2**21)),
            (
                "log.retention_bytes: must be at least 4 times log.segment_bytes (1048576), because whole segments are removed "
                "(got 2097152)"
            ),
        ),
        (
            Config(log=LogSection(segment_age_s=100.0, retention_age_s=50.5)),
            "log.retention_age_s: must be at least log.segment_age_s (100) (got 50.5)",
        ),
        (
            Config(mqtt=Mqtt(broker="mqtt://host"), embedded_broker=EmbeddedBroker(port=1)),
            "embedded_broker: is not started when mqtt.broker names a broker; leave one of them out",
        ),
        (
            Config(mqtt=Mqtt(broker="http://host")),
            "mqtt.broker: must be like mqtt://host:1883, mqtts://host:8883, ws://host/mqtt or wss://host/mqtt (got 'http://host')",
        ),
        (
            Config(mqtt=Mqtt(broker="mqtt://user:hunter2@host:99999")),
            "mqtt.broker: must have a host, and a port from 1 to 65535 (got 'mqtt://user:…@host:99999')",
        ),
        (
            Config(
                topics=(
                    Topic(pattern="+/{device}"),
                    Topic(pattern="a/b/{device}/x", filter="a/b/+/x"),
                    Topic(pattern="c/{device}", filter="c/d"),
                    Topic(pattern="c/{device}", filter="+/d"),
                )
            ),
            None,
        ),
        (
            Config(topics=(Topic(pattern="a/+/{device}", filter="a/+/x"), Topic(pattern="{device}", filter="a/y/+"))),
            (
                "topics: 'a/+/x' and 'a/y/+' overlap, so a broker may deliver a message twice; "
                "join them or set filters that do not"
            ),
        ),
        (
            Config(http=Http(cors_origins=["https://example.org/"])),
            "http.cors_origins: must be like https://example.org, without a path (got 'https://example.org/')",
        ),
        (
            Config(http=Http(allowed_hosts=["gateway.local:8080"])),
            "http.allowed_hosts: must be a name or an address, without port and scheme (got 'gateway.local:8080')",
        ),
    ],
)
def test_a_broken_relation_is_told_with_its_keys_and_values(config, problem):
    assert ([problem] if problem else []) == relations_broken(config)


@pytest.mark.parametrize("section", ["http", "mqtt"])
def test_a_certificate_needs_its_key_and_both_must_be_there(section, tmp_path):
    there = tmp_path / "there.pem"
    there.write_text("")
    kind = {"http": Http, "mqtt": Mqtt}[section]
    alone = relations_broken(Config(**{section: kind(certificate=str(there))}))
    assert [f"{section}.certificate, {section}.key: both or none must be given"] == alone
    missing = relations_broken(Config(**{section: kind(certificate=str(there), key="/nowhere")}))
    assert [f"{section}.key: no such file (got '/nowhere')"] == missing
    assert [] == relations_broken(Config(**{section: kind(certificate=str(there), key=str(there))}))


def test_a_client_id_longer_than_mqtt_allows_is_refused():
    (problem,) = relations_broken(Config(mqtt=Mqtt(client_id="é" * 40_000)))
    assert problem.startswith("mqtt.client_id: must be at most 65535 bytes")
    assert len(problem) < 200


@pytest.mark.parametrize(
    "origin", ["*", "null", "http://localhost:3000", "https://a.example.org", "http://[::1]:80", "app://obsidian.md"]
)
def test_an_origin_as_browsers_send_it_is_taken(origin):
    assert [] == relations_broken(Config(http=Http(cors_origins=[origin])))


@pytest.mark.parametrize(
    "origin",
    ["", "example.org", "https://", "https://Example.org", "https://a/b", "https://u@a", "https://a b", "https://a:x"],
)
def test_an_origin_that_no_browser_sends_is_refused(origin):
    assert 1 == len(relations_broken(Config(http=Http(cors_origins=[origin]))))


@pytest.mark.parametrize(
    "host", ["gateway.local", "Gateway.Local.", "10.0.0.5", "[fe80::1]", "fe80::1", "größe.example"]
)
def test_a_host_is_a_name_or_an_address(host):
    assert [] == relations_broken(Config(http=Http(allowed_hosts=[host])))


@pytest.mark.parametrize("host", ["", "a:80", "http://a", "a/b", "[a]", "[::1]:80", "a b"])
def test_a_host_with_anything_else_is_refused(host):
    assert 1 == len(relations_broken(Config(http=Http(allowed_hosts=[host]))))


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        (Topic(pattern="a/{device}"), None),
        (Topic(pattern="a/{device}", filter="a/+"), None),
        (
            Topic(pattern="{device}", filter="$SYS/#"),
            "topics[1].filter: brings no topic that fits the pattern '{device}' (got '$SYS/#')",
        ),
        (Topic(), "topics[1].pattern: must hold {device} once, as a whole level (got '')"),
        (
            Topic(pattern="a/{device}", filter="a/#/b"),
            "topics[1].filter: '#' must be a whole level, and the last (got 'a/#/b')",
        ),
        (
            Topic(pattern="a/{device}", filter="b/+"),
            "topics[1].filter: brings no topic that fits the pattern 'a/{device}' (got 'b/+')",
        ),
        (
            Topic(pattern="{device}/{metric}", kind="info"),
            "topics[1].pattern: may hold {metric} once, for readings only (got '{device}/{metric}')",
        ),
    ],
)
def test_a_topic_that_makes_no_sense_is_told_why(topic, problem):
    assert ([problem] if problem else []) == topic_problems("topics[1]", topic)
