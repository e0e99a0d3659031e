"""What people write with sse-starlette: each client a queue, each event put into all of them."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from tests.bench.peers.lines import serve_lines

clients: dict[str, set[asyncio.Queue[dict[str, Any]]]] = defaultdict(set)
numbers: dict[str, int] = defaultdict(int)


def take(device: str, text: bytes) -> None:
    numbers[device] += 1
    event = {"id": str(numbers[device]), "data": text.decode()}
    for queue in clients[device]:
        queue.put_nowait(event)


async def events(request: Request) -> EventSourceResponse:
    device = request.path_params["device"]
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def follow() -> AsyncIterator[dict[str, Any]]:
        clients[device].add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            clients[device].discard(queue)

    return EventSourceResponse(follow())


@asynccontextmanager
async def feed(_app: Starlette) -> AsyncIterator[None]:
    async with await serve_lines(int(os.environ["FEED_PORT"]), take):
        yield


app = Starlette(routes=[Route("/events/{device}", events)], lifespan=feed)
