"""Warnings of what has happened, told for a while: in the log once, and in `/readyz`, streams and the page until they end."""

from __future__ import annotations

import logging
import time

_log = logging.getLogger(__name__)

NOTICE_S = 600.0
"""How long a notice stands; told again, it stands for as long again."""


class Notices:
    """A text for each kind of event; the newest of a kind stands."""

    def __init__(self) -> None:
        self._stands: dict[str, tuple[str, float]] = {}

    def tell(self, kind: str, text: str) -> None:
        """Something has happened; logged when it has not been said of late."""
        if text not in self.told:
            _log.warning("broker: %s", text)
        self._stands[kind] = text, time.monotonic() + NOTICE_S

    @property
    def told(self) -> list[str]:
        """Those that have not ended."""
        now = time.monotonic()
        return [text for text, until in self._stands.values() if now < until]
