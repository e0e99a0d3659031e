"""The settings: their defaults, limits and reasons, in one table. `config.toml` is written from it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import cached_property

from gateway.config.broker import Broker, parse_broker
from gateway.config.setting import setting
from gateway.topic import Pattern, subscriptions

DAY_S = 86_400


@dataclass(frozen=True)
class Http:
    """Section ``http``."""

    host: str = setting("127.0.0.1", "Address to listen on. Loopback unless told otherwise: there is no password.")
    port: int = setting(8080, "Port to listen on; 0 takes a free one.", low=0, high=65_535)
    certificate: str = setting("", "PEM file with the certificate chain; with it, HTTPS only.")
    key: str = setting("", "PEM file with the certificate's private key.")
    cors_origins: list[str] = setting(
        [], 'Origins whose pages may read, such as "https://example.org"; "*" lets any page read.'
    )
    allowed_hosts: list[str] = setting(
        [],
        "Names that requests may ask for. Empty: loopback names when listening on loopback, else any.\n"
        "Keeps a foreign page from reading a loopback gateway through a name of its own (DNS rebinding).",
    )
    max_streams: int = setting(
        2000, "Open streams; whoever comes above is told to come back later.", low=1, high=100_000
    )
    heartbeat_s: float = setting(
        15.0, "A stream that sent nothing for this time sends its position. Proxies cut idle streams after 30 to 100 s.",
        low=1, high=300, unit="s",
    )  # fmt: skip
    retry_min_ms: int = setting(
        1000,
        "Browsers reconnect after a time between this and the next, each its own.",
        low=100,
        high=60_000,
        unit="ms",
    )
    retry_max_ms: int = setting(5000, "See retry_min_ms.", low=100, high=600_000, unit="ms")
    page_entries: int = setting(500, "Entries that a stream reads and sends in one piece.", low=1, high=10_000)
    send_buffer_bytes: int = setting(
        65_536,
        "Kernel buffer for what a reader has not taken yet. The kernel's own choice holds megabytes of stale readings.",
        low=4096, high=16_777_216, unit="bytes",
    )  # fmt: skip
    send_timeout_s: float = setting(
        30.0,
        "A reader that takes nothing for this time is cut; it comes back where it was.",
        low=1,
        high=3600,
        unit="s",
    )
    backlog: int = setting(
        2048, "Connections that may wait to be accepted: a thousand readers return at once.", low=16, high=65_535
    )

    @cached_property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True)
class Mqtt:
    """Section ``mqtt``."""

    broker: str = setting(
        "",
        'The broker, as "mqtt://host:1883", "mqtts://host:8883", "ws://host:8080/mqtt" or "wss://host/mqtt".\n'
        "Empty: the embedded broker is started, and used.",
        address=True,
    )
    username: str = setting("", "User name for the broker.")
    password: str = setting(
        "", "Password; better given as SENSOR_GATEWAY_MQTT_PASSWORD in the environment.", secret=True
    )
    ca: str = setting("", "PEM file with the authorities that may sign the broker's certificate; empty: the system's.")
    certificate: str = setting("", "PEM file with our certificate, when the broker asks for one.")
    key: str = setting("", "PEM file with its private key.")
    client_id: str = setting(
        "", "Names our session at the broker, so it must stay the same. Empty: made from the host name and log.folder."
    )
    protocol: str = setting("3.1.1", "MQTT version; 5 costs about half again as much work.", choices=("3.1.1", "5"))
    client: str = setting(
        "bulk",
        '"bulk" reads many messages at a time and acknowledges them in one write; "stock" is paho as it comes.',
        choices=("bulk", "stock"),
    )
    keepalive_s: int = setting(
        30, "A silent broker is noticed within one and a half of these.", low=5, high=3600, unit="s"
    )
    connect_timeout_s: float = setting(10.0, "For name lookup, TCP and TLS.", low=0.5, high=120, unit="s")
    reconnect_max_s: float = setting(
        30.0,
        "Pauses between attempts double from half a second up to this, less a random part.",
        low=1,
        high=3600,
        unit="s",
    )
    window: int = setting(
        1000, "QoS 1 messages in flight: what the broker may send before it waits for us; set the same there.",
        low=1, high=65_535,
    )  # fmt: skip
    session_expiry_s: int = setting(
        7 * DAY_S,
        "How long the broker keeps our session while we are away (MQTT 5 only).",
        low=0,
        high=4_294_967_295,
        unit="s",
    )


@dataclass(frozen=True)
class EmbeddedBroker:
    """Section ``embedded_broker``."""

    host: str = setting(
        "127.0.0.1", "Address the embedded broker listens on; others can reach it on 0.0.0.0, without password."
    )
    port: int = setting(1883, "Its port.", low=1, high=65_535)


@dataclass(frozen=True)
class LogSection:
    """Section ``log``."""

    folder: str = setting("data", "Folder of the log, relative to where the gateway is started.")
    durability: str = setting(
        "process",
        '"process": a kill loses nothing, a power cut the last moments.\n'
        '"power": nothing acknowledged is lost, at the price of an fsync for each commit.',
        choices=("process", "power"),
    )
    commit_interval_ms: int = setting(
        20,
        "Readings are committed together after this time, or when half of mqtt.window wait,\n"
        "or when nothing more comes: the broker may wait for us then. Up to 20, and without a budget, five\n"
        "readings are enough after 5 ms, or after four times what a commit takes.",
        low=1,
        high=10_000,
        unit="ms",
    )
    write_budget_bytes_per_day: int = setting(
        0,
        "What the log may write in a day, to spare an SD card; 0: any amount. Above it commits are made less often:\n"
        "a reading is seen up to commit_interval_max_ms later then.",
        low=0,
        high=2**50,
        unit="bytes",
    )
    commit_interval_max_ms: int = setting(
        10_000, "As far apart the budget may move commits.", low=1, high=60_000, unit="ms"
    )
    segment_bytes: int = setting(
        64 * 2**20,
        "A segment ends at this size. Retention removes whole segments.",
        low=65_536,
        high=2**33,
        unit="bytes",
    )
    segment_age_s: float = setting(3600.0, "A segment ends at this age.", low=1, high=30 * DAY_S, unit="s")
    retention_bytes: int = setting(
        2**30, "Segments are removed, oldest first, above this.", low=2**18, high=2**44, unit="bytes"
    )
    retention_age_s: float = setting(
        float(DAY_S), "Segments are removed when they are older.", low=1, high=3650 * DAY_S, unit="s"
    )
    tail_bytes: int = setting(
        32 * 2**20,
        "Memory for the newest entries; streams behind it read from disk.",
        low=65_536,
        high=2**34,
        unit="bytes",
    )
    max_waiting_messages: int = setting(
        20_000, "Messages that wait for the disk; above, the broker is made to hold them.", low=100, high=1_000_000
    )


@dataclass(frozen=True)
class LimitsSection:
    """Section ``limits``."""

    max_payload_bytes: int = setting(262_144, "A larger payload is rejected.", low=64, high=16_777_216, unit="bytes")
    max_depth: int = setting(8, "Levels of nesting in a payload.", low=1, high=64)
    max_metrics: int = setting(200, "Metrics in one report, and remembered of one device.", low=1, high=10_000)
    max_readings: int = setting(1000, "Reports in one message (a JSON array).", low=1, high=100_000)
    max_text_bytes: int = setting(256, "Length of a text value.", low=1, high=65_536, unit="bytes")
    max_device_bytes: int = setting(128, "Length of a device's name.", low=8, high=1024, unit="bytes")
    max_devices: int = setting(10_000, "Devices; readings of further ones are rejected.", low=1, high=1_000_000)


@dataclass(frozen=True)
class DevicesSection:
    """Section ``devices``."""

    silent_after_s: float = setting(
        300.0,
        "A device is called silent after this time without a reading, or ten of its usual pauses, whichever is longer.",
        low=1, high=30 * DAY_S, unit="s",
    )  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """One ``[[topics]]``: which messages to subscribe to, and what their topics name."""

    pattern: str = setting("", "A topic with {device} (one or more levels) and, for readings, {metric} (one level).")
    kind: str = setting("readings", "What the messages are.", choices=("readings", "info", "availability"))
    filter: str = setting("", "The subscription; empty: made from the pattern.")
    qos: int = setting(1, "At 1 nothing is lost while the gateway is away.", low=0, high=1)


DEFAULT_TOPICS = (
    Topic(pattern="sensors/{device}/availability", kind="availability"),
    Topic(pattern="sensors/{device}/info", kind="info"),
    Topic(pattern="sensors/{device}/{metric}"),
    Topic(pattern="sensors/{device}"),
)

SECTIONS = {
    "http": Http,
    "mqtt": Mqtt,
    "embedded_broker": EmbeddedBroker,
    "log": LogSection,
    "limits": LimitsSection,
    "devices": DevicesSection,
}


@dataclass(frozen=True)
class Config:
    """The whole effective configuration; make it with `load`."""

    http: Http = Http()
    mqtt: Mqtt = Mqtt()
    embedded_broker: EmbeddedBroker = EmbeddedBroker()
    log: LogSection = LogSection()
    limits: LimitsSection = LimitsSection()
    devices: DevicesSection = DevicesSection()
    topics: tuple[Topic, ...] = DEFAULT_TOPICS
    units: dict[str, str] = field(default_factory=dict)

    def patterns(self) -> list[Pattern]:
        """The compiled patterns, in order; the first that fits a topic says what its messages are."""
        return [Pattern(topic.kind, topic.pattern) for topic in self.topics]  # type: ignore[arg-type] # checked choices

    def subscriptions(self) -> dict[str, int]:
        """Topic filters to subscribe to, with their QoS; none of them overlaps another."""
        wanted: dict[str, int] = {}
        for topic in self.topics:
            text = topic.filter or Pattern(topic.kind, topic.pattern).topic_filter  # type: ignore[arg-type] # checked
            wanted[text] = max(topic.qos, wanted.get(text, 0))
        return subscriptions(wanted)

    def broker(self) -> Broker:
        """Where the broker is: the configured one, or the embedded one."""
        if not self.mqtt.broker:
            host = "127.0.0.1" if self.embedded_broker.host in ("0.0.0.0", "::") else self.embedded_broker.host  # noqa: S104
            return Broker("tcp", host, self.embedded_broker.port, "", tls=False, username="", password="")
        return parse_broker(self.mqtt.broker)
