"""What people write with Quart: each client a queue, each event put into all of them."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator

from quart import Quart, Response

from tests.bench.peers.lines import serve_lines

app = Quart(__name__)
clients: dict[str, set[asyncio.Queue[bytes]]] = defaultdict(set)
numbers: dict[str, int] = defaultdict(int)


def take(device: str, text: bytes) -> None:
    numbers[device] += 1
    event = b"id: %d\ndata: %b\n\n" % (numbers[device], text)
    for queue in clients[device]:
        queue.put_nowait(event)


@app.before_serving
async def feed() -> None:
    app.extensions["feed"] = await serve_lines(int(os.environ["FEED_PORT"]), take)


@app.get("/events/<device>")
async def events(device: str) -> Response:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def follow() -> AsyncIterator[bytes]:
        clients[device].add(queue)
        try:
            yield b": hello\n\n"
            while True:
                yield await queue.get()
        finally:
            clients[device].discard(queue)

    response = Response(follow(), content_type="text/event-stream")
    response.timeout = None
    return response
