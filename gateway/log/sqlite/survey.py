"""What earlier openings left in the log's folder: sound segments, damaged ones, and those that never began. Blocks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.errors import LogError
from gateway.log.sqlite import files, query
from gateway.log.sqlite.faults import DamagedError
from gateway.log.sqlite.files import MAX_ENTRIES, Facts
from gateway.log.store import RECEIPT_BYTES, Recent
from gateway.log.tail import bytes_of
from gateway.reading import Entry
from gateway.selection import ALL

_log = logging.getLogger(__name__)

RECENT_ENTRIES = 20_000
"""Entries that an opening reads at most: 50 ms of the start, and streams that return after a restart find theirs in memory."""

RECENT_PAGE = 1_000
"""Entries of one read: where entries are large, it bounds what is read above the bytes that are wanted."""


class Survey(NamedTuple):
    """The sound segments in order, the names of those now set aside, and a number that none of all exceeds."""

    sound: list[Facts]
    damaged: list[str]
    last: int

    @property
    def has_lost_newest(self) -> bool:
        """Whether the newest segment was among the damaged ones."""
        return bool(self.damaged) and (not self.sound or self.damaged[-1] > self.sound[-1].path.name)


def survey(folder: Path) -> Survey:
    """Look at all segments, from the newest; set damaged ones aside, and remove what a kill left half begun.

    Only the newest with entries is checked whole; the others when they are read.
    Raises UnavailableError for a file that is there but cannot be opened.
    """
    sound: list[Facts] = []
    damaged: list[str] = []
    last = 0
    for path in reversed(files.paths_in(folder)):
        facts = None
        try:
            if all(each.is_empty for each in sound):
                query.check(path)
            facts = query.facts(path)
        except DamagedError as error:
            _log.error("%s", error)
            files.set_aside(path)
            damaged.insert(0, path.name)
        else:
            if facts is None:
                files.remove(path)
        if facts is not None:
            sound.insert(0, facts)
        last = max(last, facts.last if facts else (files.first_of(path) or 0) + MAX_ENTRIES)
    return Survey(sound, damaged, last)


def newest_receipts(held: list[Facts], at_least: int) -> bytes:
    """The newest receipts, oldest first; from as many segments as ``at_least`` bytes need."""
    batches: list[bytes] = []
    for facts in reversed(held):
        if at_least <= 0:
            break
        try:
            found = query.receipts(facts.path, at_least)
        except LogError as error:
            _log.warning("%s", error)
            continue
        batches += found
        at_least -= sum(map(len, found))
    return _without_copies(b"".join(reversed(batches)))


def _without_copies(receipts: bytes) -> bytes:
    """A run with the newest of equal receipts only: each segment begins with copies of those before it."""
    each = [receipts[at : at + RECEIPT_BYTES] for at in range(0, len(receipts), RECEIPT_BYTES)]
    return b"".join(reversed(dict.fromkeys(reversed(each))))


def recent(held: list[Facts], whole_from: int, max_bytes: int) -> Recent:
    """The newest entries that are held, at most `RECENT_ENTRIES`, and about ``max_bytes`` in memory.

    They reach back to ``whole_from`` at most, so that no hole lies among them.
    """
    after, pages, size, count = held[-1].last, list[list[Entry]](), 0, 0
    for path, lower, upper in _pages_back(held, whole_from):
        if size >= max_bytes or count >= RECENT_ENTRIES:
            break
        try:
            page = query.read(path, lower, upper, ALL, RECENT_PAGE).entries
        except LogError as error:
            _log.warning("%s", error)  # a stream that comes there finds it again, and it is set aside then
            break
        pages.append(page)
        after, size, count = lower, size + sum(map(bytes_of, page)), count + len(page)
    else:
        after = whole_from
    return Recent(after, [entry for page in reversed(pages) for entry in page])


def _pages_back(held: list[Facts], whole_from: int) -> Iterator[tuple[Path, int, int]]:
    """Ranges of at most `RECENT_PAGE` entries, the newest first: a segment, the position before it, and its last number."""
    for facts in reversed(held):
        bottom = max(facts.first - 1, whole_from)
        for upper in range(facts.last, bottom, -RECENT_PAGE):
            yield facts.path, max(bottom, upper - RECENT_PAGE), upper
