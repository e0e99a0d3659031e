"""What the broker granted to our session, remembered over restarts, because the session outlives us and nobody tells.

When a session is resumed, MQTT does not say what it is subscribed to. Subscribing again each time would bring all retained
messages again; never subscribing again would make a changed configuration change nothing. So the granted filters stand in
a small file, and what differs from it is asked for or given up. A file that is missing or wrong costs a repetition.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

_log = logging.getLogger(__name__)


class _Stored(msgspec.Struct):
    broker: str
    client_id: str
    filters: dict[str, int]


class Granted:
    """Topic filters with their QoS, as granted to the session ``client_id`` at ``broker``."""

    def __init__(self, path: Path, broker: str, client_id: str) -> None:
        self._path, self._broker, self._client_id = path, broker, client_id
        self.filters = self._load()

    def _load(self) -> dict[str, int]:
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except (OSError, msgspec.DecodeError):
            return {}
        ours = (stored.broker, stored.client_id) == (self._broker, self._client_id)
        return stored.filters if ours else {}

    def set(self, filters: dict[str, int]) -> None:
        """These are granted now; written at once, as a rare small file, and whole or not at all."""
        self.filters = filters
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(_Stored(self._broker, self._client_id, filters)))
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("the granted subscriptions cannot be remembered in %s: %s", self._path, error.strerror)
