"""Which devices a stream asks for: names, globs, or all."""

from __future__ import annotations

from functools import cached_property

MAX_PATTERNS = 200
"""Names and globs in one selection; a page that shows more asks for all."""

_NONE: frozenset[str] = frozenset()


class Selection:
    """A set of devices, known or not yet; ``*`` in a glob stands for any run of characters, slashes included.

    Equal selections are equal and hash alike, so that streams with the same one can share what is computed for it.
    Raises ValueError for more than ``MAX_PATTERNS`` patterns.
    """

    def __init__(self, patterns: frozenset[str]) -> None:
        if len(patterns) > MAX_PATTERNS:
            raise ValueError(f"at most {MAX_PATTERNS} devices and globs in one stream")
        self.patterns = patterns
        # Sets that are equal are one: a stream keeps its selection as long as it is open.
        self.globs = frozenset(pattern for pattern in patterns if "*" in pattern) or _NONE
        self.names = patterns - self.globs if self.globs else patterns
        self.is_all = "*" in patterns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __contains__(self, device: str) -> bool:
        if self.is_all or device in self.names:
            return True
        return any(_glob_fits(pieces, device) for pieces in self._pieces)

    @cached_property
    def _pieces(self) -> list[list[str]]:
        return [glob.split("*") for glob in sorted(self.globs)]


def _glob_fits(pieces: list[str], device: str) -> bool:
    """Greedy and in one pass: a regular expression with many stars could be made to backtrack for hours."""
    first, *middle, last = pieces
    if len(device) < len(first) + len(last) or not (device.startswith(first) and device.endswith(last)):
        return False
    at, end = len(first), len(device) - len(last)
    for piece in middle:
        found = device.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


ALL = Selection(frozenset(["*"]))


def select(patterns: list[str]) -> Selection:
    """The selection for the ``device`` parameters of a request; none at all means all devices."""
    return Selection(frozenset(patterns)) if patterns else ALL
