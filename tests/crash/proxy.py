"""A TCP proxy that can misbehave: cut, half-open, black-hole, delay and throttle."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Literal

from tests.crash.ports import free_port

Direction = Literal["up", "down"]
"""Up is towards the target (the broker, the gateway), down towards whoever connected."""

Observer = Callable[[int, Direction, bytes], None]
"""Gets the connection's number and what one side said, before it is forwarded."""

PIECE_BYTES = 65_536
RESET = struct.pack("ii", 1, 0)


class Link:
    """One connection through the proxy."""

    def __init__(self, number: int, client: socket.socket) -> None:
        self.number, self.client = number, client
        self.target: socket.socket | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None

    def cut(self) -> None:
        """Reset both sides."""
        for task in self.tasks:
            task.cancel()
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())

    async def _close(self) -> None:
        # Only when the loop no longer watches the sockets: their descriptors' numbers are given to others at once.
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for sock in (self.client, self.target):
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.close()

    async def closed(self) -> None:
        """Wait until `cut` has done its work."""
        if self._closing is not None:
            await self._closing


class Proxy:
    """Forwards ``port`` to ``target_port`` on loopback, for all its links alike.

    ``valves`` holds a direction back while its event is clear: one closed valve is a half-open connection, two are a black
    hole. New connections are then accepted and lead nowhere, as behind a router that lost its table.
    """

    def __init__(self, target_port: int, observer: Observer | None = None, buffer_bytes: int = 0) -> None:
        self.target_port, self._observer, self._buffer_bytes = target_port, observer, buffer_bytes
        self.port = free_port()
        self.valves: dict[Direction, asyncio.Event] = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.delay_s = 0.0
        self.bytes_per_s = 0
        self.links: set[Link] = set()
        self._count = 0
        self._listening = socket.socket()
        self._accepting: asyncio.Task[None] | None = None
        self.heal()

    def heal(self) -> None:
        """Forward everything at once from here on."""
        self.delay_s, self.bytes_per_s = 0.0, 0
        for valve in self.valves.values():
            valve.set()

    def start(self) -> None:
        """Listen."""
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._buffer_bytes:
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
        self._listening.bind(("127.0.0.1", self.port))
        self._listening.listen(2048)
        self._listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())

    def cut(self) -> None:
        """Reset every connection."""
        for link in list(self.links):
            link.cut()
        self.links.clear()

    def forget(self) -> None:
        """Leave every connection open for good and carry nothing more: both ends are on their own."""
        for link in self.links:
            for task in link.tasks:
                task.cancel()

    async def close(self) -> None:
        """Cut everything and stop listening."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        self._listening.close()
        links = list(self.links)
        self.cut()
        for link in links:
            await link.closed()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listening)
            client.setblocking(False)
            self._count += 1
            link = Link(self._count, client)
            self.links.add(link)
            link.tasks.append(asyncio.create_task(self._join(link)))

    async def _join(self, link: Link) -> None:
        target = socket.socket()
        target.setblocking(False)
        if self._buffer_bytes:
            target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
        link.target = target
        for sock in (target, link.client):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self.valves["up"].wait()
            await asyncio.get_running_loop().sock_connect(target, ("127.0.0.1", self.target_port))
        except OSError:
            self._drop(link)
            return
        link.tasks.append(asyncio.create_task(self._pump(link, "up", link.client, target)))
        link.tasks.append(asyncio.create_task(self._pump(link, "down", target, link.client)))

    async def _pump(self, link: Link, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while piece := await loop.sock_recv(source, 1024 if self.bytes_per_s else PIECE_BYTES):
                if self._observer is not None:
                    self._observer(link.number, direction, piece)
                if self.delay_s or self.bytes_per_s:
                    await asyncio.sleep(self.delay_s + (len(piece) / self.bytes_per_s if self.bytes_per_s else 0))
                await self.valves[direction].wait()
                await loop.sock_sendall(sink, piece)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
            if direction == "down":
                self._drop(link)
        except OSError:
            self._drop(link)

    def _drop(self, link: Link) -> None:
        self.links.discard(link)
        link.cut()
