"""Gives numbers, commits, rolls and unlinks: everything that changes the log's folder, on one thread.

Each life of the log begins a segment of its own with a seam, so nothing is ever appended to a file that a crash left.
"""

from __future__ import annotations

import fcntl
import logging
from pathlib import Path
from typing import IO, NamedTuple

from gateway.errors import LogError
from gateway.frame import numbered
from gateway.intake.repeats.receipts import MARK
from gateway.log.sqlite import files
from gateway.log.sqlite.faults import DamagedError, FullError, StorageError
from gateway.log.sqlite.files import MAX_ENTRIES, Facts, Seam
from gateway.log.sqlite.highwater import HighWater
from gateway.log.sqlite.segment import Durability, OpenSegment
from gateway.log.sqlite.survey import Survey, newest_packets, survey
from gateway.log.sqlite.written import Written
from gateway.reading import Draft, Entry

_log = logging.getLogger(__name__)

JUMP = 1_000_000
"""Law 1: numbers skipped at each opening, more than one life can lose with its last commits."""

MAX_CLOCK_S = 2**52 // 1_000_000
"""The year 2112: a clock beyond it is wrong, and numbers made of it would come near 2^53."""

MAX_CARRIED_BYTES = 10_000 * MARK.size
"""Packet marks that a new segment begins with, at most an eighth of its size: the segment that held them may go, to
retention or because the disk is full, while the broker has not got the PUBACKs yet. Those arrive in order, so what it may
send again is what was delivered last; mosquitto 2.0.11 was seen with 3,300 messages in flight."""

MAX_SEAMS = 1000
"""Seams that a segment takes over from empty ones, one for each restart without an entry; older ones become gaps."""


class Roll(NamedTuple):
    """When a segment ends: at the first commit that finds it this large or this old, or would make it too long."""

    max_bytes: int
    max_age_ms: int


class Opened(NamedTuple):
    """What was found, the new segment last; ``packets`` are the newest stored marks, ``damaged`` names in order."""

    segments: list[Facts]
    packets: bytes
    damaged: list[str]
    last_received_at_ms: int


class Change(NamedTuple):
    """What became of the log: new entries, the facts of segments that ended or grew (oldest first), and damaged ones.

    ``wants_checkpoint`` asks for `Writer.checkpoint`, before the next commit.
    """

    entries: list[Entry]
    segments: list[Facts]
    damaged: list[Facts]
    wants_checkpoint: bool = False


