"""Retained messages that came before: they come again whenever we subscribe, and are logged only when they say something new.

Kept in `retained.json` over restarts, which a missing or damaged file costs one repetition. No message is in it before it is
in the log: after a kill it would count as logged, and be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.devices.device import DeviceState
from gateway.reading import Reading
from gateway.remembered import Remembered
from gateway.state_file import StateFile

VERSION = 1
"""The version of the format of `retained.json`. Before version 1, its content stood in `session.json`."""

MAX_RETAINED = 20_000
"""Topics whose retained message is remembered; the one that was remembered first is forgotten, and logged once more."""


class _Stored(msgspec.Struct):
    """``retained`` has the content hash by topic."""

    broker: str
    client_id: str
    version: int = VERSION
    retained: dict[str, int] = {}


class Retained:
    """Content hashes by topic, of the session ``client_id`` at ``broker``; those of another session count for nothing.

    ``folder`` is `log.folder`. Raises DataError when a newer gateway has written there.
    """

    def __init__(self, folder: Path, broker: str, client_id: str) -> None:
        self._broker, self._client_id = broker, client_id
        self._file = StateFile(folder / "retained.json", VERSION)
        self._logged: Remembered[str, int] = Remembered(MAX_RETAINED)
        # On their way into the log.
        self._uncommitted: Remembered[str, int] = Remembered(MAX_RETAINED)
        stored = self._file.read(_Stored) or self._of_before_versions(folder)
        if stored is not None and (stored.broker, stored.client_id) == (broker, client_id):
            for topic, hashed in stored.retained.items():
                self._logged.remember(topic, hashed)
        if write := self.changes():
            write()

    def _of_before_versions(self, folder: Path) -> _Stored | None:
        stored = StateFile(folder / "session.json", VERSION).read(_Stored, newest=0)
        if stored is not None:
            # To be written at once: the next `session.json` will be without it.
            self._file.changed()
        return stored

    def came_before(self, topic: str, hashed: int) -> bool:
        """Whether the retained message of this topic with this content hash is logged, or on its way into the log.

        If not, say `committed` when it is in the log.
        """
        if hashed == (self._uncommitted.get(topic) or self._logged.get(topic)):
            return True
        self._uncommitted.remember(topic, hashed)
        return False

    def committed(self, topic: str, hashed: int) -> None:
        """This retained message is in the log, and says nothing new from now on, also after a restart."""
        if self._uncommitted.get(topic) == hashed:
            del self._uncommitted[topic]
        self._logged.remember(topic, hashed)
        self._file.changed()

    def changes(self) -> Callable[[], None] | None:
        """What writes the file, on any thread; None when nothing has changed since it was written."""
        return self._file.changes(
            lambda: _Stored(
                self._broker, self._client_id, retained=dict(self._logged)
            )  # a copy: it is written elsewhere
        )


def says_nothing_new(reading: Reading, state: DeviceState | None) -> bool:
    """Whether a retained reading holds only what is known of its device already.

    That is so where the broker kept what had come live, and we subscribed again.
    """
    if state is None:
        return False
    known = [state.values.get(metric) for metric in reading.values]
    is_same = [latest.value if latest else None for latest in known] == list(reading.values.values())
    return is_same and all(latest and reading.measured_at_ms in (None, latest.at) for latest in known)
