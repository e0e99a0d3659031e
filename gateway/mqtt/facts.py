"""What we must still know of our session after a restart, because the session outlives us and the broker does not tell.

* The filters that were granted: those that the configuration no longer names must be given up.
* The broker's count of messages that it dropped: what was added while we were away may have been for us.
* How often the broker broke the connection when it was asked for that count.

Kept in `session.json`. Without it, filters of an earlier configuration stay in the session, and messages of theirs are
rejected.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.state_file import StateFile

VERSION = 1
"""The version of the format of `session.json`. Before version 1, the file held the memory of retained messages too."""

MAX_CUTS_FOR_ASKING = 2
"""A broker that broke the connection this often when it was asked is not asked again. One break may be chance."""


class _Stored(msgspec.Struct):
    broker: str
    client_id: str
    version: int = VERSION
    filters: dict[str, int] = {}
    dropped: int | None = None
    cut_for_asking: int = 0


class Facts:
    """Of the session ``client_id`` at ``broker``; what another session left behind counts for nothing.

    ``folder`` is `log.folder`. Raises DataError when a newer gateway has written there.
    """

    def __init__(self, folder: Path, broker: str, client_id: str) -> None:
        self._file = StateFile(folder / "session.json", VERSION)
        stored = self._file.read(_Stored)
        if stored is None or (stored.broker, stored.client_id) != (broker, client_id):
            stored = _Stored(broker, client_id)
        self._stored = msgspec.structs.replace(stored, version=VERSION)

    @property
    def filters(self) -> dict[str, int]:
        """Topic filters and their QoS, as granted."""
        return self._stored.filters

    def granted(self, filters: dict[str, int]) -> None:
        """The session has these filters now. Written at once: it happens rarely, and a forgotten filter stays for good."""
        self._stored.filters = filters
        self._file.changed()
        if save := self.changes():
            save()

    def dropped_since(self, count: int) -> int:
        """How many messages the broker dropped since its last word, by its own ``count``, which begins anew with it.

        0 at the first word ever: nobody knows since when it counts.
        """
        before, self._stored.dropped = self._stored.dropped, count
        if count != before:
            self._file.changed()
        if before is None:
            return 0
        return count - before if count >= before else count

    @property
    def may_ask_for_dropped(self) -> bool:
        """Whether to ask for that count: not where the broker broke the connection `MAX_CUTS_FOR_ASKING` times."""
        return self._stored.cut_for_asking < MAX_CUTS_FOR_ASKING

    def was_cut_for_asking(self) -> None:
        """The connection broke before the answer came."""
        self._stored.cut_for_asking += 1
        self._file.changed()

    def changes(self) -> Callable[[], None] | None:
        """What writes the file, on any thread; None when nothing has changed since it was written."""
        return self._file.changes(lambda: msgspec.structs.replace(self._stored))
