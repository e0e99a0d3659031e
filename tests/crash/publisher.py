"""Devices: numbered messages through a real paho client, and what the broker acknowledged of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import paho.mqtt.client as paho

from gateway.mqtt.drive import Drive
from tests.crash.edge import topic_of
from tests.crash.ledger import Key, Ledger, payload_of

TICK_S = 0.01
MAX_FLYING = 500
"""Unacknowledged messages of one client; a real device waits too, and packet ids must not come round."""

PAUSE_S = 0.2


class Publisher:
    """One client with a session of its own that publishes at one QoS to devices in turn, ``rate`` messages a second.

    It comes back by itself when the broker goes, and then sends again what was not acknowledged (paho does).
    """

    def __init__(self, ledger: Ledger, port: int, qos: int, devices: list[str], rate: float) -> None:
        self._ledger, self._port, self._qos, self._devices = ledger, port, qos, devices
        self.rate = rate
        self.loaded = False
        self.flying: dict[int, Key] = {}
        self._turn = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._lost = asyncio.Event()
        self._connected = asyncio.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"devices-qos{qos}", clean_session=False)
        self._client.max_inflight_messages_set(1000)
        self._client.on_connect, self._client.on_disconnect = self._on_connect, self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect_async("127.0.0.1", port, keepalive=10)

    def open(self) -> Publisher:
        """Connect, and stay connected; nothing is published before ``loaded`` is set."""
        self._drive = Drive(self._client, lambda error: self._lost.set())
        self._tasks = [asyncio.create_task(self._stay()), asyncio.create_task(self._publish())]
        return self

    async def close(self) -> None:
        """Stop for good."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._drive.close()

    async def _stay(self) -> None:
        while True:
            self._lost.clear()
            with contextlib.suppress(OSError):
                await self._drive.connect()
                await self._lost.wait()
            self._connected.clear()
            await asyncio.sleep(PAUSE_S)

    async def _publish(self) -> None:
        due, last = 0.0, asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(TICK_S)
            now = asyncio.get_running_loop().time()
            passed, last = now - last, now
            if not (self.loaded and self._connected.is_set()) or len(self.flying) > MAX_FLYING:
                continue
            due = min(due + passed * self.rate, self.rate)
            while due >= 1:
                due -= 1
                self._one(now)

    def _one(self, now: float) -> None:
        device = self._devices[self._turn % len(self._devices)]
        self._turn += 1
        key = self._ledger.next_key(device, self._qos)
        self._ledger.sent(key, now)
        told = self._client.publish(topic_of(device), payload_of(key), qos=self._qos)
        if self._qos:
            self.flying[told.mid] = key

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._lost.set()
            return
        for key in self.flying.values():
            self._ledger.sent_again(key)
        self._connected.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._connected.clear()
        self._lost.set()

    def _on_publish(self, _client: Any, _userdata: Any, packet_id: int, _reason: Any, _properties: Any) -> None:
        key = self.flying.pop(packet_id, None)
        if key is not None:
            self._ledger.acknowledged(key, asyncio.get_running_loop().time())


def _text(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT packet with its length, whatever is in it."""
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def publish_packet(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH at QoS 0."""
    return packet(0x30, _text(topic) + payload)


class RawSender:
    """A client that writes packets of its own making: faster than paho, and with no manners."""

    def __init__(self, port: int, name: str) -> None:
        self._port, self._name = port, name
        self._sock: socket.socket | None = None

    async def send(self, packets: bytes) -> None:
        """Connect when that is needed, and write; a broker that hangs up is no fault."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, TimeoutError):
            if self._sock is None:
                self._sock = socket.socket()
                self._sock.setblocking(False)
                await loop.sock_connect(self._sock, ("127.0.0.1", self._port))
                body = _text(b"MQTT") + b"\x04\x02\x00\x3c" + _text(self._name.encode())
                await loop.sock_sendall(self._sock, packet(0x10, body))
                await asyncio.wait_for(loop.sock_recv(self._sock, 4), 5)
            await asyncio.wait_for(loop.sock_sendall(self._sock, packets), 10)
            return
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
