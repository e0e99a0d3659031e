"""How a stream reaches its reader: through the server's `send`, or past it where the server offers that.

A server may leave a `Carry` of its own in the scope, under `KEY`; `carry` is for every other one, and knows ASGI alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from gateway.stream.crowd import Line
from gateway.stream.plan import Plan
from gateway.stream.stream import Connection

_log = logging.getLogger(__name__)

KEY = "gateway.carry"

Headers = tuple[tuple[bytes, bytes], ...]
Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
Serve = Callable[[Plan, Connection], Awaitable[None]]
"""Serves one stream on a connection until its end: `Streams.serve`."""


class Exchange(NamedTuple):
    """One request and its answer, as ASGI has them."""

    scope: Any
    receive: Receive
    send: Send


class Carry(Protocol):
    """Answers a GET with 200, ``headers``, and the stream of ``plan`` as ``serve`` puts it on a connection."""

    async def __call__(self, exchange: Exchange, headers: Headers, serve: Serve, plan: Plan) -> None:
        """May return before the stream has ended, when the connection does not belong to the server any more."""


class SendConnection:
    """A connection that is the server's: each piece goes through ``send``. ``abort`` cuts it, where that is known."""

    __slots__ = ("_abort", "_send")

    line: Line | None = None

    def __init__(self, send: Send, abort: Callable[[], bool]) -> None:
        self._send, self._abort = send, abort

    async def put(self, blocks: bytes) -> None:
        """Send a piece; back when the server takes the next."""
        await self._send({"type": "http.response.body", "body": blocks, "more_body": True})

    def cut(self) -> bool:
        """End it at once; false when it has ended, or cannot be cut."""
        return self._abort()


def _cannot_cut() -> bool:
    return False


async def carry(
    exchange: Exchange, headers: Headers, serve: Serve, plan: Plan, abort: Callable[[], bool] = _cannot_cut
) -> None:
    """A `Carry` by ASGI alone; back when the stream has ended. ``abort`` cuts the connection of the request."""
    _, receive, send = exchange
    leaving = asyncio.create_task(_cancel_when_left(receive, asyncio.current_task()))
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await serve(plan, SendConnection(send, abort))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    except OSError as error:
        # Hypercorn sees to a ConnectionError, but not to the ETIMEDOUT of a reader that vanished.
        _log.debug("a connection broke: %r", error)
    finally:
        leaving.cancel()


async def _cancel_when_left(receive: Receive, task: asyncio.Task[None] | None) -> None:
    """Wait until the client has left; what it sends meanwhile is ignored."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if task is not None:
        task.cancel()
