"""The line feed that the Python peers are published to: `d7 {"device":"d7",…}`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Take = Callable[[str, bytes], None]


async def serve_lines(port: int, take: Take) -> asyncio.Server:
    """Call ``take`` with the device and the text of each line."""

    async def connected(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            device, _, text = line.rstrip().partition(b" ")
            take(device.decode(), text)

    return await asyncio.start_server(connected, "127.0.0.1", port)
