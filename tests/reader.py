"""A reader of streams on a bare socket, which sees what a browser's library hides: chunks, raw ids, how the answer ends."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Block(NamedTuple):
    """One SSE block; what a field is missing is empty or None."""

    event: str
    id: str
    data: Any
    retry: int | None


def parse(text: str) -> list[Block]:
    """The whole blocks in ``text``, by WHATWG HTML 9.2.6 as far as the gateway uses it."""
    return [_block(lines) for lines in text.replace("\r\n", "\n").split("\n\n")[:-1]]


def _block(lines: str) -> Block:
    fields = dict(line.partition(": ")[::2] for line in lines.split("\n"))
    retry = int(fields["retry"]) if "retry" in fields else None
    data = json.loads(fields["data"]) if "data" in fields else None
    return Block(fields.get("event", ""), fields.get("id", ""), data, retry)


class Body:
    """Takes an HTTP/1.1 answer apart while it comes; ``complete`` once its last chunk has come."""

    def __init__(self) -> None:
        self.head = ""
        self.text = ""
        self.complete = False
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        self._rest += piece
        if not self.head:
            head, end, self._rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self.head = head.decode("latin1")
        if "transfer-encoding: chunked" not in self.head.lower():
            self.text += self._rest.decode()
            self._rest = b""
        while self._take_chunk():
            pass

    def _take_chunk(self) -> bool:
        size, end, rest = self._rest.partition(b"\r\n")
        if not end or self.complete:
            return False
        length = int(size, 16)
        if len(rest) < length + 2:
            return False
        self.text += rest[:length].decode()
        self._rest = rest[length + 2 :]
        self.complete = length == 0
        return not self.complete


def get(path: str, port: int, headers: dict[str, str] | None = None, version: str = "1.1") -> bytes:
    """A GET as bytes."""
    lines = {"Host": f"127.0.0.1:{port}", **(headers or {})}
    return (
        f"GET {path} HTTP/{version}\r\n{''.join(f'{k}: {v}{chr(13)}{chr(10)}' for k, v in lines.items())}\r\n".encode()
    )


class Reader:
    """One open stream, read by a thread of its own until the server ends it or `close`."""

    def __init__(
        self, port: int, path: str = "/api/stream", headers: dict[str, str] | None = None, version: str = "1.1"
    ) -> None:
        self.body = Body()
        self.blocks: list[Block] = []
        self.arrived: list[float] = []
        self._parsed = 0
        self.ended = threading.Event()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.sendall(get(path, port, headers, version))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while piece := self.socket.recv(65_536):
                self.body.feed(piece)
                self._parse(time.time())
        self.ended.set()

    def _parse(self, now: float) -> None:
        end = self.body.text.rfind("\n\n") + 2
        if end > max(self._parsed, 1):
            fresh = parse(self.body.text[self._parsed : end])
            self._parsed = end
            self.arrived += [now] * len(fresh)
            self.blocks += fresh

    def of(self, event: str) -> list[Block]:
        """The blocks of one event; readings are those of ``""`` with data."""
        return [block for block in self.blocks if block.event == event and block.data is not None]

    @property
    def readings(self) -> list[Block]:
        return self.of("")

    def values(self, metric: str) -> list[Any]:
        return [block.data["values"][metric] for block in self.readings if metric in block.data["values"]]

    @property
    def last_id(self) -> str:
        return next((block.id for block in reversed(self.blocks) if block.id), "")

    def wait(self, condition: Callable[[Reader], Any], timeout_s: float = 10) -> Reader:
        """Until ``condition`` of this reader is true; fails with what came instead."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            assert time.monotonic() < deadline, (
                f"this came in {timeout_s:g} s:\n{self.body.head}\n{self.body.text[-2000:]}"
            )
            time.sleep(0.01)
        return self

    def live(self) -> Reader:
        """Wait until the stream says that replay is over."""
        return self.wait(lambda reader: reader.of("live"))

    def wait_ended(self, timeout_s: float = 10) -> Reader:
        return self.wait(lambda reader: reader.ended.is_set(), timeout_s)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(5)
