"""Serves the app with Hypercorn: our own listening socket, HTTP/1.1 only, and an end that surely comes."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig
from hypercorn.protocol.h11 import H11Protocol
from quart import Quart

from gateway.config import Http
from gateway.errors import ServeError

GRACE_S = 0.5
"""How long Hypercorn may take after all streams have ended; then what is left is cancelled."""


def listen(settings: Http) -> socket.socket:
    """A listening socket that accepted connections inherit their limits from; raises ServeError."""
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ServeError(f"http.host {settings.host!r} cannot be found: {error.strerror}") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.send_timeout_s * 1000))
        listening.bind(address)
        listening.listen(settings.backlog)
    except OSError as error:
        listening.close()
        raise ServeError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from error
    listening.setblocking(False)
    return listening


def address_of(listening: socket.socket, settings: Http) -> str:
    """The URL to open in a browser."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{'https' if settings.certificate else 'http'}://{shown}:{port}/"


def _hypercorn_config(listening: socket.socket, settings: Http) -> HypercornConfig:
    config = HypercornConfig()
    config.backlog = settings.backlog
    config.graceful_timeout = GRACE_S
    config.alpn_protocols = ["http/1.1"]
    config.include_server_header = False
    config.h11_max_incomplete_size = 32_768
    config.keep_alive_timeout = 30
    config.errorlog = logging.getLogger("gateway.http")
    config.accesslog = None
    if settings.certificate:
        config.certfile, config.keyfile = settings.certificate, settings.key
        try:
            config.create_ssl_context()
        except (OSError, ssl.SSLError) as error:
            raise ServeError(f"http.certificate and http.key cannot be used: {error}") from error
    # Detached: from here on Hypercorn owns the descriptor, and closing ours does nothing.
    config.bind = [f"fd://{listening.detach()}"]
    return config


def refuse_http2() -> None:
    """Keep Hypercorn from turning a connection into HTTP/2 (`Upgrade: h2c`, or a client that simply begins with it).

    Its HTTP/2 has no backpressure in 0.18: one stalled stream grew the server by 40 MB a second. There is no setting, so
    the check that switches is replaced; ALPN offers HTTP/1.1 alone. `tests/test_http_server.py` holds both.
    """
    if not hasattr(H11Protocol, "_check_protocol"):
        raise ServeError("this version of Hypercorn is not known: HTTP/2 could not be switched off")

    async def stay(_self: H11Protocol, _event: Any) -> None:
        """HTTP/1.1 it is."""

    H11Protocol._check_protocol = stay  # type: ignore[method-assign,assignment] # noqa: SLF001


async def serve_until(
    app: Quart, listening: socket.socket, settings: Http, stopping: Callable[[], Awaitable[None]]
) -> None:
    """Serve until ``stopping`` returns; it must have ended all streams by then. Returns within about `GRACE_S` after."""
    refuse_http2()
    config = _hypercorn_config(listening, settings)
    stopped = asyncio.Event()

    async def trigger() -> None:
        await stopping()
        stopped.set()

    serving = asyncio.create_task(serve(app, config, shutdown_trigger=trigger))
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    # Python 3.12 and later wait for every connection here, for ever if one does not go.
    await asyncio.wait([serving], timeout=2 * GRACE_S)
    if not serving.done():
        serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
