"""Readings of one device from the log, as JSON, NDJSON or CSV, or in buckets; read and sent page by page."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from quart import Blueprint, Quart, Response, request

from gateway.devices.registry import Registry
from gateway.frame import entry_data
from gateway.history.buckets import Buckets
from gateway.http.answers import json_answer
from gateway.http.parameters import HistoryParameters, history_parameters
from gateway.log import Log
from gateway.reading import Gap
from gateway.selection import Selection

PAGE_ENTRIES = 1000
TYPES = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


class History:
    """One answer: the readings of ``device`` after ``start``, up to ``end``. ``complete`` is known when all is read."""

    def __init__(self, log: Log, device: str, asked: HistoryParameters, start: int, end: int) -> None:
        self._log, self._asked = log, asked
        self.device = device
        self._selection = Selection(frozenset([device]))
        self.start, self.end = start, end
        self.complete = True

    async def readings(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Pages of readings, each with its ``id`` first, with the wanted metrics only."""
        position = self.start
        while position < self.end:
            found = await self._log.read(position, self._selection, PAGE_ENTRIES)
            if isinstance(found, Gap):
                self.complete = False
                position = max(found.floor, position + 1)
                continue
            position = found.position
            # A page from the tail comes without waiting, and a send may too: others must have their turn.
            await asyncio.sleep(0)
            entries = [entry for entry in found.entries if entry.kind == "reading" and entry.seq <= self.end]
            yield [reading for entry in entries if (reading := self._wanted(entry.seq, _decode(entry_data(entry))))]

    def _wanted(self, seq: int, data: dict[str, Any]) -> dict[str, Any] | None:
        metrics = self._asked.metrics
        if metrics:
            data["values"] = {metric: value for metric, value in data["values"].items() if metric in metrics}
        return {"id": seq, **data} if data["values"] else None

    async def json(self) -> AsyncIterator[bytes]:
        """One JSON object; ``complete`` comes last, when it is known."""
        head = {"device": self.device, "position": self.end, "floor": self._log.floor}
        yield _encode(head)[:-1] + b',"readings":['
        separator = b""
        async for page in self.readings():
            if page:
                yield separator + b",".join(map(_encode, page))
                separator = b","
        yield b'],"complete":%b}\n' % (b"true" if self.complete else b"false")

    async def ndjson(self) -> AsyncIterator[bytes]:
        """One reading a line."""
        async for page in self.readings():
            yield b"".join(_encode(reading) + b"\n" for reading in page)

    async def csv(self, metrics: list[str]) -> AsyncIterator[bytes]:
        """One reading a line, one column a metric."""
        yield _csv_line(["id", "at", "received_at", *metrics])
        async for page in self.readings():
            yield b"".join(
                _csv_line(
                    [reading["id"], reading["at"], reading.get("received_at", "")]
                    + [_csv_value(reading["values"].get(metric)) for metric in metrics]
                )
                for reading in page
            )

    async def buckets(self, since_ms: int, until_ms: int) -> bytes:
        """The whole answer with ``buckets`` in place of readings; bounded by their number."""
        buckets = Buckets(since_ms, until_ms, self._asked.buckets or 1)
        async for page in self.readings():
            for reading in page:
                buckets.add(reading["at"], reading["values"])
        head = {"device": self.device, "position": self.end, "floor": self._log.floor, "complete": self.complete}
        return _encode({**head, "buckets": buckets.filled()})


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


def add_routes(app: Quart, log: Log, registry: Registry) -> None:
    """Mount the route of the readings."""
    blueprint = Blueprint("history", __name__)

    @blueprint.get("/api/devices/<path:device>/readings")
    async def readings(device: str) -> Response:
        asked = history_parameters(request.args, request.headers.get("Accept", ""), log.now_ms())
        history = await _located(log, device, asked)
        headers = {"X-Position": str(history.end)}
        if asked.buckets:
            until = asked.until_ms if asked.until_ms is not None else log.now_ms()
            since = asked.since_ms if asked.since_ms is not None else await _oldest_ms(log, history, until)
            answer = json_answer(await history.buckets(since, max(until, since + 1)))
            answer.headers.update(headers)
            return answer
        if request.method == "HEAD":
            return Response(b"", headers=headers, content_type=TYPES[asked.format])
        response = Response(_body(history, asked, registry), headers=headers, content_type=TYPES[asked.format])
        response.timeout = None  # a long history on a slow line takes more than Quart's minute
        return response

    app.register_blueprint(blueprint)


def _body(history: History, asked: HistoryParameters, registry: Registry) -> AsyncIterator[bytes]:
    if asked.format == "json":
        return history.json()
    if asked.format == "ndjson":
        return history.ndjson()
    state = registry.get(history.device)
    return history.csv(sorted(asked.metrics or (state.values if state else ())))


async def _located(log: Log, device: str, asked: HistoryParameters) -> History:
    """Where to read: from the latest of what was asked for, but no more than ``limit`` entries back from the end."""
    end = log.head if asked.until_ms is None else await log.position_at(asked.until_ms + 1)
    start = log.floor if asked.since_ms is None else await log.position_at(asked.since_ms)
    start = max(start, log.floor)
    history = History(log, device, asked, start, end)
    if asked.after is not None:
        history.complete = asked.after >= log.floor
        history.start = max(start, min(asked.after, end))
    if not asked.buckets:
        one_more = await log.oldest_of(Selection(frozenset([device])), asked.limit + 1, end, "reading", history.start)
        if one_more is not None:
            history.complete, history.start = False, one_more
    return history


async def _oldest_ms(log: Log, history: History, until_ms: int) -> int:
    page = await log.read(history.start, Selection(frozenset([history.device])), 1)
    if isinstance(page, Gap) or not page.entries:
        return until_ms - 1
    return page.entries[0].received_at_ms
