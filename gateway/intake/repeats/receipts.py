"""Receipts: what proves that a message is in the log, so that it is logged exactly once.

A broker that did not get our PUBACK (the gateway was killed, the connection broke) sends the message again, with the DUP
flag and the same packet id. Each commit stores the receipts (packet id, hash of topic and payload) of its messages in the
same transaction. A redelivered message whose receipt is the newest of its packet id is acknowledged and not logged.

A receipt is forgotten as soon as its packet id is used for a new message, and all of them when the broker says that it knows
no session of ours.
"""

from __future__ import annotations

import hashlib
import struct
from array import array

from gateway.remembered import Remembered

PACKET_IDS = 65_536
"""Packet ids have two bytes, and 0 is none of them (MQTT 3.1.1, 2.3.1). In the array a hash of 0 stands for no message, so a
message whose hash is 0 gets 1."""

RECEIPT = struct.Struct("<HQ")
"""Packet id and hash: `RECEIPT_BYTES` of the log's store, to which they are bytes."""

FORGET = RECEIPT.pack(0, 0)
"""Stored where the broker began a new session: no message has the packet id 0 (MQTT 3.1.1, 2.3.1)."""

MAX_TOPICS = 10_000
"""Topics whose begun hash is remembered; a topic of each device, usually."""

_begun: Remembered[str, hashlib.blake2b] = Remembered(MAX_TOPICS)
"""The hash with the topic in it and the payload not yet: to copy it takes half the time of beginning one."""


def content_hash(topic: str, payload: bytes) -> int:
    """64 bits of BLAKE2b over the topic, its length and the payload; the same in every process, unlike ``hash()``."""
    begun = _begun.get(topic)
    if begun is None:
        begun = _begun.remember(topic, _begin(topic))
    begun = begun.copy()
    begun.update(payload)
    return int.from_bytes(begun.digest(), "little")


def _begin(topic: str) -> hashlib.blake2b:
    name = topic.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(len(name).to_bytes(4, "little") + name, digest_size=8)


class Receipts:
    """The newest receipt of each packet id, seen or stored, in half a megabyte. Used on the event loop alone.

    ``stored`` are receipts as `add` returned them, oldest first; what is left of one that was cut short is ignored.
    """

    def __init__(self, stored: bytes = b"") -> None:
        self._hashes = array("Q", bytes(8 * PACKET_IDS))
        self._is_new_session = False
        for packet_id, hashed in RECEIPT.iter_unpack(stored[: len(stored) // RECEIPT.size * RECEIPT.size]):
            if packet_id:
                self.add(packet_id, hashed)
            else:
                self.forget()
        self._is_new_session = False

    def add(self, packet_id: int, hashed: int) -> bytes:
        """Remember a message that goes to the log; returns its receipt, to be stored in the same transaction."""
        self._hashes[packet_id] = hashed or 1
        receipt = RECEIPT.pack(packet_id, hashed)
        if self._is_new_session:
            self._is_new_session = False
            return FORGET + receipt
        return receipt

    def knows(self, packet_id: int, hashed: int) -> bool:
        """Whether this message, redelivered, is in the log or on its way into it."""
        return self._hashes[packet_id] == (hashed or 1)

    def forget(self) -> None:
        """The broker began a new session: its packet ids mean nothing to us yet, now and after a restart.

        That is stored with the first receipt after it. A kill before that commit brings the old receipts back, so a message
        that equals the one which had its packet id in the session before would count as logged.
        """
        self._hashes = array("Q", bytes(8 * PACKET_IDS))
        self._is_new_session = True
