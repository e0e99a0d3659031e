"""What went over the wire between the broker and the gateway: each delivery, and each PUBACK. Pure.

It tells the broker's faults from the gateway's: a message that the broker never delivered, or delivered twice as new, is
not the gateway's doing; one that the gateway acknowledged is its to keep.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from tests.crash.ledger import Key, key_in
from tests.crash.proxy import Direction

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9


def topic_of(device: str) -> str:
    """Where a device publishes; the last level names the metric, so that a device's name may hold slashes."""
    return f"sensors/{device}/lab"


def device_of(topic: str) -> str:
    """The other way round."""
    return topic.removeprefix("sensors/").removesuffix("/lab")


class Delivery(NamedTuple):
    """One PUBLISH towards the gateway."""

    connection: int
    packet_id: int
    dup: bool


class Edge:
    """Follows all connections of one gateway through its proxy; `observe` is the proxy's observer."""

    def __init__(self) -> None:
        self.deliveries: dict[Key, list[Delivery]] = {}
        self.acknowledged: set[Key] = set()
        self.redelivered = 0
        self.subscribed_anew_at: list[float] = []
        """When (by the monotonic clock) the broker granted subscriptions on a session that it had not known."""
        self._is_new_session = False
        self._buffers: dict[tuple[int, Direction], bytes] = {}
        self._flying: dict[tuple[int, int], Key] = {}
        self._newest = 0

    @property
    def flying(self) -> int:
        """Messages of the newest connection that were delivered and not acknowledged."""
        return sum(connection == self._newest for connection, _ in self._flying)

    def observe(self, connection: int, direction: Direction, piece: bytes) -> None:
        """Bytes of one side, in order."""
        self._newest = max(self._newest, connection)
        buffer = self._buffers.get((connection, direction), b"") + piece
        at = 0
        while packet := _packet(buffer, at):
            kind, begin, at = packet
            if kind >> 4 == PUBLISH and direction == "down":
                self._deliver(connection, kind, buffer[begin:at])
            elif kind >> 4 == CONNACK and direction == "down":
                self._is_new_session = not buffer[begin] & 1
            elif kind >> 4 == SUBACK and direction == "down" and self._is_new_session:
                self.subscribed_anew_at.append(time.monotonic())
            elif kind >> 4 == PUBACK and direction == "up":
                self._acknowledge(connection, int.from_bytes(buffer[begin : begin + 2], "big"))
        self._buffers[connection, direction] = buffer[at:]

    def _deliver(self, connection: int, kind: int, body: bytes) -> None:
        if not kind & 0b0110:
            return
        length = int.from_bytes(body[:2], "big")
        topic = body[2 : 2 + length].decode(errors="replace")
        key = key_in(device_of(topic), body[4 + length :])
        if key is None:
            return
        packet_id = int.from_bytes(body[2 + length : 4 + length], "big")
        dup = bool(kind & 0b1000)
        self.redelivered += dup
        self.deliveries.setdefault(key, []).append(Delivery(connection, packet_id, dup))
        self._flying[connection, packet_id] = key

    def _acknowledge(self, connection: int, packet_id: int) -> None:
        key = self._flying.pop((connection, packet_id), None)
        if key is not None:
            self.acknowledged.add(key)

    def fresh(self, key: Key) -> int:
        """How often the broker delivered a message that the gateway could not recognise as redelivered.

        A redelivery carries the DUP flag and the packet id that the message had before.
        """
        known: set[int] = set()
        count = 0
        for delivery in self.deliveries.get(key, []):
            count += not (delivery.dup and delivery.packet_id in known)
            known.add(delivery.packet_id)
        return count


def _packet(buffer: bytes, at: int) -> tuple[int, int, int] | None:
    """First byte, begin and end of the body of the packet at a place; None while it is not whole."""
    size, shift, place = 0, 0, at + 1
    while place < len(buffer) and shift <= 21:
        size |= (buffer[place] & 0x7F) << shift
        place += 1
        if not buffer[place - 1] & 0x80:
            return (buffer[at], place, place + size) if place + size <= len(buffer) else None
        shift += 7
    return None
