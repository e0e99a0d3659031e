"""One bit that a task waits for: what a wake sets."""

from __future__ import annotations

import asyncio


class Bit:
    """As an `asyncio.Event` for one waiter, which keeps no queue of waiters: 0.7 KB less for each idle stream.

    Its Future is its own: one shared with others would be cancelled for all of them.
    """

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Whether it was set and not cleared since."""
        return self._is_set

    def set(self) -> None:
        """Set it, and let the waiter go on."""
        self._is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Whoever waits from now on waits for the next `set`."""
        self._is_set = False

    async def wait(self) -> None:
        """Back at once when it is set. One task at a time."""
        if self._is_set:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
