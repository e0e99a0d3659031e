"""Histories as bytes: JSON, NDJSON, CSV, and JSON with buckets; made page by page, so that none is held whole."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from gateway.history.buckets import Buckets
from gateway.history.query import History, Reading

TYPES = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
"""The media type of each format."""

_encode = msgspec.json.encode


async def json(history: History, device: str) -> AsyncIterator[bytes]:
    """One JSON object; ``complete`` comes last, when it is known."""
    head = {"device": device, "position": history.end, "floor": history.floor}
    yield _encode(head)[:-1] + b',"readings":['
    separator = b""
    async for page in history.pages():
        if page:
            yield separator + b",".join(map(_encode, page))
            separator = b","
    yield b'],"complete":%b}\n' % (b"true" if history.complete else b"false")


async def ndjson(history: History) -> AsyncIterator[bytes]:
    """One reading a line."""
    async for page in history.pages():
        yield b"".join(_encode(reading) + b"\n" for reading in page)


async def csv_lines(history: History, metrics: list[str]) -> AsyncIterator[bytes]:
    """One reading a line, one column a metric."""
    yield _csv_line(["id", "at", "received_at", *metrics])
    async for page in history.pages():
        yield b"".join(_csv_line(_cells(reading, metrics)) for reading in page)


async def buckets(history: History, device: str, since_ms: int | None, until_ms: int, count: int) -> bytes:
    """One JSON object with ``count`` buckets in place of readings, from ``since_ms`` (None: the first one) on."""
    sums: Buckets | None = None
    async for page in history.pages():
        for reading in page:
            if sums is None:
                sums = Buckets(_arrival_ms(reading) if since_ms is None else since_ms, until_ms, count)
            sums.add(reading["at"], reading["values"])
    head = {"device": device, "position": history.end, "floor": history.floor, "complete": history.complete}
    return _encode({**head, "buckets": sums.filled() if sums else []})


def _arrival_ms(reading: Reading) -> int:
    """When it arrived, in Unix ms: told apart only where the device gave a time of its own."""
    arrival: int = reading.get("received_at") or reading["at"]
    return arrival


def _cells(reading: Reading, metrics: list[str]) -> list[Any]:
    values = [_csv_value(reading["values"].get(metric)) for metric in metrics]
    return [reading["id"], reading["at"], reading.get("received_at", ""), *values]


def _csv_line(cells: list[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode()


def _csv_value(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe, as OWASP advises."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
