"""What stands in the way of readings, by station, as people are told: in `/readyz`, in every stream, on the page."""

from __future__ import annotations

from collections.abc import Callable

from gateway import frame
from gateway.reading import Station

Told = dict[Station, str]
"""A sentence for people by station, such as ``{"ingest": "cannot connect to …"}``; empty when all is well."""


class Readiness:
    """Faults keep readings from coming in or being kept; warnings say what may lose some. Both are asked for by `look`.

    ``version`` rises with each change; ``block`` is the `gateway` block that tells a stream of the present state. A stream
    compares versions when it is woken (law 4: it owns no queue of news), so of two changes in a row it may tell the last.
    """

    def __init__(self, faults: Callable[[], Told] = dict, warnings: Callable[[], Told] = dict) -> None:
        self._ask_faults, self._ask_warnings = faults, warnings
        self._faults: Told = {}
        self._warnings: Told = {}
        self.version = 0

    def look(self) -> int:
        """Ask what is true now; returns the version."""
        now = self._ask_faults(), self._ask_warnings()
        if now != (self._faults, self._warnings):
            self._faults, self._warnings = now
            self.version += 1
        return self.version

    @property
    def is_ready(self) -> bool:
        """Readings can come in and be kept."""
        return not self._faults

    @property
    def is_clear(self) -> bool:
        """Nothing to tell: what a stream means that says nothing of it after `hello`."""
        return not self._faults and not self._warnings

    @property
    def body(self) -> dict[str, object]:
        """As JSON has it, in `/readyz` and in the block."""
        status = "ready" if self.is_ready else "not ready"
        return {"status": status, "faults": self._faults, "warnings": self._warnings}

    @property
    def block(self) -> bytes:
        """The SSE block, without an id: it is no entry."""
        return frame.gateway(self.body)
