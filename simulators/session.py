"""The MQTT session of one simulated device. The only file with paho."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.mqtt.drive import Drive
from simulators.address import Broker
from simulators.counters import Counters
from simulators.device import Device, Publication
from simulators.signals import fraction, salt

UNACKNOWLEDGED_MAX = 100
"""Messages of one device that the broker has not acknowledged (QoS 0: not taken by the socket). At the limit the device
skips its messages until there is room. Five times paho's in-flight window of 20."""

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0

RETRY_FIRST_S, RETRY_MAX_S = 0.25, 30.0
"""Back-off between attempts to connect: doubles; each wait is shortened by up to half, so that none go in step."""

PROTOCOLS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}


class Session:
    """The MQTT session of one device: connects, announces the device, and comes back when it is cut off."""

    def __init__(self, device: Device, broker: Broker, tls: ssl.SSLContext | None, protocol: str, counters: Counters):
        """``tls`` is shared by all sessions of a fleet: loading the system's certificates takes 20 ms each time."""
        self.device = device
        self.online = False
        self.unacknowledged = 0
        self.reason = "no answer"
        self.counters = counters
        self._ended = False
        self._lost = asyncio.Event()
        self._client = _client(device, broker, tls, protocol)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = lambda *_: None
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._drive = Drive(self._client)

    def publish(self, publication: Publication) -> None:
        """Publish it now, or skip and count it."""
        if not self.online:
            self.counters.skipped_disconnected_total += 1
        elif self.unacknowledged >= UNACKNOWLEDGED_MAX:
            self.counters.skipped_unacknowledged_total += 1
        else:
            self._send(publication)

    async def keep(self, turn: asyncio.Semaphore) -> None:
        """Stay connected, for ever; ``turn`` bounds how many sessions connect at once."""
        attempt = 0
        while True:
            began_s = time.monotonic()
            await self._connection(turn)
            # A connection that is cut again and again is no success, so only one that lasted ends the back-off.
            attempt = 0 if time.monotonic() - began_s > RETRY_MAX_S else attempt + 1
            await asyncio.sleep(_retry_s(self.device, attempt))

    async def _connection(self, turn: asyncio.Semaphore) -> None:
        self._lost.clear()
        try:
            async with turn:
                await self._drive.connect()
        except (OSError, UnicodeError, paho.WebsocketConnectionError) as error:
            self.reason = _reason(error)
        else:
            await self._lost.wait()

    def say_goodbye(self) -> None:
        """Publish ``offline``, past the limit if need be, and let no later connection count; call it once."""
        self._ended = True
        if self.online:
            self._send(self.device.farewell(now_ms()))

    def disconnect(self) -> None:
        """End the session on purpose: the broker forgets the last will."""
        if self.online:
            self._client.disconnect()

    def _send(self, publication: Publication) -> None:
        self.unacknowledged += 1
        self.counters.published_total += 1
        self.counters.readings_total += publication.readings
        self._client.publish(publication.topic, publication.payload, publication.qos, publication.retain)

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            self.reason = f"the broker refused: {code}"
            return
        if self._ended:
            # It was still connecting, in its thread, when the fleet stopped.
            self._client.disconnect()
            return
        self.online = True
        self.counters.connected += 1
        self.counters.connects_total += 1
        for publication in self.device.announcement(now_ms()):
            self._send(publication)

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if self.online:
            self.online = False
            self.reason = str(code)
            self.counters.connected -= 1
            if self.device.qos == 0:
                # paho forgets what it had not written; what has QoS 1 or 2 it sends again.
                self.unacknowledged = 0
        self._lost.set()

    def _on_publish(self, _client: Any, _userdata: Any, _mid: int, code: Any, _properties: Any) -> None:
        self.unacknowledged -= 1
        if code.is_failure:
            self.counters.refused_total += 1
        else:
            self.counters.acknowledged_total += 1


def _client(device: Device, broker: Broker, tls: ssl.SSLContext | None, protocol: str) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        # The same at each start, as a real device's is: a new simulator takes over from one that hangs.
        client_id=f"simulated-{device.name.replace('/', '-')}",
        protocol=PROTOCOLS[protocol],
        transport="websockets" if broker.websocket else "tcp",
        reconnect_on_failure=False,
    )
    if broker.websocket:
        client.ws_set_options(path=broker.path)
    if tls:
        client.tls_set_context(tls)
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.will_set(device.availability_topic, b"offline", qos=device.qos, retain=True)
    client.connect_async(broker.host, broker.port, KEEPALIVE_S)
    return client


def _retry_s(device: Device, attempt: int) -> float:
    longest = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(attempt, 10))
    return longest * (0.5 + 0.5 * fraction(salt(device.name), attempt))


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:] if text else type(error).__name__


def now_ms() -> int:
    """The wall clock, Unix ms."""
    return time.time_ns() // 1_000_000
