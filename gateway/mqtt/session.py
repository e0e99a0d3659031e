"""The session with the broker: paho on the event loop, acknowledging only what was committed.

* The client id is stable and the session persistent, so the broker keeps QoS 1 messages while we are away.
* PUBACK goes out after the commit (`manual_ack`, `delivery.py`).
* Subscriptions are made on every connection (`subscriptions.py`); a refused one is an error that people see.
* When the log is behind, we stop reading: TCP holds the broker back, and the broker holds the messages. If the connection
  breaks meanwhile, because paho misses the broker's answers, the next one waits until there is room.
* A packet that makes no sense costs the connection; a fault of ours in handling it ends `run` with that error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho

from gateway.backoff import Backoff
from gateway.clock import Clock
from gateway.config import Config
from gateway.counters import Counters
from gateway.mqtt.bulk import BulkClient
from gateway.mqtt.client import make_client
from gateway.mqtt.delivery import Delivery, Sink
from gateway.mqtt.drive import Drive
from gateway.mqtt.drops import Drops
from gateway.mqtt.facts import Facts
from gateway.mqtt.notices import Notices
from gateway.mqtt.subscriptions import Subscriptions
from gateway.mqtt.window import Window
from gateway.reading import Message

_log = logging.getLogger(__name__)

RECONNECT_MIN_S = 0.5
STABLE_S = 10.0
"""A connection that lasted this time was a success. Two gateways with one client id cut each other off at each connect:
their pauses must grow."""


class Session:
    """Our session with one broker: `run` keeps it up until it is cancelled.

    Messages go to ``sink``. ``hurry`` is called with the loop time by which what it got should be committed.
    ``fault`` is what stands in the way of messages, for people; empty when nothing does.
    """

    def __init__(
        self,
        config: Config,
        counters: Counters,
        clock: Clock,
        facts: Facts,
        sink: Sink,
        hurry: Callable[[float], None],
    ) -> None:
        self._config, self._counters, self._clock, self._facts = config, counters, clock, facts
        self._broker, self._is_embedded = config.broker(), not config.mqtt.broker
        self._not_connected_fault = "not connected yet"
        self._connected_since_s: float | None = None
        self._lost = asyncio.Event()
        self._answered = asyncio.Event()
        self._broken: Exception | None = None
        self._notices = Notices(clock)
        self._delivery = Delivery(
            sink,
            self,
            Drops(facts, self._notices, counters),
            counters,
            lambda: Window(config.mqtt.window, hurry),
            asyncio.get_running_loop().time,
        )
        self._client = self._make_client()
        self._subscriptions = Subscriptions(
            self._client, config.subscriptions(), facts, counters, asks_for_dropped=not self._is_embedded
        )
        self._drive = Drive(self._client, self._on_failure)

    @property
    def address(self) -> str:
        """Where the broker is, without secrets."""
        return self._broker.address

    @property
    def connected_since_s(self) -> float | None:
        """Elapsed seconds at which the broker accepted us; None while it does not."""
        return self._connected_since_s

    @property
    def fault(self) -> str:
        """What stands in the way of messages."""
        return self._not_connected_fault or self._subscriptions.fault

    @property
    def warning(self) -> str:
        """What may lose messages, or has lost some of late."""
        told = [self._subscriptions.warning, *self._notices.told]
        if (limit := self._delivery.limit) and not self._is_embedded:
            told.append(
                f"the broker sends at most {limit} messages before it waits for us, and more wait there: "
                "raise its limit (mosquitto: max_inflight_messages) before its queue overflows"
            )
        return "; ".join(filter(None, told))

    def pause(self) -> None:
        """Stop reading from the broker."""
        self._counters.ingest_pauses_total += 1
        self._drive.pause()

    def resume(self) -> None:
        """Read from the broker again."""
        self._drive.resume()

    @property
    def is_behind(self) -> bool:
        """Whether messages come faster than they are read."""
        return self._drive.is_behind

    def acknowledge(self, packet_ids: list[int]) -> None:
        """Send the PUBACKs of these messages."""
        if isinstance(self._client, BulkClient):
            self._client.acknowledge(packet_ids)
            return
        for packet_id in packet_ids:
            self._client.ack(packet_id, 1)

    def _make_client(self) -> paho.Client:
        client = make_client(self._config, self._ours(self._delivery.messages_came), self._clock)
        client.on_connect, client.on_disconnect = self._ours(self._on_connect), self._ours(self._on_disconnect)
        client.on_subscribe, client.on_message = self._ours(self._on_subscribe), self._ours(self._on_message)
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

    # --- keeping the connection --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost; ends by being cancelled, or by a fault of ours."""
        backoff = Backoff(RECONNECT_MIN_S, self._config.mqtt.reconnect_max_s)
        try:
            while True:
                await self._drive.flowing.wait()
                lasted_s = await self._connection_lasted_s()
                if self._broken is not None:
                    raise self._broken
                if lasted_s > STABLE_S:
                    backoff.reset()
                await asyncio.sleep(backoff.pause_s())
        finally:
            # The broker keeps the session. People are not told: the gateway ends.
            self._client.on_disconnect = None
            self._client.disconnect()

    async def _connection_lasted_s(self) -> float:
        """Connect and wait until the connection is lost; 0 when the broker did not accept us."""
        if not await self._connect():
            return 0
        began_s = self._clock.elapsed_s()
        await self._lost.wait()
        return self._clock.elapsed_s() - began_s

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
        return self._connected_since_s is not None

    def _not_connected(self, fault: str) -> None:
        if self._not_connected_fault != fault:
            _log.warning("broker: %s", fault)
        self._not_connected_fault = fault
        self._connected_since_s = None
        self._delivery.end()

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._answered.set()
        if reason.is_failure:
            self._counters.broker_disconnects_total += 1
            self._not_connected(f"{self.address} refused us: {reason}")
            return
        self._counters.broker_connects_total += 1
        self._connected_since_s = self._clock.elapsed_s()
        self._not_connected_fault = ""
        _log.info("connected to the broker %s%s", self.address, ", session resumed" if flags.session_present else "")
        self._delivery.begin(resumed=flags.session_present)
        if not flags.session_present:
            self._begin_session()
        self._warn_of_expiry(properties)
        self._subscriptions.make()

    def _begin_session(self) -> None:
        """The broker knows no session of ours. The embedded one never does, after a restart."""
        if self._facts.filters and not self._is_embedded:
            self._counters.sessions_lost_total += 1
            self._notices.tell(
                "session", "the broker had forgotten our session: what was published while we were away is lost"
            )
        self._facts.granted({})

    def _warn_of_expiry(self, properties: Any) -> None:
        granted_s = getattr(properties, "SessionExpiryInterval", None)
        if granted_s is not None and granted_s < self._config.mqtt.session_expiry_s:
            self._notices.tell(
                "expiry", f"the broker forgets our session after {granted_s} s, sooner than mqtt.session_expiry_s"
            )

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._connected_since_s is not None:
            self._counters.broker_disconnects_total += 1
            self._subscriptions.lost()
            self._not_connected(f"connection to {self.address} lost: {reason}")
        elif not self._answered.is_set():
            hint = ", perhaps for want of a certificate (mqtt.certificate)" if self._broker.tls else ""
            self._not_connected(f"{self.address} closed the connection before it accepted us{hint}")
        self._answered.set()
        self._lost.set()

    def _on_failure(self, error: Exception) -> None:
        """Paho raised: by a packet that makes no sense, or by `_broken`, which `run` ends with."""
        if self._broken is None:
            _log.error("broker: it sent what cannot be understood", exc_info=error)
            self._subscriptions.lost()
        self._counters.broker_disconnects_total += 1
        self._not_connected(f"connection to {self.address} given up: {type(error).__name__}")
        self._answered.set()
        self._lost.set()

    def _on_subscribe(self, _client: Any, _userdata: Any, packet_id: int, reasons: Any, _properties: Any) -> None:
        self._subscriptions.answered(packet_id, reasons)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _on_message(self, _client: Any, _userdata: Any, received: paho.MQTTMessage) -> None:
        """Stock paho's way: one at a time."""
        try:
            topic = received.topic
        except UnicodeDecodeError:
            # [MQTT-1.5.3-1] forbids it; such a topic fits no pattern and is counted as that.
            topic = ""
        now_ms = self._clock.wall_ms()
        payload = bytes(received.payload)
        message = Message(topic, payload, received.qos, received.retain, received.dup, received.mid, now_ms)
        self._delivery.messages_came([message])
