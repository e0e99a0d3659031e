"""What an earlier life left in the log's folder: sound segments, damaged ones, and those that never began. Blocks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.errors import LogError
from gateway.log.sqlite import files, query
from gateway.log.sqlite.faults import DamagedError
from gateway.log.sqlite.files import MAX_ENTRIES, Facts
from gateway.log.tail import Tail, bytes_of
from gateway.reading import Entry
from gateway.selection import ALL

_log = logging.getLogger(__name__)

FILL_ENTRIES = 20_000
"""Entries that the tail begins with at most: 50 ms of the start, and streams that return after a restart find theirs."""

FILL_PAGE = 1_000
"""Entries read at once: what large ones take above the tail's bytes is bounded by it."""


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
    Raises StorageError for a file that is there but cannot be opened.
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


def newest_packets(held: list[Facts], at_least: int) -> bytes:
    """The newest stored packet marks, oldest first; from as many segments as ``at_least`` bytes need."""
    batches: list[bytes] = []
    for facts in reversed(held):
        if at_least <= 0:
            break
        try:
            found = query.packets(facts.path, at_least)
        except LogError as error:
            _log.warning("%s", error)
            continue
        batches += found
        at_least -= sum(map(len, found))
    return b"".join(reversed(batches))


def filled_tail(held: list[Facts], whole_from: int, max_bytes: int) -> Tail:
    """A tail with the newest entries that are held, at most `FILL_ENTRIES`.

    It reaches back to ``whole_from`` at most: in a tail there may be no hole.
    """
    floor, pages, size, count = held[-1].last, list[list[Entry]](), 0, 0
    for path, lower, upper in _pages_back(held, whole_from):
        if size >= max_bytes or count >= FILL_ENTRIES:
            break
        try:
            page, _ = query.read(path, lower, upper, ALL, FILL_PAGE)
        except LogError as error:
            _log.warning("%s", error)  # a stream that comes there finds it again, and it is set aside then
            break
        pages.append(page)
        floor, size, count = lower, size + sum(map(bytes_of, page)), count + len(page)
    else:
        floor = whole_from
    tail = Tail(floor, max_bytes)
    for page in reversed(pages):
        tail.add(page)
    return tail


def _pages_back(held: list[Facts], whole_from: int) -> Iterator[tuple[Path, int, int]]:
    """Ranges of at most `FILL_PAGE` entries, the newest first: a segment, the position before it, and its last number."""
    for facts in reversed(held):
        bottom = max(facts.first - 1, whole_from)
        for upper in range(facts.last, bottom, -FILL_PAGE):
            yield facts.path, max(bottom, upper - FILL_PAGE), upper
