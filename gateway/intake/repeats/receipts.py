"""The exactly-once edge: which messages the broker may send again although they are in the log.

A broker that did not get our PUBACK (the gateway was killed, the connection broke) sends the message again, with the DUP
flag and the same packet id. Each commit stores the marks (packet id, hash of topic and payload) of its messages in the
same transaction; a redelivered message whose mark is the newest of its packet id is acknowledged and not logged.

A mark is forgotten as soon as its packet id is used for a new message, and all of them when the broker says that it knows
no session of ours.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from functools import lru_cache

PACKET_IDS = 65_536
"""Packet ids have two bytes; 0 is none of them (MQTT 3.1.1, 2.3.1), and a hash of 0 counts as 1: it stands for no message."""

MARK = struct.Struct("<HQ")
"""Packet id and hash: 10 bytes a message."""

FORGET = MARK.pack(0, 0)
"""Stored where the broker began a new session: no message has the packet id 0 (MQTT 3.1.1, 2.3.1)."""


MAX_TOPICS = 10_000
"""Topics whose beginning of a hash is remembered, the last ones used; a topic of each device, usually."""

MAX_REMEMBERED_CHARACTERS = 256
"""Longer topics (MQTT allows 65,535 bytes) are hashed each time: 10,000 of them would take 650 MB."""


def content_hash(topic: str, payload: bytes) -> int:
    """64 bits of BLAKE2b over the topic, its length and the payload; the same in every process, unlike ``hash()``."""
    begun = _begun(topic).copy() if len(topic) <= MAX_REMEMBERED_CHARACTERS else _begun.__wrapped__(topic)
    begun.update(payload)
    return int.from_bytes(begun.digest(), "little")


@lru_cache(MAX_TOPICS)
def _begun(topic: str) -> hashlib.blake2b:
    """The hash when the topic is in it and the payload not yet: to copy it takes half the time of beginning one."""
    name = topic.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(len(name).to_bytes(4, "little") + name, digest_size=8)


class PacketWindow:
    """The newest mark of each packet id, seen or stored: half a megabyte, however many come. Used on the event loop alone."""

    def __init__(self, stored: bytes = b"") -> None:
        self._hashes = array("Q", bytes(8 * PACKET_IDS))
        self._is_new_session = False
        for packet_id, hashed in MARK.iter_unpack(stored[: len(stored) // MARK.size * MARK.size]):
            if packet_id:
                self.add(packet_id, hashed)
            else:
                self.clear()
        self._is_new_session = False

    def add(self, packet_id: int, hashed: int) -> bytes:
        """Remember a message that goes to the log; returns its mark, to be stored with it."""
        self._hashes[packet_id] = hashed or 1
        mark = MARK.pack(packet_id, hashed)
        if self._is_new_session:
            self._is_new_session = False
            return FORGET + mark
        return mark

    def knows(self, packet_id: int, hashed: int) -> bool:
        """Whether this message, redelivered, is in the log or on its way into it."""
        return self._hashes[packet_id] == (hashed or 1)

    def clear(self) -> None:
        """The broker began a new session: its packet ids mean nothing to us yet, now and after a restart."""
        self._hashes = array("Q", bytes(8 * PACKET_IDS))
        self._is_new_session = True
