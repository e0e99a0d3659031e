"""Server-Sent Events off the wire, strictly: WHATWG HTML 9.2, and whatever the gateway has no reason to send is a fault.

Pure: bytes in, blocks out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

FIELDS = {b"event", b"id", b"data", b"retry"}


class WireError(Exception):
    """What came is no stream of ours: another reader's markup, a torn frame, an answer that is none."""


class Block(NamedTuple):
    """One event; ``id`` and ``retry_ms`` None where the block has none, ``data`` empty where it has none."""

    event: bytes
    id: int | None
    data: bytes
    retry_ms: int | None


class Body:
    """The bytes of an HTTP answer without its framing: chunked (HTTP/1.1) or bare (HTTP/1.0)."""

    def __init__(self, *, chunked: bool) -> None:
        self._chunked = chunked
        self._buffer = b""
        self._left = 0
        self.ended = False

    def feed(self, received: bytes) -> bytes:
        """What of the body has come with these bytes."""
        if not self._chunked:
            return received
        self._buffer += received
        taken = []
        while self._buffer and not self.ended:
            if self._left == 0 and not self._begin_chunk():
                break
            piece = self._buffer[: self._left]
            taken.append(piece)
            self._buffer = self._buffer[len(piece) :]
            self._left -= len(piece)
        return b"".join(taken)

    def _begin_chunk(self) -> bool:
        """Read a chunk's size line (and the line end of the chunk before)."""
        text = self._buffer.removeprefix(b"\r\n")
        size, found, rest = text.partition(b"\r\n")
        if not found:
            return False
        try:
            self._left = int(size, 16)
        except ValueError:
            raise WireError(f"a chunk's size is {size[:40]!r}") from None
        self._buffer = rest
        self.ended = self._left == 0
        return True


class Blocks:
    """Cuts a stream's body into blocks."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, body: bytes) -> Iterator[Block]:
        """The blocks that are whole now."""
        *whole, self._rest = (self._rest + body).split(b"\n\n")
        for text in whole:
            yield parse(text)


def parse(text: bytes) -> Block:
    """One block without its blank line."""
    event, seq, retry_ms = b"message", None, None
    data: list[bytes] = []
    if b"\r" in text:
        raise WireError(f"a carriage return, which ends a line: {text[:200]!r}")
    for line in text.split(b"\n"):
        field, _, value = line.partition(b": ")
        if field not in FIELDS:
            raise WireError(f"no field of ours: {line[:200]!r}")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            event = value
        elif not value.isdigit():
            raise WireError(f"{field.decode()} is no number: {value[:80]!r}")
        elif field == b"id":
            seq = int(value)
        else:
            retry_ms = int(value)
    return Block(event, seq, b"\n".join(data), retry_ms)
