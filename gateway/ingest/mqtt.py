"""The session with the broker: paho on the event loop, acknowledging only what was committed.

* The client id is stable and the session persistent, so the broker keeps QoS 1 messages while we are away.
* PUBACK goes out after the commit (`manual_ack`), and only on the connection that brought the message: after a reconnect
  the same packet id may mean another message.
* Subscriptions are made again whenever the broker has no session of ours, and changed when the configuration was; a
  refused one is an error that people see.
* When the log is behind, we stop reading: TCP holds the broker back, and the broker holds the messages. If that takes so
  long that the connection dies of it, the next one waits until there is room.
* What the broker sends wrongly costs the connection; what we do wrongly with it ends `run` with that error.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.config import Config
from gateway.counters import Counters
from gateway.errors import BrokerError
from gateway.ingest.bulk import BulkClient, is_supported
from gateway.ingest.drive import Drive
from gateway.ingest.granted import Granted
from gateway.log.packets import content_hash
from gateway.reading import Message

_log = logging.getLogger(__name__)

RECONNECT_MIN_S = 0.5
STABLE_S = 10.0
"""A connection that lasted so long was a success. Two gateways with one client id cut each other off at each connect:
their pauses must grow."""

SPARE_BYTES = 65_535 + 1024
"""What an MQTT 5 packet may hold beside its payload: a topic of the greatest length, and some properties."""

MAX_RETAINED = 20_000
"""Topics whose retained message is remembered; then the memory starts anew, at the price of a repetition."""

Deliver = Callable[[list[Message], Callable[[], None]], None]
"""Takes messages that came together and what acknowledges them; called on the event loop, must not block."""


def stable_client_id(config: Config) -> str:
    """The configured client id, or one that is the same whenever this log is used on this host."""
    if config.mqtt.client_id:
        return config.mqtt.client_id
    identity = f"{socket.gethostname()}\0{Path(config.log.folder).resolve()}".encode()
    return f"sensor-gateway-{hashlib.blake2b(identity, digest_size=5).hexdigest()}"


def tls_context(config: Config) -> ssl.SSLContext:
    """The TLS settings for the broker; raises BrokerError when a file cannot be used."""
    mqtt = config.mqtt
    try:
        context = ssl.create_default_context(cafile=mqtt.ca or None)
        if mqtt.ca:
            # Python 3.13 asks for extensions that an authority made by the book of mosquitto-tls(7) does not have.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if mqtt.certificate:
            context.load_cert_chain(mqtt.certificate, mqtt.key)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"mqtt.ca, mqtt.certificate or mqtt.key cannot be used: {error}") from error
    return context


class Session:
    """Our session with one broker: `run` keeps it up until it is cancelled.

    ``fault`` is what stands in the way of messages, for people; empty when nothing does.
    """

    def __init__(self, config: Config, counters: Counters, deliver: Deliver, clock_ms: Callable[[], int]) -> None:
        self._config, self._counters, self._deliver, self._clock_ms = config, counters, deliver, clock_ms
        self._broker = config.broker()
        self._filters = config.subscriptions()
        self._is_v5 = config.mqtt.protocol == "5"
        self.on_new_session: Callable[[], None] = lambda: None
        self.fault = "not connected yet"
        self.connected_since_ms: int | None = None
        self._connection = 0
        self._asked: dict[int, dict[str, int]] = {}
        self._was_cut = False
        self._retained: dict[str, int] = {}
        self._granted = Granted(Path(config.log.folder) / "subscriptions.json", self.address, stable_client_id(config))
        self._lost = asyncio.Event()
        self._answered = asyncio.Event()
        self._broken: Exception | None = None
        self._client = self._make_client()
        self._drive = Drive(self._client, self._on_failure)

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
        is_bulk = mqtt.client == "bulk" and is_supported()
        client = (BulkClient if is_bulk else paho.Client)(
            CallbackAPIVersion.VERSION2,
            client_id=stable_client_id(self._config),
            clean_session=None if self._is_v5 else False,
            protocol=paho.MQTTv5 if self._is_v5 else paho.MQTTv311,
            transport=broker.transport,  # type: ignore[arg-type] # one of its two literals
            reconnect_on_failure=False,
            manual_ack=True,
        )
        username, password = mqtt.username or broker.username, mqtt.password or broker.password
        if isinstance(client, BulkClient):
            client.on_messages, client.clock_ms = self._on_messages, self._clock_ms
        if username:
            client.username_pw_set(username, password or None)
        if broker.tls:
            client.tls_set_context(tls_context(self._config))
        if broker.transport == "websockets":
            client.ws_set_options(path=broker.path)
        client.connect_timeout = mqtt.connect_timeout_s
        client.max_inflight_messages_set(mqtt.window)
        client.on_connect, client.on_disconnect = self._ours(self._on_connect), self._ours(self._on_disconnect)
        client.on_subscribe, client.on_message = self._ours(self._on_subscribe), self._ours(self._on_message)
        client.connect_async(
            broker.host, broker.port, mqtt.keepalive_s, clean_start=False, properties=self._properties()
        )
        return client

    def _ours(self, callback: Callable[..., None]) -> Callable[..., None]:
        """``callback`` for paho; what it raises is a fault of ours, not of a packet."""

        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:
                self._broken = error
                raise

        return call

    def _properties(self) -> Properties | None:
        if not self._is_v5:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types here
        properties.ReceiveMaximum = self._config.mqtt.window
        properties.SessionExpiryInterval = self._config.mqtt.session_expiry_s
        # The broker then drops what we would reject. MQTT 3.1.1 has no such word: set message_size_limit at the broker.
        properties.MaximumPacketSize = self._config.limits.max_payload_bytes + SPARE_BYTES
        return properties

    # --- keeping the connection --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost; ends by being cancelled, or by a fault of ours."""
        pause_s = RECONNECT_MIN_S
        try:
            while True:
                await self._drive.flowing.wait()
                lasted_s = await self._connection_lasted_s()
                if self._broken is not None:
                    raise self._broken
                if lasted_s > STABLE_S:
                    pause_s = RECONNECT_MIN_S
                # Full jitter on the upper half: gateways that lost one broker together do not return in step.
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing
                pause_s = min(pause_s * 2, self._config.mqtt.reconnect_max_s)
        finally:
            # Clean for the broker, which keeps the session, and no news for people.
            self._client.on_disconnect = None
            self._client.disconnect()

    async def _connection_lasted_s(self) -> float:
        """Connect and wait until the connection is lost; 0 when the broker did not accept us."""
        if not await self._connect():
            return 0
        began = time.monotonic()
        await self._lost.wait()
        return time.monotonic() - began

    async def _connect(self) -> bool:
        """Whether the broker accepted us."""
        self._lost.clear()
        self._answered.clear()
        try:
            async with asyncio.timeout(self._config.mqtt.connect_timeout_s):
                await self._drive.connect()
                await self._answered.wait()
        except (OSError, UnicodeError, paho.WebsocketConnectionError) as error:
            # Name lookup, TCP, TLS (ssl.SSLError is an OSError), WebSocket and time all end here: theirs, not ours.
            self._drive.close()
            self._not_connected(f"cannot connect to {self.address}: {str(error) or 'no answer'}")
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
            return
        self._counters.broker_connects_total += 1
        self.connected_since_ms = self._clock_ms()
        self.fault = ""
        _log.info("connected to the broker %s%s", self.address, ", session resumed" if flags.session_present else "")
        if not flags.session_present:
            self.on_new_session()
            self._granted.set({})
        # A broker that died and came back may have saved our session before our subscriptions: it would be connected and
        # silent. So after a break they are made again, and the retained messages that this brings are known by then.
        if self._granted.filters != self._filters or self._was_cut:
            self._subscribe()
        self._was_cut = False

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self.connected_since_ms is not None:
            self._was_cut = True
            self._counters.broker_disconnects_total += 1
            self._not_connected(f"connection to {self.address} lost: {reason}")
        elif not self._answered.is_set():
            hint = ", perhaps for want of a certificate (mqtt.certificate)" if self._broker.tls else ""
            self._not_connected(f"{self.address} closed the connection before it accepted us{hint}")
        self._answered.set()
        self._lost.set()

    def _on_failure(self, error: Exception) -> None:
        """Paho raised: a packet that is none, or `_broken`, which `run` ends with."""
        if self._broken is None:
            _log.error("broker: it sent what cannot be understood", exc_info=error)
        self._counters.broker_disconnects_total += 1
        self._not_connected(f"connection to {self.address} given up: {type(error).__name__}")
        self._answered.set()
        self._lost.set()

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        """Ask for all our filters, and give up those that the session has from an earlier configuration."""
        if gone := sorted(self._granted.filters.keys() - self._filters.keys()):
            self._client.unsubscribe(gone)
        _, packet_id = self._client.subscribe(list(self._filters.items()))
        self._asked = {packet_id: self._filters} if packet_id is not None else {}
        self.fault = "subscriptions are not granted yet"

    def _on_subscribe(self, _client: Any, _userdata: Any, packet_id: int, reasons: Any, _properties: Any) -> None:
        asked = self._asked.pop(packet_id, {})
        refused = {name for name, reason in zip(asked, reasons, strict=False) if reason.is_failure}
        self._granted.set({name: qos for name, qos in asked.items() if name not in refused})
        self._counters.subscriptions_refused_total += len(refused)
        self.fault = f"the broker refused {', '.join(sorted(refused))}" if refused else ""
        if refused:
            _log.error("broker: %s: no readings come from there", self.fault)
        else:
            _log.info("subscribed to %s", ", ".join(asked))

    # --- messages ----------------------------------------------------------------------------------------------------

    def _on_message(self, _client: Any, _userdata: Any, received: paho.MQTTMessage) -> None:
        """Stock paho's way: one at a time."""
        try:
            topic = received.topic
        except UnicodeDecodeError:
            # [MQTT-1.5.3-1] forbids it; such a topic fits no pattern and is counted as that.
            topic = ""
        now_ms = self._clock_ms()
        payload = bytes(received.payload)
        self._on_messages([Message(topic, payload, received.qos, received.retain, received.dup, received.mid, now_ms)])

    def _on_messages(self, messages: list[Message]) -> None:
        counters = self._counters
        counters.messages_total += len(messages)
        counters.message_bytes_total += sum([len(message.payload) for message in messages])
        news = [message for message in messages if not (message.retain and self._is_repeated(message))]
        counters.retained_repeats_total += len(messages) - len(news)
        connection = self._connection
        packet_ids = [message.packet_id for message in messages if message.qos]
        try:
            self._deliver(news, lambda: self._acknowledge(connection, packet_ids))
        except Exception as error:
            self._broken = error
            raise

    def _is_repeated(self, message: Message) -> bool:
        """Whether the broker kept this very message when we subscribed before: it is no news."""
        hashed = content_hash(message.topic, message.payload)
        if self._retained.get(message.topic) == hashed:
            return True
        if len(self._retained) >= MAX_RETAINED:
            self._retained.clear()
        self._retained[message.topic] = hashed
        return False

    def _acknowledge(self, connection: int, packet_ids: list[int]) -> None:
        if connection != self._connection or self.connected_since_ms is None:
            return
        if isinstance(self._client, BulkClient):
            self._client.acknowledge(packet_ids)
            return
        for packet_id in packet_ids:
            self._client.ack(packet_id, 1)
