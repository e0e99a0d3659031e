"""What must hold between settings, and what a topic must be."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.config.broker import parse_broker
from gateway.config.setting import got
from gateway.config.table import Config, EmbeddedBroker, Topic
from gateway.topic import Pattern, filter_problem, overlap

_ORIGIN = re.compile(r"(null|[a-z][a-z0-9+.-]*://([^\s/:@?#\[\]A-Z]+|\[[0-9a-f:.]+\])(:\d{1,5})?)")
_IPV6 = r"(?:[0-9A-Fa-f]*:){2,}[0-9A-Fa-f.]*"
_HOST = re.compile(rf"[^\s/:@?#\[\]]+|{_IPV6}|\[{_IPV6}\]")


def topic_problems(name: str, topic: Topic) -> list[str]:
    """Problems of one ``[[topics]]`` table, each line beginning with its key."""
    try:
        pattern = Pattern(topic.kind, topic.pattern)  # type: ignore[arg-type] # a wrong kind was refused before
    except ValueError as error:
        return [f"{name}.pattern: {error} (got {topic.pattern!r})"]
    if topic.filter and (problem := filter_problem(topic.filter)):
        return [f"{name}.filter: {problem} (got {topic.filter!r})"]
    if topic.filter and not overlap(topic.filter, pattern.topic_filter):
        return [f"{name}.filter: brings no topic that fits the pattern {topic.pattern!r} (got {topic.filter!r})"]
    return []


def relations_broken(config: Config) -> list[str]:
    """Problems between keys, each naming the keys and what they are."""
    http, mqtt, log = config.http, config.mqtt, config.log
    rules = [
        (bool(http.certificate) != bool(http.key), "http.certificate, http.key: both or none must be given"),
        (bool(mqtt.certificate) != bool(mqtt.key), "mqtt.certificate, mqtt.key: both or none must be given"),
        (
            http.retry_min_ms > http.retry_max_ms,
            f"http.retry_max_ms: must be at least http.retry_min_ms ({http.retry_min_ms}) (got {http.retry_max_ms})",
        ),
        (
            log.commit_interval_max_ms < log.commit_interval_ms,
            (
                f"log.commit_interval_max_ms: must be at least log.commit_interval_ms ({log.commit_interval_ms}) "
                f"(got {log.commit_interval_max_ms})"
            ),
        ),
        (
            log.retention_bytes < 4 * log.segment_bytes,
            (
                f"log.retention_bytes: must be at least 4 times log.segment_bytes ({log.segment_bytes}), "
                f"because whole segments are removed (got {log.retention_bytes})"
            ),
        ),
        (
            log.retention_age_s < log.segment_age_s,
            f"log.retention_age_s: must be at least log.segment_age_s ({log.segment_age_s:g}) (got {log.retention_age_s:g})",
        ),
        (
            bool(mqtt.broker) and config.embedded_broker != EmbeddedBroker(),
            "embedded_broker: is not started when mqtt.broker names a broker; leave one of them out",
        ),
        (len(mqtt.client_id.encode()) > 65_535, f"mqtt.client_id: must be at most 65535 bytes {got(mqtt.client_id)}"),
    ]
    problems = [text for broken, text in rules if broken]
    return [*problems, *_broker_problems(config), *_web_problems(config), *_overlaps(config), *_missing_files(config)]


def _broker_problems(config: Config) -> list[str]:
    if not config.mqtt.broker:
        return []
    try:
        parse_broker(config.mqtt.broker)
    except ValueError as error:
        return [f"mqtt.broker: {error} {got(config.mqtt.broker)}"]
    return []


def _web_problems(config: Config) -> list[str]:
    """What a browser would never send, so that a setting with it could only fail in silence."""
    http = config.http
    origins = [origin for origin in http.cors_origins if origin != "*" and not _ORIGIN.fullmatch(origin)]
    hosts = [host for host in http.allowed_hosts if not _HOST.fullmatch(host)]
    return [
        *(f"http.cors_origins: must be like https://example.org, without a path {got(origin)}" for origin in origins),
        *(f"http.allowed_hosts: must be a name or an address, without port and scheme {got(host)}" for host in hosts),
    ]


def _overlaps(config: Config) -> list[str]:
    filters = list(config.subscriptions())
    return [
        f"topics: {one!r} and {other!r} overlap, so a broker may deliver a message twice; join them or set filters that do not"
        for at, one in enumerate(filters)
        for other in filters[at + 1 :]
        if overlap(one, other)
    ]


def _missing_files(config: Config) -> list[str]:
    named = {
        "http.certificate": config.http.certificate,
        "http.key": config.http.key,
        "mqtt.ca": config.mqtt.ca,
        "mqtt.certificate": config.mqtt.certificate,
        "mqtt.key": config.mqtt.key,
    }
    return [f"{key}: no such file (got {text!r})" for key, text in named.items() if text and not Path(text).is_file()]
