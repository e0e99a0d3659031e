"""What we must still know of our session after a restart, because the session outlives us and the broker does not tell.

* The filters that were granted: those that the configuration no longer names must be given up.
* The retained messages that came: they come again whenever we subscribe, and are no news then.
* The broker's count of messages that it dropped: what was added while we were away may have been for us.

A small file, written as a whole. When it is missing or wrong, retained messages are logged once more. None of them is in
it before it is in the log: what comes again after a kill would be taken for known, and be lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.intake.repeats.receipts import content_hash

_log = logging.getLogger(__name__)

MAX_CUTS_FOR_ASKING = 2
"""One break may be chance."""

MAX_RETAINED = 20_000
"""Topics whose retained message is remembered; then the memory starts anew, at the price of a repetition."""


class _Stored(msgspec.Struct):
    broker: str
    client_id: str
    filters: dict[str, int] = {}
    retained: dict[str, int] = {}
    dropped: int | None = None
    cut_for_asking: int = 0


class Remembered:
    """Of the session ``client_id`` at ``broker``; what another one left behind counts for nothing."""

    def __init__(self, path: Path, broker: str, client_id: str) -> None:
        self._path = path
        self._stored = _load(path, broker, client_id) or _Stored(broker, client_id)
        self._is_dirty = False
        # Retained messages on their way into the log: content hash by topic, at most `MAX_RETAINED`.
        self._uncommitted: dict[str, int] = {}
        # The event loop writes filters at once, the writer's thread all else.
        self._writing = threading.Lock()
        self._is_failing = False

    @property
    def filters(self) -> dict[str, int]:
        """Topic filters and their QoS, as granted."""
        return self._stored.filters

    @filters.setter
    def filters(self, filters: dict[str, int]) -> None:
        """Written at once: it changes rarely, and what is not known cannot be given up."""
        self._stored.filters, self._is_dirty = filters, True
        if save := self.changes():
            save()

    def dropped_since(self, count: int) -> int:
        """How many messages the broker dropped since its last word, by its own ``count``, which begins anew with it.

        0 at the first word ever: nobody knows since when it counts.
        """
        before, self._stored.dropped = self._stored.dropped, count
        self._is_dirty = self._is_dirty or count != before
        if before is None:
            return 0
        return count - before if count >= before else count

    @property
    def may_ask_for_dropped(self) -> bool:
        """Whether to ask for that count: not where the broker broke the connection each time."""
        return self._stored.cut_for_asking < MAX_CUTS_FOR_ASKING

    def was_cut_for_asking(self) -> None:
        """The connection broke before the answer came."""
        self._stored.cut_for_asking += 1
        self._is_dirty = True

    def is_repeated(self, topic: str, payload: bytes) -> bool:
        """Whether this very retained message came before; if not, say `was_committed` when it is in the log."""
        hashed = content_hash(topic, payload)
        if hashed == (self._uncommitted.get(topic) or self._stored.retained.get(topic)):
            return True
        _put(self._uncommitted, topic, hashed)
        return False

    def was_committed(self, topic: str, payload: bytes) -> None:
        """This retained message is in the log, and no news from now on, not after a restart either."""
        hashed = content_hash(topic, payload)
        if self._uncommitted.get(topic) == hashed:
            del self._uncommitted[topic]
        _put(self._stored.retained, topic, hashed)
        self._is_dirty = True

    def changes(self) -> Callable[[], None] | None:
        """What writes the file, on whatever thread; None when nothing has changed since it was written."""
        return self._save if self._is_dirty else None

    def _save(self) -> None:
        """Write what is known now. When that fails it stays to be written, and is told once."""
        with self._writing:
            self._is_dirty = False
            try:
                fresh = self._path.with_suffix(".new")
                fresh.write_bytes(msgspec.json.encode(self._stored))
                fresh.replace(self._path)
            except OSError as error:
                self._is_dirty = True
                if not self._is_failing:
                    _log.warning("the broker's session cannot be remembered in %s: %s", self._path, error.strerror)
                self._is_failing = True
            else:
                self._is_failing = False


def _put(retained: dict[str, int], topic: str, hashed: int) -> None:
    if len(retained) >= MAX_RETAINED and topic not in retained:
        retained.clear()
    retained[topic] = hashed


def _load(path: Path, broker: str, client_id: str) -> _Stored | None:
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
    except (OSError, msgspec.DecodeError):
        return None
    return stored if (stored.broker, stored.client_id) == (broker, client_id) else None
