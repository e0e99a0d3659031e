"""Reading in bulk gives exactly what stock paho gives, for any packets in any chunks."""

from __future__ import annotations

import socket
import struct
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from gateway.mqtt.bulk import BulkClient, is_supported
from gateway.mqtt.drive import bytes_waiting
from gateway.reading import Message
from tests.parts import HandClock

Seen = list[tuple[Any, ...]]


def varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (128 if value else 0))
        if not value:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + varint(len(body)) + body


@st.composite
def publishes(draw: st.DrawFn, v5: bool) -> bytes:
    qos = draw(st.sampled_from([0, 1, 1, 2]))
    flags = qos << 1 | draw(st.booleans()) | draw(st.booleans()) << 3
    topic = draw(st.sampled_from([b"a", b"sensors/boiler/temperature", "sensors/\u00e4".encode(), b"t" * 300]))
    body = struct.pack("!H", len(topic)) + topic
    if qos:
        body += struct.pack("!H", draw(st.integers(1, 65_535)))
    if v5:
        # Payload format indicator, and a user property.
        body += draw(st.sampled_from([b"\x00", b"\x02\x01\x01", b"\x07\x26\x00\x01k\x00\x01v"]))
    return packet(0x30 | flags, body + draw(st.binary(max_size=300) | st.just(b"x" * 20_000)))


def controls(v5: bool) -> st.SearchStrategy[bytes]:
    suback = struct.pack("!H", 7) + (b"\x00" if v5 else b"") + b"\x01\x80"
    return st.sampled_from([packet(0xD0, b""), packet(0x90, suback), packet(0x40, b"\x00\x05")])


def streams(v5: bool) -> st.SearchStrategy[list[bytes]]:
    """Chunks as they may come from the network, of whole packets."""
    packets = st.lists(publishes(v5) | publishes(v5) | controls(v5), min_size=1, max_size=25)
    return st.tuples(packets, st.lists(st.integers(1, 4000), min_size=1, max_size=8)).map(cut)


def cut(drawn: tuple[list[bytes], list[int]]) -> list[bytes]:
    data, sizes = b"".join(drawn[0]), drawn[1]
    chunks: list[bytes] = []
    at, turn = 0, 0
    while at < len(data):
        # After a hundred cuts the rest comes in large pieces: single bytes of a long payload prove nothing more.
        size = sizes[turn % len(sizes)] if turn < 100 else 30_000
        chunks.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return chunks


def connected(client: paho.Client) -> tuple[paho.Client, socket.socket]:
    """The client with a real socket under it, as after a connect, and the broker's end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    client._sock = ours
    return client, theirs


def stock(v5: bool, seen: Seen) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5 if v5 else paho.MQTTv311, manual_ack=True, client_id="one"
    )
    client.on_message = lambda _c, _u, m: seen.append((m.topic, bytes(m.payload), m.qos, m.retain, m.dup, m.mid))
    return observed(client, seen)


def bulk(v5: bool, seen: Seen) -> BulkClient:
    def see(run: list[Message]) -> None:
        seen.extend((m.topic, m.payload, m.qos, m.retain, m.dup, m.packet_id) for m in run)

    protocol = paho.MQTTv5 if v5 else paho.MQTTv311
    client = BulkClient(see, HandClock(), protocol=protocol, manual_ack=True, client_id="one")
    client.on_message = lambda _c, _u, m: seen.append((m.topic, bytes(m.payload), m.qos, m.retain, m.dup, m.mid))
    return observed(client, seen)


def observed(client: Any, seen: Seen) -> Any:
    client.on_subscribe = lambda _c, _u, mid, codes, _p: seen.append(("suback", mid, [code.value for code in codes]))
    client.on_disconnect = lambda *_: seen.append(("disconnected",))
    return client


def fed(client: paho.Client, chunks: list[bytes]) -> None:
    client, theirs = connected(client)
    with theirs:
        for chunk in chunks:
            theirs.sendall(chunk)
            while client._sock is not None and bytes_waiting(client._sock):
                client.loop_read()
        if client._sock is not None:
            client._sock.close()
            client._sock = None


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
def test_bulk_reading_sees_what_stock_paho_sees(v5: bool) -> None:
    @settings(deadline=None, max_examples=60)
    @given(streams(v5))
    def same(chunks: list[bytes]) -> None:
        expected: Seen = []
        actual: Seen = []
        fed(stock(v5, expected), chunks)
        fed(bulk(v5, actual), chunks)
        assert expected == actual

    same()


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
def test_broken_bytes_end_the_connection_as_with_stock_paho(v5: bool) -> None:
    broken = [
        packet(0x30, b""),
        packet(0x30, b"\x00\x09abc"),
        packet(0x32, b"\x00\x01a\x00"),
        packet(0x36, b"\x00\x01a\x00\x01"),
        packet(0xF0, b"") if not v5 else packet(0xF0, b"\x00"),
        b"\x30\xff\xff\xff\xff\x01",
    ]
    for data in broken:
        expected: Seen = []
        actual: Seen = []
        fed(stock(v5, expected), [data])
        fed(bulk(v5, actual), [data])
        assert expected == actual, data


def test_acknowledgements_go_out_in_one_write_in_order() -> None:
    client, theirs = connected(bulk(False, []))
    assert isinstance(client, BulkClient)
    with theirs:
        client.acknowledge([1, 2, 65_535])
        client.loop_write()
        assert bytes.fromhex("40020001 40020002 4002ffff") == theirs.recv(100)
    client._sock.close()  # type: ignore[union-attr] # it is there
    client._sock = None


def test_the_installed_paho_has_what_bulk_reading_needs() -> None:
    assert is_supported()
