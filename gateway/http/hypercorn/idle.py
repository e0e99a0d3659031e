"""Connections that wait for a request: closed when that takes too long, or when the gateway stops.

Hypercorn has two tasks and a timer for each, made before its first byte is read and cancelled when it is: a seventh of what
a stream costs to open. Here it is an entry in a dict, for the time that it waits, and one task looks at the oldest.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.asyncio.tcp_server import TCPServer

LOOK_S = 1.0
"""How much later than ``keep_alive_timeout`` a connection may be closed."""

_since: dict[Idle, tuple[float, TCPServer]] = {}
"""Since when each waits, the longest first. Bounded as connections are, by the files that may be open."""


class Idle:
    """In place of the `AsyncioSingleTask` of one connection; its methods have the names and arguments of those."""

    __slots__ = ()

    async def restart(self, _task_group: Any, action: Any) -> None:
        """Wait from now on; ``action`` is the method of the connection that would have been the task."""
        server: TCPServer = action.__self__
        if server.context.terminated.is_set():
            server.writer.close()
        else:
            await self.stop()
            _since[self] = asyncio.get_running_loop().time(), server

    async def stop(self) -> None:
        """A request has come, or the client has left."""
        _since.pop(self, None)


def close_idle(for_s: float = 0) -> None:
    """Close connections that have waited for ``for_s`` or longer."""
    now_s = asyncio.get_running_loop().time()
    while _since:
        idle, (since, server) = next(iter(_since.items()))
        if now_s - since < for_s:
            break
        del _since[idle]
        server.writer.close()


async def close_idle_forever(for_s: float) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        close_idle(for_s)
