"""Plain requests to the gateway, on the laboratory's own loop."""

from __future__ import annotations

import asyncio


async def get(port: int, path: str, timeout_s: float = 10) -> tuple[int, bytes]:
    """Status and body; raises OSError, also when no answer comes in time."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        raise ConnectionError("the answer was cut short")
    return int(head.split()[1]), body


async def counters(port: int) -> dict[str, float]:
    """All of /metrics by name, without the prefix."""
    _, body = await get(port, "/metrics")
    lines = [line.rpartition(" ") for line in body.decode().splitlines() if not line.startswith("#")]
    return {name.removeprefix("sensor_gateway_"): float(value) for name, _, value in lines}
