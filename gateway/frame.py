"""SSE blocks: everything that a stream can say, as bytes ending in a blank line.

Source: WHATWG HTML, 9.2 "Server-sent events". CR, LF and CRLF all end a line there, so device text goes only into JSON,
which holds no raw line break; ids are digits only, because other characters force a CORS preflight on reconnect.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.reading import ByeReason, Draft, Entry, Gap, Kind, project

VISIBLE_EVERY = 3
"""Each third heartbeat in a row is an event with data: what a page sees of a quiet stream, every 45 s by default."""

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_READING = b"id: %d\ndata: %b\n\n"
_DATA = b"\ndata: "


def entry_frame(kind: Kind, seq: int, data: bytes) -> bytes:
    """The block of an entry; a reading has no ``event`` field, so that ``onmessage`` gets it."""
    if kind == "reading":
        return _READING % (seq, data)
    return b"event: %b\nid: %d\ndata: %b\n\n" % (kind.encode(), seq, data)


def numbered(drafts: Iterable[Draft], first: int) -> list[Entry]:
    """The entries that ``drafts`` become under the numbers from ``first`` on."""
    return [
        Entry(
            seq,
            draft.kind,
            draft.device,
            draft.received_at_ms,
            _READING % (seq, draft.data) if draft.kind == "reading" else entry_frame(draft.kind, seq, draft.data),
        )
        for seq, draft in enumerate(drafts, first)
    ]


def entry_data(entry: Entry) -> bytes:
    """The JSON text in an entry's frame."""
    frame = entry.frame
    return frame[frame.index(_DATA) + len(_DATA) : -2]


def entry_content(entry: Entry) -> dict[str, Any]:
    """What the JSON text in an entry's frame says, decoded."""
    return _decode(entry_data(entry))


def projected(entry: Entry, metrics: frozenset[str]) -> bytes | None:
    """The block of an entry with only ``metrics``; None when it is a reading that has none of them."""
    if entry.kind != "reading" or not metrics:
        return entry.frame
    data = entry_content(entry)
    data["values"] = project(data["values"], metrics)
    return reading(data, entry.seq) if data["values"] else None


def hello(position: int, floor: int, head: int, time_ms: int, mode: str) -> bytes:
    """The first block of each connection."""
    data = _encode({"position": position, "floor": floor, "head": head, "time": time_ms, "mode": mode})
    return b"event: hello\nid: %d\ndata: %b\n\n" % (position, data)


def latest(device_state: bytes) -> bytes:
    """What is known of one device, as JSON text; without an id, so that nothing counts it as an entry."""
    return b"event: latest\ndata: %b\n\n" % device_state


def live(position: int) -> bytes:
    """Replay is over. No id: the one that the client has is right."""
    return b'event: live\ndata: {"position":%d}\n\n' % position


def heartbeat(number: int, position: int, time_ms: int) -> bytes:
    """The ``number``-th in a row, from 1. Most fire nothing in a browser (no data), but move its Last-Event-ID.

    Every third has data: a page's script sees it, and so do client libraries that drop blocks without data and their ids.
    """
    if number % VISIBLE_EVERY:
        return b"id: %d\n\n" % position
    return b'event: heartbeat\nid: %d\ndata: {"position":%d,"time":%d}\n\n' % (position, position, time_ms)


def gap(gap_: Gap) -> bytes:
    """Tells what is missing; its id is the floor, where the stream goes on."""
    return b"event: gap\nid: %d\ndata: %b\n\n" % (gap_.floor, _encode(gap_))


def bye(reason: ByeReason, retry_ms: int) -> bytes:
    """The gateway ends the stream; ``retry_ms`` differs from client to client, so that nobody returns in step."""
    return b"event: bye\nretry: %d\ndata: %b\n\n" % (retry_ms, _encode({"reason": reason}))


def gateway(readiness: dict[str, Any]) -> bytes:
    """What stands in the way of readings, or that nothing does any more; no id: it is no entry."""
    return b"event: gateway\ndata: %b\n\n" % _encode(readiness)


def retry(retry_ms: int) -> bytes:
    """How long a browser waits before it reconnects."""
    return b"retry: %d\n\n" % retry_ms


def reading(data: dict[str, Any], seq: int | None) -> bytes:
    """A reading made for one stream (projected or merged); without an id when ``seq`` is None."""
    text = _encode(data)
    return b"data: %b\n\n" % text if seq is None else _READING % (seq, text)


def device(data: dict[str, Any]) -> bytes:
    """A status made of several for one stream; without an id."""
    return b"event: device\ndata: %b\n\n" % _encode(data)


def alert(text: bytes) -> bytes:
    """An alert as JSON text; without an id."""
    return b"event: alert\ndata: %b\n\n" % text


def with_id(position: int, block: bytes) -> bytes:
    """A block that has no id, with ``position`` as its id."""
    return b"id: %d\n" % position + block
