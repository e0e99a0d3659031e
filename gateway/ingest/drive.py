"""Runs a paho client on the running asyncio loop, in place of paho's own thread.

paho's thread waits with ``select``, which raises once the process holds more than 1,024 file descriptors: a gateway
with 1,000 open streams would go deaf at the next restart of its broker. The loop's selector has no such limit.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import termios
from typing import Any

import paho.mqtt.client as paho

READS_PER_WAKE = 64
"""Packets read before the loop gets its turn back, so that a flood cannot starve the streams."""

MISC_INTERVAL_S = 1.0
"""How often paho looks after keepalive; its own loop uses the same second."""


def bytes_waiting(sock: Any) -> int:
    """Bytes that can be read from ``sock`` without waiting: in the kernel, or already decrypted by TLS."""
    waiting = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, waiting)
    pending = sock.pending() if hasattr(sock, "pending") else 0
    return waiting[0] + int(pending)


class Drive:
    """Drives ``client``; make it on the loop's thread, before the first connect, and use it only there.

    Set the address first with ``client.connect_async``. paho's callbacks then run on the loop's thread.
    """

    def __init__(self, client: paho.Client) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._sock: Any = None
        self._misc: asyncio.TimerHandle | None = None
        self._paused = False
        client.on_socket_open = self._on_open
        client.on_socket_close = self._on_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_written

    async def connect(self) -> None:
        """Open the connection and send CONNECT; name lookup, TCP and TLS block, so they run in a thread.

        Returns when CONNECT is on its way, not when the broker has answered: that is ``on_connect``.
        Raises OSError, ``ssl.SSLError`` or ``paho.WebsocketConnectionError`` when it cannot be opened.
        """
        await self._loop.run_in_executor(None, self._client.reconnect)

    def pause(self) -> None:
        """Stop reading: TCP then holds the broker back. Keepalive goes on; writing goes on."""
        self._paused = True
        if self._sock is not None:
            self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        """Read again after ``pause``; harmless otherwise."""
        if self._paused:
            self._paused = False
            if self._sock is not None:
                self._loop.add_reader(self._sock, self._readable)
                self._loop.call_soon(self._readable)

    # paho opens the connection in a thread of ours and calls the first two of these from there.

    def _on_open(self, _client: Any, _userdata: Any, sock: Any) -> None:
        self._loop.call_soon_threadsafe(self._attach, sock)

    def _on_want_write(self, _client: Any, _userdata: Any, _sock: Any) -> None:
        self._loop.call_soon_threadsafe(self._want_write)

    def _on_close(self, _client: Any, _userdata: Any, _sock: Any) -> None:
        self._detach()

    def _on_written(self, _client: Any, _userdata: Any, sock: Any) -> None:
        self._loop.remove_writer(sock)

    def _attach(self, sock: Any) -> None:
        if sock.fileno() < 0:
            return
        self._sock = sock
        if not self._paused:
            self._loop.add_reader(sock, self._readable)
        self._misc = self._loop.call_later(MISC_INTERVAL_S, self._look_after)

    def _detach(self) -> None:
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock = None
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None

    def _readable(self) -> None:
        for _ in range(READS_PER_WAKE):
            if self._sock is None or self._paused:
                return
            if self._client.loop_read() != paho.MQTT_ERR_SUCCESS:
                return
            if self._sock is None or not bytes_waiting(self._sock):
                return
        # TLS may hold decrypted bytes that the selector cannot see, so the next turn is asked for, not waited for.
        self._loop.call_soon(self._readable)

    def _want_write(self) -> None:
        if self._sock is not None and self._client.want_write():
            self._loop.add_writer(self._sock, self._client.loop_write)

    def _look_after(self) -> None:
        self._misc = self._loop.call_later(MISC_INTERVAL_S, self._look_after)
        self._client.loop_misc()
