"""Serves the app with Hypercorn: our own listening socket, HTTP/1.1 only, and an end that surely comes."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig

from gateway.config import Http
from gateway.errors import ServeError
from gateway.http.hypercorn.front import Front
from gateway.http.hypercorn.idle import close_idle, close_idle_forever
from gateway.http.hypercorn.patches import patch_hypercorn

_log = logging.getLogger(__name__)

SPARE_FILES = 256
"""File descriptors beside those of streams: for segments, the broker, other requests, and clients that are told `busy`."""

VANISHED_SPARE_S = 5
"""The kernel gives up a client that does not even acknowledge this much later than `http.send_timeout_s`: the streams' own
cut, which is counted, comes first."""

GRACE_S = 0.3
"""After all streams have ended, requests may go on for this time; then they are cut. After the same time again they are
cancelled."""


def allow_files(streams: int) -> None:
    """Raise this process's limit of open files, 1,024 on most systems, so that ``streams`` and all else have room.

    Above it nobody could connect, and no segment could be opened either.
    """
    wanted = streams + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            _log.warning("only %d files may be open (ulimit -n): fewer streams than http.max_streams", allowed)


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
            timeout_ms = int((settings.send_timeout_s + VANISHED_SPARE_S) * 1000)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
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


def hypercorn_config(listening: socket.socket, settings: Http) -> HypercornConfig:
    """How Hypercorn is to serve; raises ServeError when it cannot. From then on it owns the listening socket."""
    patch_hypercorn()
    config = HypercornConfig()
    config.backlog = settings.backlog
    config.graceful_timeout = 4 * GRACE_S  # ours comes first
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


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Faults of ours as asyncio tells them; a connection that broke is none, and a thousand of them no page of tracebacks.

    Hypercorn leaves some errors of a socket to asyncio: ETIMEDOUT of a reader that `TCP_USER_TIMEOUT` ended, for one.
    """
    error = context.get("exception")
    if isinstance(error, OSError) and "client_connected_cb" in context["message"]:
        _log.debug("a connection broke: %r", error)
    else:
        loop.default_exception_handler(context)


async def serve_until(front: Front, config: HypercornConfig, stopping: Callable[[], Awaitable[None]]) -> None:
    """Serve until ``stopping`` returns; it must have ended all streams by then. Returns within about twice `GRACE_S`."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(_report)

    async def trigger() -> None:
        await stopping()
        stopped.set()

    serving = asyncio.create_task(serve(front, config, shutdown_trigger=trigger))
    waiting = asyncio.create_task(stopped.wait())
    closing = asyncio.create_task(close_idle_forever(config.keep_alive_timeout))
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, closing):
        task.cancel()
    close_idle()
    await asyncio.wait([serving, *front.taken], timeout=GRACE_S)
    # Python 3.12 and later wait for every connection here, for ever if one does not go, such as a reader that stalls.
    front.cut_all()
    close_idle()
    await asyncio.wait([serving, *front.taken], timeout=GRACE_S)
    if not serving.done():
        serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
