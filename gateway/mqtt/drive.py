"""Runs a paho client on the running asyncio loop, in place of paho's own thread.

paho's thread waits with ``select``, which raises once the process holds more than 1,024 file descriptors: a gateway
with 1,000 open streams would go deaf at the next restart of its broker. The loop's selector has no such limit.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import termios
import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

TURN_S = 0.005
"""A turn of reading ends after this time, so that a flood starves neither streams nor requests."""

BEHIND_S = 1.0
"""The gateway is behind when the socket was not emptied for this time, until it was found empty each time for as long."""

REST_ROUNDS, REST_S = 10, TURN_S
"""Between two turns of a flood the loop goes round `REST_ROUNDS` times, for `REST_S` at most. A request needs some dozens of
rounds, and would wait for that number of turns; when nobody wants the loop, the rounds cost a tenth of a millisecond."""

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
    ``flowing`` is set unless `pause` was called last.

    ``on_failure`` is called with what paho raised: by a callback, or because a packet makes no sense. The connection is
    closed before, as paho would handle the same packet again for ever, and ``on_disconnect`` is not called. Without
    ``on_failure``, the loop's exception handler is.
    """

    def __init__(self, client: paho.Client, on_failure: Callable[[Exception], None] | None = None) -> None:
        self._client = client
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._on_failure = on_failure or self._report
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._sock: Any = None
        self._misc: asyncio.TimerHandle | None = None
        self._full_since: float | None = None
        self._emptied_at: float | None = None
        self._next_turn: asyncio.Handle | None = None
        self._attempt: asyncio.Future[Exception | None] | None = None
        self._is_wanted = False
        client.on_socket_open = self._on_open
        client.on_socket_close = self._on_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_written

    async def connect(self) -> None:
        """Open the connection and send CONNECT, after closing the one that is there.

        Name lookup, TCP and TLS block, so they run in a thread: one that the end of the process does not wait for, as an
        executor's would be, for as long as a resolver pleases. When cancelled, what it opens later is closed.
        Returns when CONNECT is on its way, not when the broker has answered: that is ``on_connect``.
        Raises OSError, UnicodeError (a host name that is none) or ``paho.WebsocketConnectionError``.
        """
        self.close()
        if self._attempt is not None:
            await asyncio.wait([self._attempt])
        attempt = self._attempt = self._loop.create_future()
        self._is_wanted = True
        threading.Thread(target=self._reconnect, args=[attempt], name="broker-connect", daemon=True).start()
        try:
            error = await asyncio.shield(attempt)
        except asyncio.CancelledError:
            self._is_wanted = False
            raise
        if error is not None:
            raise error

    def close(self) -> None:
        """Close the connection, if there is one, without telling the broker or calling ``on_disconnect``."""
        self._is_wanted = False
        sock = self._sock
        self._detach()
        if sock is not None:
            sock.close()

    def pause(self) -> None:
        """Stop reading: TCP then holds the broker back.

        Writing goes on, so the broker hears from us, but its answers are not read: paho gives the connection up after
        about two keepalives, and the broker keeps what is for us. Connect again when `flowing` is set.
        """
        self.flowing.clear()
        if self._sock is not None:
            self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        """Read again after ``pause``; harmless otherwise."""
        if not self.flowing.is_set():
            self.flowing.set()
            if self._sock is not None:
                self._loop.add_reader(self._sock, self._readable)
                self._loop.call_soon(self._readable)

    @property
    def is_behind(self) -> bool:
        """Whether messages come faster than they are read."""
        now = self._loop.time()
        if self._full_since is None or now - self._full_since < BEHIND_S:
            return False
        return self._emptied_at is None or now - self._emptied_at < BEHIND_S

    def _was_emptied(self) -> None:
        if not self.is_behind:
            self._full_since = self._emptied_at = None
        elif self._emptied_at is None:
            self._emptied_at = self._loop.time()

    def _was_left_full(self) -> None:
        self._emptied_at = None
        if self._full_since is None:
            self._full_since = self._loop.time()

    # --- in the thread that connects ---------------------------------------------------------------------------------

    def _reconnect(self, attempt: asyncio.Future[Exception | None]) -> None:
        error: Exception | None = None
        try:
            self._client.reconnect()
        except Exception as raised:  # noqa: BLE001 - it is handed to whoever waits, on the loop's thread
            error = raised
        self._on_loop(attempt.set_result, error)

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        # The loop may be closed: a look-up of a name that hung may end after the gateway did.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _on_open(self, _client: Any, _userdata: Any, sock: Any) -> None:
        self._on_loop(self._attach, sock)

    def _on_want_write(self, _client: Any, _userdata: Any, _sock: Any) -> None:
        if threading.get_ident() == self._thread:
            # paho writes at once what it wants to; only what is left then has to wait. No need to wake the loop, either.
            self._loop.call_soon(self._want_write)
        else:
            self._on_loop(self._want_write)

    # --- on the loop's thread ----------------------------------------------------------------------------------------

    def _on_close(self, _client: Any, _userdata: Any, sock: Any) -> None:
        if sock is self._sock:
            self._detach()

    def _on_written(self, _client: Any, _userdata: Any, sock: Any) -> None:
        if sock is self._sock:
            self._loop.remove_writer(sock)

    def _attach(self, sock: Any) -> None:
        if not self._is_wanted:
            sock.close()
            return
        self._sock = sock
        if self.flowing.is_set():
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
        self._full_since = self._emptied_at = None

    def _readable(self) -> None:
        if self._next_turn is None:
            self._turn()

    def _turn(self) -> None:
        self._next_turn = None
        turn_ends = self._loop.time() + TURN_S
        while self._reads():
            if self._sock is None or not bytes_waiting(self._sock):
                self._was_emptied()
                return
            if self._loop.time() >= turn_ends:
                self._was_left_full()
                # TLS may hold decrypted bytes that the selector cannot see, so the next turn is asked for, not waited for.
                self._rest(REST_ROUNDS, self._loop.time() + REST_S)
                return

    def _reads(self) -> bool:
        """Have paho read once; whether it may go on."""
        return self._sock is not None and self.flowing.is_set() and self._succeeds(self._client.loop_read)

    def _rest(self, rounds: int, until: float) -> None:
        """Leave the loop to others for some rounds."""
        if rounds and self._loop.time() < until:
            self._next_turn = self._loop.call_soon(self._rest, rounds - 1, until)
        else:
            self._turn()

    def _want_write(self) -> None:
        if self._sock is not None and self._client.want_write():
            self._loop.add_writer(self._sock, self._succeeds, self._client.loop_write)

    def _look_after(self) -> None:
        self._misc = self._loop.call_later(MISC_INTERVAL_S, self._look_after)
        self._succeeds(self._client.loop_misc)

    def _succeeds(self, step: Callable[[], MQTTErrorCode]) -> bool:
        """Have paho do one step; whether the connection is still good after it."""
        try:
            return step() == MQTTErrorCode.MQTT_ERR_SUCCESS
        except Exception as error:  # noqa: BLE001 - it is handed on, see the class
            self.close()
            self._on_failure(error)
            return False

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "a fault in an MQTT session", "exception": error})
