"""A paho client that reads in bulk: many PUBLISH packets from one read, many PUBACKs in one write.

Stock paho takes two to three system calls to read a message and one to acknowledge it. This one reads 16 KiB at a time,
makes messages of the PUBLISH packets in it, and hands every other packet to paho as it would have read it itself.

It goes through private names of paho 2 (`_sock_recv`, `_in_packet`, `_packet_handle`, `_loop_rc_handle`, `_packet_queue`,
`_last_bytes_received`), which `is_supported` checks; `mqtt.client = "stock"` switches back, and a differential test holds
that both make the same of any packets in any chunks. Source: MQTT 3.1.1 and 5.0, sections 2.2 and 3.3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes

from gateway.clock import Clock
from gateway.reading import Message
from gateway.remembered import Remembered

READ_BYTES = 16_384
"""One read: some hundred messages, which take some milliseconds; larger reads make the loop late and save nothing more."""

MAX_TOPICS = 20_000
"""Topics whose text is remembered by their bytes."""

_PUBLISH = 0x30
_PUBACK = PacketTypes.PUBACK << 28 | 2 << 16
"""As a number of four bytes, with the packet id in the last two (3.1.1 and 5.0, 3.4)."""

_PRIVATE = (
    "_sock_recv",
    "_packet_handle",
    "_loop_rc_handle",
    "_packet_queue",
    "_msgtime_mutex",
    "_last_bytes_received",
)


def is_supported() -> bool:
    """Whether the installed paho has the private names that this needs."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    return all(hasattr(client, name) for name in (*_PRIVATE, "_in_packet"))


class IncompleteError(Exception):
    """The packet goes on in bytes that have not come yet."""


OnMessages = Callable[[list[Message]], None]


class BulkClient(paho.Client):
    """Calls ``on_messages`` with the messages of each read; ``options`` are those of paho's client.

    ``on_message`` is not called, except for QoS 2, which we never ask for.
    """

    def __init__(self, on_messages: OnMessages, clock: Clock, **options: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self._on_messages, self._clock = on_messages, clock
        self._rest = bytearray()
        self._wanted = 2
        self._topics: Remembered[bytes, str] = Remembered(MAX_TOPICS)
        self._has_properties = self._protocol == paho.MQTTv5

    def reconnect(self) -> MQTTErrorCode:
        """As paho's; half a packet of the connection before is forgotten."""
        self._rest.clear()
        self._wanted = 2
        return super().reconnect()

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:  # noqa: ARG002 - paho's signature
        """Read once, and handle the packets that are whole."""
        if self._sock is None:
            return paho.MQTT_ERR_NO_CONN
        try:
            chunk = self._sock_recv(READ_BYTES)
        except BlockingIOError:
            return paho.MQTT_ERR_SUCCESS
        except OSError:
            return self._loop_rc_handle(paho.MQTT_ERR_CONN_LOST)
        if not chunk:
            return self._loop_rc_handle(paho.MQTT_ERR_CONN_LOST)
        with self._msgtime_mutex:
            self._last_bytes_received = paho.time_func()
        return self._handle(chunk)

    def _handle(self, chunk: bytes) -> MQTTErrorCode:
        if self._rest:
            self._rest += chunk
            # A large packet comes in many chunks: it is looked at again when it is whole.
            if len(self._rest) < self._wanted:
                return paho.MQTT_ERR_SUCCESS
            chunk = bytes(self._rest)
            self._rest.clear()
        run: list[Message] = []
        code, at = self._handle_packets(chunk, run)
        if run:
            self._on_messages(run)
        if code > 0:
            return self._loop_rc_handle(code)
        if self._sock is not None:
            self._rest += chunk[at:]
        return paho.MQTT_ERR_SUCCESS

    def _handle_packets(self, data: bytes, run: list[Message]) -> tuple[MQTTErrorCode, int]:
        """All whole packets in ``data``; PUBLISHes end up in ``run``. Returns a code and where the rest begins."""
        at, now_ms = 0, self._clock.wall_ms()
        self._wanted = 2
        while len(data) - at >= 2:
            try:
                length = data[at + 1]
                body, end = (at + 2, at + 2 + length) if length < 128 else _bounds(data, at)
            except IncompleteError:
                self._wanted = len(data) - at + 1
                break
            except ValueError:
                return paho.MQTT_ERR_PROTOCOL, at
            if end > len(data):
                self._wanted = end - at
                break
            message = self._message(data, at, body, end, now_ms) if data[at] & 0xF0 == _PUBLISH else None
            if message is not None:
                run.append(message)
            else:
                if run:
                    self._on_messages(run)
                    run.clear()
                code = self._hand_over(data, at, body, end)
                if code > 0 or self._sock is None:
                    return code, at
            at = end
        return paho.MQTT_ERR_SUCCESS, at

    def _message(self, data: bytes, at: int, body: int, end: int, now_ms: int) -> Message | None:
        """The message of a PUBLISH, or None for one that paho should judge: QoS 2 and 3, malformed ones."""
        flags = data[at]
        qos = (flags & 6) >> 1
        if end - body < 2 or qos > 1:
            return None
        topic_end = body + 2 + (data[body] << 8 | data[body + 1])
        start = topic_end + 2 * qos
        if start > end or topic_end == body + 2:
            return None
        packet_id = data[topic_end] << 8 | data[topic_end + 1] if qos else 0
        if self._has_properties:
            # A length of 0 is the usual one, and needs no more than this look.
            if start < end and not data[start]:
                start += 1
            elif (start := _behind_properties(data, start)) > end:
                return None
        name = data[body + 2 : topic_end]
        topic = self._topics.get(name)
        if topic is None:
            topic = self._decoded(name)
        return Message(topic, data[start:end], qos, flags & 1 == 1, flags & 8 == 8, packet_id, now_ms)

    def _decoded(self, name: bytes) -> str:
        try:
            topic = name.decode()
        except UnicodeDecodeError:
            topic = ""  # [MQTT-1.5.3-1] forbids it; it fits no pattern, and is counted as that
        return self._topics.remember(name, topic)

    def _hand_over(self, data: bytes, at: int, body: int, end: int) -> MQTTErrorCode:
        """Let paho handle one packet, as if it had read it."""
        packet = bytearray(data[body:end])
        self._in_packet = {
            "command": data[at],
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(packet),
            "packet": packet,
            "to_process": 0,
            "pos": 0,
        }
        try:
            return self._packet_handle()
        except MalformedPacket:
            return paho.MQTT_ERR_PROTOCOL

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Send the PUBACKs of these messages in one write."""
        packets = [_PUBACK | packet_id for packet_id in packet_ids]
        if packets and self._sock is not None:
            self._packet_queue(paho.PUBACK, struct.pack(f"!{len(packets)}I", *packets), 0, 1)


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Where the body of the packet at ``at`` begins and ends; the end may lie beyond ``data``."""
    length, body = _length(data, at + 1)
    return body, body + length


def _behind_properties(data: bytes, at: int) -> int:
    """Where properties of MQTT 5.0 that begin at ``at`` end; beyond all data when their length makes no sense."""
    try:
        length, start = _length(data, at)
    except (IncompleteError, ValueError):
        return len(data) + 1
    return start + length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer and the place behind it; raises IncompleteError, or ValueError above four bytes."""
    value = shift = 0
    for place in range(at, at + 4):
        if place >= len(data):
            raise IncompleteError
        value |= (data[place] & 127) << shift
        if data[place] < 128:
            return value, place + 1
        shift += 7
    raise ValueError("a length of more than four bytes")
