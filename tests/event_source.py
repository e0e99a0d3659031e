"""What a browser makes of a stream's bytes: WHATWG HTML 9.2.6, to the letter. No socket, no gateway."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Event(NamedTuple):
    """What is dispatched: its type, the data, and the last event id at that moment."""

    type: str
    data: Any
    id: str


class EventSource:
    """Feed it the bytes of one connection; ``last_event_id`` outlives it, so hand that on to the next one."""

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.reconnection_ms = 3000
        self.events: list[Event] = []
        self._rest = b""
        self._is_first = True
        self._id = last_event_id
        self._type = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes. A CR at its very end waits for what follows."""
        self._rest += piece
        if self._is_first and len(self._rest) >= 3:
            self._rest = self._rest.removeprefix(b"\xef\xbb\xbf")
            self._is_first = False
        before = len(self.events)
        held = b"\r" if self._rest.endswith(b"\r") else b""
        text = self._rest.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._rest = rest + held
        for line in lines:
            self._take(line.decode("utf-8", "replace"))
        return self.events[before:]

    def _take(self, line: str) -> None:
        if not line:
            self._dispatch()
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._type = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.reconnection_ms = int(value)

    def _dispatch(self) -> None:
        self.last_event_id = self._id
        if self._data:
            self.events.append(Event(self._type or "message", json.loads("\n".join(self._data)), self.last_event_id))
        self._type, self._data = "", []

    def of(self, type_: str) -> list[Event]:
        """The events of one type."""
        return [event for event in self.events if event.type == type_]