class Writer:
    """All methods block and belong to one thread, the writer's. After an error each may be called again."""

    def __init__(self, folder: Path, durability: Durability, roll: Roll, written: Written | None = None) -> None:
        self._folder, self._durability, self._roll_at = folder, durability, roll
        self._lock: IO[str] | None = None
        self._written = written or Written()
        self._high_water = HighWater(folder / "newest", self._written)
        self._open: OpenSegment | None = None
        self._facts: Facts
        self._next = 0
        self._carried = b""
        self._carries = min(MAX_CARRIED_BYTES, roll.max_bytes // 8 // MARK.size * MARK.size)
        self._is_first_commit = False
        # What happened to segments since the last change was told; a failed call leaves it to the next one.
        self._ended: list[Facts] = []
        self._damaged: list[Facts] = []

    # --- a life begins and ends --------------------------------------------------------------------------------------

    def open(self, now_ms: int, known_position: int, packet_bytes: int) -> Opened:
        """Find the segments, set damaged ones aside, and begin a life of the log in a segment of its own.

        ``known_position`` is the newest position that is known from elsewhere, 0 when none is.
        Raises LogError when the folder cannot be used or another gateway uses it.
        """
        self._take_folder()
        try:
            return self._begin_life(now_ms, known_position, packet_bytes)
        except BaseException:
            self.close()
            raise

    def _take_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self._folder / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise LogError(f"another gateway uses the log in {self._folder}") from error
        except OSError as error:
            self.close()
            raise LogError(f"the log's folder {self._folder} cannot be used: {error.strerror}") from error

    def _begin_life(self, now_ms: int, known_position: int, packet_bytes: int) -> Opened:
        found = survey(self._folder)
        clock_s = now_ms // 1000 if now_ms // 1000 <= MAX_CLOCK_S else 0
        self._next = max(max(found.last, known_position) + JUMP, clock_s * 1_000_000)
        held = [facts for facts in found.sound if not facts.is_empty]
        self._begin_with_room(self._first_seams(found, known_position), held)
        self._high_water.begin(self._next - 1, is_synced=self._durability == "power")
        self.remove([facts.path for facts in found.sound if facts.is_empty])
        received = max((facts.last_received_at_ms for facts in held), default=0)
        packets = newest_packets(held, packet_bytes)
        self._carry(packets)
        return Opened([*held, self._facts], packets, found.damaged, received)

    def _carry(self, packets: bytes) -> None:
        """Keep the newest marks for the next segment; those of lives before are written with this life's first commit."""
        self._carried = (self._carried + packets)[-self._carries :] if self._carries else b""

    def _first_seams(self, found: Survey, known_position: int) -> tuple[Seam, ...]:
        """A seam that joins what is held, or one that leaves open what is, or may be, missing before it."""
        if not found.sound:
            return (Seam(self._next - 1, self._next),)
        newest = found.sound[-1]
        has_lost = found.has_lost_newest or self._high_water.has_lost(newest.last)
        is_whole = not has_lost and known_position <= newest.last
        inherited = newest.seams if newest.is_empty else ()
        return (*inherited, Seam(newest.last if is_whole else self._next - 1, self._next))[-MAX_SEAMS:]

    def _begin_with_room(self, seams: tuple[Seam, ...], held: list[Facts]) -> None:
        """Begin; on a full disk the oldest segments make room, so that a gateway can start there too."""
        while True:
            try:
                self._begin(seams)
            except FullError:
                if len(held) < 2:
                    raise
                _log.warning("the disk is full: the segment %s makes room", held[0].path.name)
                files.remove(held.pop(0).path)
            else:
                return

    def close(self) -> None:
        """Fold in the write-ahead log and let the folder go."""
        if self._open is not None:
            self._close_open()
            self._high_water.end()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # --- entries -----------------------------------------------------------------------------------------------------

    def commit(self, drafts: list[Draft], packets: bytes) -> Change:
        """Number the drafts and commit them all, or none.

        Raises FullError or StorageError, after which the same call may be made again; a damaged newest segment is set
        aside here and the commit made in a new one.
        """
        if not drafts and not packets:
            return Change([], [], [])
        if self._open is None:
            self._replace()
        elif self._is_due(drafts):
            self._roll()
        try:
            entries = self._append(drafts, packets)
        except DamagedError as error:
            _log.error("%s", error)
            self._replace()
            entries = self._append(drafts, packets)
        return self._change(entries)

    def _append(self, drafts: list[Draft], packets: bytes) -> list[Entry]:
        if self._open is None:
            raise LogError("the log is closed")
        self._open.append(self._next, drafts, self._carried + packets if self._is_first_commit else packets)
        self._is_first_commit = False
        self._carry(packets)
        entries = numbered(drafts, self._next)
        self._next += len(entries)
        self._high_water.move(self._next - 1)
        if entries:
            self._facts = self._facts._replace(
                last=entries[-1].seq,
                first_received_at_ms=self._facts.first_received_at_ms or entries[0].received_at_ms,
                last_received_at_ms=entries[-1].received_at_ms,
                bytes=files.bytes_on_disk(self._facts.path),
            )
        return entries

    def _change(self, entries: list[Entry]) -> Change:
        wants_checkpoint = self._open is not None and self._open.wants_checkpoint
        change = Change(entries, [*self._ended, self._facts], self._damaged, wants_checkpoint)
        self._ended, self._damaged = [], []
        return change

    def checkpoint(self) -> None:
        """Copy what the newest segment's write-ahead log holds into its file: apart from a commit, which it would delay.

        Raises LogError, after which nothing is lost, and the next commit asks for it again.
        """
        if self._open is not None:
            self._open.checkpoint()

    # --- segments ----------------------------------------------------------------------------------------------------

    def _begin(self, seams: tuple[Seam, ...]) -> None:
        """Begin a segment; when that fails, nothing has changed."""
        first = seams[-1].next
        path = files.path_of(self._folder, first)
        self._open = OpenSegment(path, self._durability, seams, self._written)
        self._facts = Facts(path, first, first - 1, 0, 0, seams, files.bytes_on_disk(path))
        self._is_first_commit = True

    def _is_due(self, drafts: list[Draft]) -> bool:
        facts = self._facts
        if facts.is_empty:
            return False
        old = bool(drafts) and drafts[0].received_at_ms - facts.first_received_at_ms > self._roll_at.max_age_ms
        return old or facts.bytes >= self._roll_at.max_bytes or self._next + len(drafts) - facts.first > MAX_ENTRIES

    def _roll(self) -> None:
        """Begin a segment and end the one before."""
        ended, closing = self._facts, self._open
        self._begin((Seam(self._next - 1, self._next),))
        _close(closing)
        self._ended.append(ended._replace(bytes=files.bytes_on_disk(ended.path)))

    def roll_over(self) -> Change:
        """End the newest segment without a commit, so that retention can take it."""
        if not self._facts.is_empty and self._open is not None:
            self._roll()
        return self._change([])

    def _replace(self) -> None:
        """Set the newest segment aside and begin another."""
        if self._lock is None:
            raise LogError("the log is closed")
        fallen = self._facts
        if self._open is not None:
            self._close_open()
            self._damaged.append(fallen)
        files.set_aside(fallen.path)
        if fallen.is_empty:
            # Nothing is missing then, but its file's name may not come twice: one number is skipped.
            self._next = fallen.first + 1
            self._begin((*fallen.seams, Seam(fallen.last, self._next)))
        else:
            self._begin((Seam(self._next - 1, self._next),))

    def discard(self, facts: Facts) -> Change:
        """A reader found this segment damaged: set it aside, if it is still there. The newest is replaced."""
        if facts.path == self._facts.path:
            self._replace()
        else:
            files.set_aside(facts.path)
        return self._change([])

    def remove(self, paths: list[Path]) -> None:
        """Unlink segments that are on no shelf any more; what cannot be unlinked is found again at the next start."""
        for path in paths:
            try:
                files.remove(path)
            except StorageError as error:
                _log.warning("%s", error)

    def _close_open(self) -> None:
        closing, self._open = self._open, None
        _close(closing)


def _close(closing: OpenSegment | None) -> None:
    """Whatever closing says, nothing more can be done: what was committed is in the file or beside it."""
    try:
        if closing is not None:
            closing.close()
    except LogError as error:
        _log.warning("%s", error)
