"""A reader on a bare socket, which keeps a track of all it sees, and reads as well or as badly as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from urllib.parse import quote

from tests.crash.sse import Block, Blocks, Body, WireError
from tests.crash.witness import Told, Track, Wanted, Witness

SMALL_BUFFER = 4096
HELLO_TIMEOUT_S = 60.0
"""A browser has no such limit. One that gives up sooner makes a storm worse: what it asked for is answered all the same."""


class Watcher:
    """Follows a stream and comes back with its last id, until `close`.

    ``reading`` is whether it takes anything; ``sip_bytes`` and ``sip_pause_s`` make it crawl; ``pipelines`` sends a second
    request on the same connection; ``is_old`` speaks HTTP/1.0.
    """

    def __init__(
        self, witness: Witness, port: int, name: str, devices: list[str], rng: random.Random, *, small: bool = False
    ) -> None:
        self.witness, self.port, self.small = witness, port, small
        self.devices = devices
        self.track = Track(name, _wanted(devices))
        self.first = "head"
        self.reading = asyncio.Event()
        self.reading.set()
        self.sip_bytes, self.sip_pause_s = 65_536, 0.0
        self.pipelines = False
        self.refused = 0
        self.is_old = rng.random() < 0.2
        self.last_entry_at = 0.0
        self.longest_pause_s = 0.0
        self._rng = rng
        self._retry_s = 0.1
        self._sock: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        where = self._sock.getsockname() if self._sock is not None else "not connected"
        return f"{self.track.name} at {self.track.position} ({self.track.connections} connections, {where})"

    @property
    def path(self) -> str:
        """The stream's address."""
        if len(self.devices) == 1 and "*" not in self.devices[0]:
            return f"/api/devices/{quote(self.devices[0])}/stream?after={self.first}"
        chosen = "".join(f"&device={quote(device, safe='*')}" for device in self.devices)
        return f"/api/stream?after={self.first}{chosen}"

    def open(self) -> Watcher:
        """Begin to follow."""
        self._task = asyncio.create_task(self._follow())
        return self

    async def close(self) -> None:
        """Stop for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self.leave()

    def leave(self) -> None:
        """Close the connection; it comes back by itself, as a browser does."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def recover(self) -> None:
        """Read as well as anybody from here on."""
        self.sip_bytes, self.sip_pause_s = 65_536, 0.0
        self.reading.set()

    async def _follow(self) -> None:
        while True:
            try:
                await self._one_connection()
            except OSError:
                self.refused += 1
            except Exception as error:  # noqa: BLE001 - what the watcher cannot understand is a finding
                self.track.faults.append(repr(error))
            await asyncio.sleep(self._retry_s * self._rng.uniform(0.5, 1))

    async def _one_connection(self) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            self._sock = sock
            sock.setblocking(False)
            if self.small:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            await loop.sock_connect(sock, ("127.0.0.1", self.port))
            await loop.sock_sendall(sock, self._request())
            self.track.connections += 1
            try:
                await self._read(sock)
            except WireError as error:
                self.track.faults.append(str(error))
                raise ConnectionError("the stream is none") from error
            finally:
                self._sock = None

    def _request(self) -> bytes:
        version = "1.0" if self.is_old and not self.pipelines else "1.1"
        resume = f"Last-Event-ID: {self.track.position}\r\n" if self.track.start >= 0 else ""
        text = f"GET {self.path} HTTP/{version}\r\nHost: localhost\r\n{resume}\r\n"
        if self.pipelines:
            text += "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        return text.encode()

    async def _read(self, sock: socket.socket) -> None:
        head, rest = await self._head(sock)
        status = head.split(b" ", 2)[1]
        if status != b"200":
            raise WireError(f"status {status.decode()}: {rest[:200]!r}")
        body, blocks = Body(chunked=b"chunked" in head.lower()), Blocks()
        received = rest
        while True:
            for block in blocks.feed(body.feed(received)):
                self._take(block)
            if body.ended:
                return
            received = await self._sip(sock)
            if not received:
                return

    async def _head(self, sock: socket.socket) -> tuple[bytes, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            # Not `wait_for`: on 3.11 it may swallow the cancellation that `close` waits for.
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                piece = await self._sip(sock)
            if not piece:
                raise ConnectionError("no answer")
            received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        return head, rest

    async def _sip(self, sock: socket.socket) -> bytes:
        await self.reading.wait()
        if self.sip_pause_s:
            await asyncio.sleep(self.sip_pause_s)
        return await asyncio.get_running_loop().sock_recv(sock, self.sip_bytes)

    def _take(self, block: Block) -> None:
        track = self.track
        if block.retry_ms is not None:
            self._retry_s = min(1.0, block.retry_ms / 1000)
        if block.event in (b"message", b"device", b"alert") and block.id is not None:
            if not block.data:
                track.moved(block.id)
                return
            track.entry(block.id, self.witness.take(block.id, block.event, block.data).device)
            self._note_time()
        elif block.event == b"hello" and block.id is not None:
            track.begin(block.id)
        elif block.event == b"gap":
            told = json.loads(block.data)
            track.gap(Told(told["asked"], told["floor"], told["reason"]))
        elif block.event == b"heartbeat" and block.id is not None:
            track.moved(block.id)
        elif block.event == b"live":
            track.moved(json.loads(block.data)["position"])
        elif block.event not in (b"latest", b"gateway", b"bye", b"message"):
            raise WireError(f"no event of ours: {block.event[:80]!r}")

    def _note_time(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.last_entry_at:
            self.longest_pause_s = max(self.longest_pause_s, now - self.last_entry_at)
        self.last_entry_at = now


def _wanted(devices: list[str]) -> Wanted:
    if not devices:
        return lambda device: True
    names = {device for device in devices if "*" not in device}
    prefixes = tuple(device.removesuffix("*") for device in devices if "*" in device)
    return lambda device: device in names or device.startswith(prefixes or ("\0",))
