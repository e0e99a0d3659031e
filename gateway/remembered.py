"""A bounded memory that only saves time: whoever misses in it computes the answer again."""

from __future__ import annotations

from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

MAX_KEY_LENGTH = 256
"""Longer keys are not remembered: an MQTT topic may have 65,535 bytes, and 10,000 of those would take 650 MB."""


class Remembered(dict[_K, _V]):
    """At most ``max_entries`` answers by key; the one remembered first goes first. Look up with ``get``, as in any dict."""

    __slots__ = ("_max_entries",)

    def __init__(self, max_entries: int) -> None:
        super().__init__()
        self._max_entries = max_entries

    def remember(self, key: _K, value: _V) -> _V:
        """Keep ``value`` for ``key``, unless the key is text or bytes above `MAX_KEY_LENGTH`; returns ``value``."""
        if isinstance(key, str | bytes) and len(key) > MAX_KEY_LENGTH:
            return value
        if len(self) >= self._max_entries and key not in self:
            del self[next(iter(self))]
        self[key] = value
        return value
