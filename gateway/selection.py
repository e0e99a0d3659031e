"""Which devices are meant: names, globs, or all; and what two selections have in common."""

from __future__ import annotations

MAX_PATTERNS = 200
"""Names and globs in one selection; a page that shows more asks for all."""

_NONE: frozenset[str] = frozenset()
_NO_PARTS: frozenset[Selection] = frozenset()


class Selection:
    """A set of devices, known or not yet; ``*`` in a glob stands for any run of characters, slashes included.

    It is made of ``patterns``: ``names`` and ``globs``, a device fits one of them. Where globs meet globs, ``a & b`` has
    ``parts`` instead, at least two: a device fits all of them. It then has no ``names``, and the ``globs`` of all parts.
    So a selection without globs always has all its devices in ``names``.

    Equal selections are equal and hash alike, so that streams with the same one can share what is computed for it.
    Raises ValueError for more than `MAX_PATTERNS` patterns.
    """

    __slots__ = ("_pieces", "globs", "is_all", "names", "parts", "patterns")

    def __init__(self, patterns: frozenset[str], parts: frozenset[Selection] = _NO_PARTS) -> None:
        if len(patterns) > MAX_PATTERNS:
            raise ValueError(f"at most {MAX_PATTERNS} devices and globs in one stream")
        self.is_all = "*" in patterns
        self.patterns = _EVERYTHING if self.is_all else patterns
        self.parts = parts
        # Sets that are equal are one: a stream keeps its selection while it is open.
        self.globs = frozenset(pattern for pattern in self.patterns if "*" in pattern) or _NONE
        self.names = self.patterns - self.globs if self.globs else self.patterns
        self._pieces = tuple(glob.split("*") for glob in sorted(self.globs))
        if parts:
            self.globs = frozenset().union(*(part.globs for part in parts))

    def __repr__(self) -> str:
        return " & ".join(sorted(map(repr, self.parts))) if self.parts else f"Selection({sorted(self.patterns)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and (self.patterns, self.parts) == (other.patterns, other.parts)

    def __hash__(self) -> int:
        return hash(self.parts or self.patterns)

    def __contains__(self, device: str) -> bool:
        if self.is_all or device in self.names:
            return True
        if self.parts:
            return all(device in part for part in self.parts)
        return any(_glob_fits(pieces, device) for pieces in self._pieces)

    def __and__(self, other: Selection) -> Selection:
        """The devices that are in both; one of the two itself where that is enough, so that it stays shared."""
        if other.is_all or self == other:
            return self
        if self.is_all:
            return other
        parts = _least((self.parts or {self}) | (other.parts or {other}))
        for part in parts:
            if not part.globs:
                names = frozenset(name for name in part.names if all(name in each for each in parts))
                return part if names == part.names else Selection(names)
        if len(parts) == 1:
            return parts.pop()
        return next((each for each in (self, other) if each.parts == parts), None) or Selection(_NONE, frozenset(parts))


def _least(parts: set[Selection] | frozenset[Selection]) -> set[Selection]:
    """Without those that hold all patterns of another one: they add no condition."""
    return {part for part in parts if not any(other.patterns < part.patterns for other in parts)}


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


_EVERYTHING = frozenset(["*"])
ALL = Selection(_EVERYTHING)


def select(patterns: list[str]) -> Selection:
    """The selection for the ``device`` parameters of a request; none at all means all devices."""
    return Selection(frozenset(patterns)) if patterns else ALL
