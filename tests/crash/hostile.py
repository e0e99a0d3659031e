"""Devices that flood, and devices that send whatever they can think of."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING

from tests.crash.edge import topic_of
from tests.crash.ledger import payload_of
from tests.crash.publisher import RawSender, publish_packet

if TYPE_CHECKING:
    from tests.crash.laboratory import Laboratory

FLOOD_RATE = 10_000
FLOODING = "flood"

TOPICS = [
    b"sensors/", b"sensors//", b"sensors/../x", b"sensors/\xff\xfe", b"sensors/a\nid: 1\ndata: x", b"sensors/" + b"a/" * 200,
    b"sensors/<script>alert(1)</script>/t", "sensors/\u202egnp/t".encode(), b"sensors/a*b/t", b"sensors/%2e%2e%2f/t",
    b"sensors/" + b"x" * 4000, b"$SYS/x", b"sensors/a\0b/t", "sensors/\U0001f321/°C".encode(), b"sensors/__proto__/constructor",
]  # fmt: skip


async def flood(lab: Laboratory, rng: random.Random) -> None:
    """One device sends 10,000 a second at QoS 0 beside the quiet ones."""
    sender = RawSender(lab.broker.port, "flooder")
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    seconds = rng.uniform(0.5, 1.5)
    while (passed := loop.time() - began) < seconds:
        packets = []
        for _ in range(int(passed * FLOOD_RATE) - sent):
            key = lab.ledger.next_key(FLOODING, 0)
            lab.ledger.sent(key, loop.time())
            packets.append(publish_packet(topic_of(FLOODING).encode(), payload_of(key)))
        sent += len(packets)
        await sender.send(b"".join(packets))
        await asyncio.sleep(0.02)
    sender.close()


async def fuzz(lab: Laboratory, rng: random.Random) -> None:
    """Random bytes, JSON bombs, and names that are addresses, markup and fields of a stream."""
    sender = RawSender(lab.broker.port, "fuzzer")
    for _ in range(rng.randint(50, 150)):
        await sender.send(publish_packet(_topic(rng), _payload(rng)))
        await asyncio.sleep(0.005)
    sender.close()


def _topic(rng: random.Random) -> bytes:
    if rng.random() < 0.7:
        return rng.choice(TOPICS)
    return b"sensors/fuzz/" + rng.randbytes(rng.randint(1, 30))


def _payload(rng: random.Random) -> bytes:
    makers = (
        lambda: rng.randbytes(rng.randint(0, 300)),
        lambda: b"[" * rng.randint(1, 100_000),
        lambda: b'{"a":' * 500 + b"1" + b"}" * 500,
        lambda: json.dumps({f"m{number}": number for number in range(rng.randint(100, 5000))}).encode(),
        lambda: json.dumps([{"v": 1}] * rng.randint(100, 3000)).encode(),
        lambda: b'{"v": 1e999, "w": NaN, "x": -0, "y": 1e-400, "z": ' + b"9" * 5000 + b"}",
        lambda: b'{"a\\r\\nid: 7\\r\\n\\r\\ndata: x": "\\n\\nevent: bye\\ndata: {}\\n\\n"}',
        lambda: b'"' + b"x\n\nid: 5\n\n" * 20 + b'"',
        lambda: b'{"v": "\\ud800", "w": "\\u0000", "x": "\\u2028"}',
        lambda: rng.choice(
            (b"", b" ", b"nan", b"true", b"null", b"1e400", b"0x10", b"1_000", "١٢".encode(), b"\xef\xbb\xbf21")
        ),
        lambda: b'{"time": "9999-12-31T23:59:59Z", "v": 1, "unit": {"a": 1}, "value": {"value": 1}}',
        lambda: bytes(rng.randint(262_145, 400_000)),
    )
    return rng.choice(makers)()
