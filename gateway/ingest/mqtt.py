"""The session with the broker: paho on the event loop, acknowledging only what was committed.

* The client id is stable and the session persistent, so the broker keeps QoS 1 messages while we are away.
* PUBACK goes out after the commit (`manual_ack`), and only on the connection that brought the message: after a reconnect
  the same packet id may mean another message.
* Subscriptions are made again whenever the broker has no session of ours; a refused one is an error that people see.
* When the log is behind, we stop reading: TCP holds the broker back, and the broker holds the messages.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import socket
import ssl
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.config import Config
from gateway.counters import Counters
from gateway.errors import BrokerError
from gateway.ingest.drive import Drive
from gateway.reading import Message

_log = logging.getLogger(__name__)

RECONNECT_MIN_S = 0.5

Deliver = Callable[[Message, Callable[[], None]], None]
"""Takes a message and what acknowledges it; called on the event loop, must not block."""


def stable_client_id(config: Config) -> str:
    """The configured client id, or one that is the same whenever this log is used on this host."""
    if config.mqtt.client_id:
        return config.mqtt.client_id
    identity = f"{socket.gethostname()}\0{config.log.folder}".encode()
    return f"sensor-gateway-{hashlib.blake2b(identity, digest_size=5).hexdigest()}"


def tls_context(config: Config) -> ssl.SSLContext:
    """The TLS settings for the broker; raises BrokerError when a file cannot be used."""
    mqtt = config.mqtt
    try:
        context = ssl.create_default_context(cafile=mqtt.ca or None)
        if mqtt.certificate:
            context.load_cert_chain(mqtt.certificate, mqtt.key)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"mqtt.ca, mqtt.certificate or mqtt.key cannot be used: {error}") from error
    return context


class Session:
    """Our session with one broker: `run` keeps it up until it is cancelled."""

    def __init__(self, config: Config, counters: Counters, deliver: Deliver, clock_ms: Callable[[], int]) -> None:
        self._config, self._counters, self._deliver, self._clock_ms = config, counters, deliver, clock_ms
        self._broker = config.broker()
        self._filters = config.subscriptions()
        self._is_v5 = config.mqtt.protocol == "5"
        self.on_new_session: Callable[[], None] = lambda: None
        self.fault = "not connected yet"
        self.connected_since_ms: int | None = None
        self._connection = 0
        self._refused: set[str] = set()
        self._waiting: dict[int, list[str]] = {}
        self._lost = asyncio.Event()
        self._answered = asyncio.Event()
        self._client = self._make_client()
        self._drive = Drive(self._client)

    @property
    def address(self) -> str:
        """Where the broker is, without secrets."""
        return f"{self._broker.host}:{self._broker.port}"

    def pause(self) -> None:
        """Stop reading from the broker."""
        self._counters.ingest_pauses_total += 1
        self._drive.pause()

    def resume(self) -> None:
        """Read from the broker again."""
        self._drive.resume()

    def _make_client(self) -> paho.Client:
        mqtt, broker = self._config.mqtt, self._broker
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=stable_client_id(self._config),
            clean_session=None if self._is_v5 else False,
            protocol=paho.MQTTv5 if self._is_v5 else paho.MQTTv311,
            transport=broker.transport,  # type: ignore[arg-type] # one of its two literals
            reconnect_on_failure=False,
            manual_ack=True,
        )
        username, password = mqtt.username or broker.username, mqtt.password or broker.password
        if username:
            client.username_pw_set(username, password or None)
        if broker.tls:
            client.tls_set_context(tls_context(self._config))
        if broker.transport == "websockets":
            client.ws_set_options(path=broker.path)
        client.connect_timeout = mqtt.connect_timeout_s
        client.max_inflight_messages_set(mqtt.window)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        client.connect_async(
            broker.host, broker.port, mqtt.keepalive_s, clean_start=False, properties=self._properties()
        )
        return client

    def _properties(self) -> Properties | None:
        if not self._is_v5:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types here
        properties.ReceiveMaximum = self._config.mqtt.window
        properties.SessionExpiryInterval = self._config.mqtt.session_expiry_s
        return properties

    # --- keeping the connection --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost; ends only by being cancelled."""
        pause_s = RECONNECT_MIN_S
        try:
            while True:
                if await self._connect():
                    pause_s = RECONNECT_MIN_S
                    await self._lost.wait()
                # Full jitter on the upper half: gateways that lost one broker together do not return in step.
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing
                pause_s = min(pause_s * 2, self._config.mqtt.reconnect_max_s)
        finally:
            # Clean for the broker, which keeps the session, and no news for people.
            self._client.on_disconnect = None
            self._client.disconnect()

    async def _connect(self) -> bool:
        """Whether the broker accepted us."""
        self._lost.clear()
        self._answered.clear()
        try:
            await self._drive.connect()
            await asyncio.wait_for(self._answered.wait(), self._config.mqtt.connect_timeout_s)
        except (OSError, paho.WebsocketConnectionError, TimeoutError) as error:
            # Name lookup, TCP, TLS (ssl.SSLError is an OSError) and WebSocket all end here, and are theirs, not ours.
            self._not_connected(f"cannot connect to {self.address}: {error or 'no answer'}")
            self._client.loop_misc()
            return False
        return self.connected_since_ms is not None

    def _not_connected(self, fault: str) -> None:
        if self.fault != fault:
            _log.warning("broker: %s", fault)
        self.fault = fault
        self.connected_since_ms = None

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, _properties: Any) -> None:
        self._connection += 1
        self._answered.set()
        if reason.is_failure:
            self._counters.broker_disconnects_total += 1
            self._not_connected(f"{self.address} refused us: {reason}")
            self._lost.set()
            return
        self._counters.broker_connects_total += 1
        self.connected_since_ms = self._clock_ms()
        self.fault = ""
        _log.info("connected to the broker %s%s", self.address, ", session resumed" if flags.session_present else "")
        if not flags.session_present:
            self.on_new_session()
            self._subscribe()
        elif self._refused:
            self._subscribe()

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self.connected_since_ms is not None:
            self._counters.broker_disconnects_total += 1
            self._not_connected(f"connection to {self.address} lost: {reason}")
        self._answered.set()
        self._lost.set()

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        filters = list(self._filters.items())
        _, packet_id = self._client.subscribe(filters)
        if packet_id is not None:
            self._waiting[packet_id] = [topic_filter for topic_filter, _ in filters]
        self.fault = "subscriptions are not granted yet"

    def _on_subscribe(self, _client: Any, _userdata: Any, packet_id: int, reasons: Any, _properties: Any) -> None:
        asked = self._waiting.pop(packet_id, [])
        self._refused = {
            topic_filter for topic_filter, reason in zip(asked, reasons, strict=False) if reason.is_failure
        }
        self._counters.subscriptions_refused_total += len(self._refused)
        self.fault = f"the broker refused {', '.join(sorted(self._refused))}" if self._refused else ""
        if self._refused:
            _log.error("broker: %s: no readings come from there", self.fault)
        else:
            _log.info("subscribed to %s", ", ".join(asked))

    # --- messages ----------------------------------------------------------------------------------------------------

    def _on_message(self, _client: Any, _userdata: Any, received: paho.MQTTMessage) -> None:
        counters = self._counters
        counters.messages_total += 1
        counters.message_bytes_total += len(received.payload)
        try:
            topic = received.topic
        except UnicodeDecodeError:
            # [MQTT-1.5.3-1] forbids it; such a topic fits no pattern and is counted as that.
            topic = ""
        message = Message(
            topic, bytes(received.payload), received.qos, received.retain, received.dup, received.mid, self._clock_ms()
        )
        connection = self._connection
        self._deliver(message, lambda: self._acknowledge(connection, message))

    def _acknowledge(self, connection: int, message: Message) -> None:
        if message.qos and connection == self._connection and self.connected_since_ms is not None:
            self._client.ack(message.packet_id, message.qos)
