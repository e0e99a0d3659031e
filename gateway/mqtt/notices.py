"""Warnings of what has happened, shown for a while: in the log once, and in `/readyz`, streams and the page until they end."""

from __future__ import annotations

import logging

from gateway.clock import Clock

_log = logging.getLogger(__name__)

NOTICE_S = 600.0
"""How long a notice is shown; when it is told again, this time begins again."""


class Notices:
    """A text for each kind of event; only the newest text of a kind is shown."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shown: dict[str, tuple[str, float]] = {}

    def tell(self, kind: str, text: str) -> None:
        """Something has happened; logged unless the same text is shown already."""
        if text not in self.told:
            _log.warning("broker: %s", text)
        self._shown[kind] = text, self._clock.elapsed_s() + NOTICE_S

    @property
    def told(self) -> list[str]:
        """The texts that are shown now."""
        now_s = self._clock.elapsed_s()
        return [text for text, until_s in self._shown.values() if now_s < until_s]
