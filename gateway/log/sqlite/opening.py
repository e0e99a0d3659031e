"""How the log is opened: the folder is locked, what earlier openings left is surveyed, and a segment begins. Blocks."""

from __future__ import annotations

import fcntl
import logging
from pathlib import Path
from typing import IO, NamedTuple

from gateway.errors import LogError
from gateway.log.sqlite import files
from gateway.log.sqlite.files import Facts, Seam
from gateway.log.sqlite.highwater import HighWater
from gateway.log.sqlite.newest import Maker, Newest
from gateway.log.sqlite.schema import refuse_newer_segments
from gateway.log.sqlite.shelf import Shelf
from gateway.log.sqlite.survey import Survey, newest_receipts, recent, survey
from gateway.log.sqlite.writer import Writer, carried, remove
from gateway.log.store import RECEIPT_BYTES, RECEIPTS_KEPT, FullError, Recent

_log = logging.getLogger(__name__)

JUMP = 1_000_000
"""Law 1: numbers skipped at each opening, more than one opening can lose with its last commits."""

MAX_CLOCK_S = 2**52 // 1_000_000
"""The year 2112: a clock beyond it is wrong, and numbers made of it would come near 2^53."""

MAX_SEAMS = 1000
"""Seams that a segment takes over from empty ones, one for each restart without an entry; older ones become gaps."""


class Start(NamedTuple):
    """What an opening begins with; `Opened` of the store's protocol says what the fields mean."""

    writer: Writer
    shelf: Shelf
    recent: Recent
    receipts: bytes
    damaged: list[str]


def begin(maker: Maker, known_position: int) -> Start:
    """Open or create the log in the maker's folder.

    ``known_position`` is the newest position that is known from elsewhere, 0 when none is: numbers stay above it, and
    entries up to it that are missing are told as a gap. Raises LogError when the folder cannot be used, another gateway
    uses it, and DataError when a newer gateway wrote it; nothing is changed then.
    """
    refuse_newer_segments(maker.folder)
    lock = _lock(maker.folder)
    try:
        return _begin(maker, known_position, lock)
    except BaseException:
        lock.close()
        raise


def _lock(folder: Path) -> IO[str]:
    """Keep other gateways out of the folder for as long as the file is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise LogError(f"the log's folder {folder} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        is_used = isinstance(error, BlockingIOError)
        why = (
            f"another gateway uses the log in {folder}" if is_used else f"the log in {folder} cannot be locked: {error}"
        )
        raise LogError(why) from error
    return lock


def _begin(maker: Maker, known_position: int, lock: IO[str]) -> Start:
    high_water = HighWater(maker.folder / "newest", maker.spent)
    found = survey(maker.folder)
    held = [facts for facts in found.sound if not facts.is_empty]
    # Also of segments without an entry, which go now: a message that was rejected has a receipt and no entry.
    receipts = newest_receipts(found.sound, RECEIPTS_KEPT * RECEIPT_BYTES)
    next_ = _first_number(found, known_position, maker.clock.wall_ms())
    seams = _first_seams(found, known_position, next_, high_water)
    before_ms = _before_ms(found, known_position, is_joined=seams[-1].after < next_ - 1)
    newest = _begin_with_room(maker, seams, before_ms, held, carried(receipts, maker.settings))
    try:
        high_water.begin(next_ - 1, is_synced=maker.settings.durability == "power")
    except BaseException:
        newest.close()
        raise
    remove([facts.path for facts in found.sound if facts.is_empty])
    writer = Writer(maker, newest, high_water, lock, next_, receipts)
    segments = [*held, newest.facts]
    lost_oldest = bool(found.damaged) and found.damaged[0] < segments[0].path.name
    shelf = Shelf(segments, "corrupt" if lost_oldest else "expired")
    newest_entries = recent(segments, shelf.span.whole_from, maker.settings.tail_bytes)
    return Start(writer, shelf, newest_entries, receipts, found.damaged)


def _first_number(found: Survey, known_position: int, wall_ms: int) -> int:
    """Law 1: above all that was ever given, however the wall clock stands."""
    clock_s = wall_ms // 1000 if wall_ms // 1000 <= MAX_CLOCK_S else 0
    return max(max(found.last, known_position) + JUMP, clock_s * 1_000_000)


def _first_seams(found: Survey, known_position: int, next_: int, high_water: HighWater) -> tuple[Seam, ...]:
    """A seam that joins what is held, or one that leaves open what is, or may be, missing before it."""
    if not found.sound:
        return (Seam(next_ - 1, next_),)
    newest = found.sound[-1]
    has_lost = found.has_lost_newest or high_water.has_lost(newest.last)
    is_whole = not has_lost and known_position <= newest.last
    inherited = newest.seams if newest.is_empty else ()
    return (*inherited, Seam(newest.last if is_whole else next_ - 1, next_))[-MAX_SEAMS:]


def _before_ms(found: Survey, known_position: int, *, is_joined: bool) -> int | None:
    """When the newest entry before this opening arrived, as `Facts` tells it; not known where entries may be missing."""
    if not found.sound:
        return None if found.damaged or known_position else 0
    if not is_joined:
        return None
    newest = found.sound[-1]
    return newest.before_ms if newest.is_empty else newest.last_received_at_ms


def _begin_with_room(
    maker: Maker, seams: tuple[Seam, ...], before_ms: int | None, held: list[Facts], receipts: bytes
) -> Newest:
    """Begin; on a full disk the oldest segments make room, so that a gateway can start there too."""
    while True:
        try:
            return Newest(maker, seams, before_ms, receipts)
        except FullError:
            if len(held) < 2:
                raise
            _log.warning("the disk is full: the segment %s makes room", held[0].path.name)
            files.remove(held.pop(0).path)
