"""Gives numbers, commits, rolls and unlinks: everything that changes the log's folder, on one thread."""

from __future__ import annotations

import fcntl
import logging
from pathlib import Path
from typing import IO, NamedTuple

from gateway.errors import LogError
from gateway.frame import numbered
from gateway.log import segment
from gateway.log.segment import DamagedError, Durability, Facts, OpenSegment, Seam
from gateway.reading import Draft, Entry

_log = logging.getLogger(__name__)

JUMP = 1_000_000
"""Law 1: numbers skipped at each opening, more than one life can lose with its last commits."""

MAX_SET_ASIDE = 8
"""Damaged segments kept for a person to look at; the oldest go first."""


class Roll(NamedTuple):
    """When a segment ends: at the first commit that finds it this large or this old (or `segment.MAX_ENTRIES` long)."""

    max_bytes: int
    max_age_ms: int


class Opened(NamedTuple):
    """What was found: ``head`` is the position of whoever starts now, ``packets`` the newest stored marks."""

    segments: list[Facts]
    head: int
    packets: bytes
    damaged: list[str]
    last_received_at_ms: int


class Committed(NamedTuple):
    """What one commit did: its entries, the facts of the segments it touched or began (oldest first), and a damaged one."""

    entries: list[Entry]
    segments: list[Facts]
    damaged: Facts | None = None


class Writer:
    """All methods block and belong to one thread, the writer's."""

    def __init__(self, folder: Path, durability: Durability, roll: Roll) -> None:
        self._folder, self._durability, self._roll = folder, durability, roll
        self._open: OpenSegment | None = None
        self._facts: Facts
        self._next = 0
        self._lock: IO[str] | None = None

    def open(self, now_ms: int, known_position: int, packet_bytes: int) -> Opened:
        """Find the segments, set damaged ones aside, and begin a life of the log with a seam.

        ``known_position`` is the newest position that is known from elsewhere, 0 when none is.
        Raises LogError when the folder cannot be used or another gateway uses it.
        """
        self._take_folder()
        damaged: list[str] = []
        segments = self._survey(damaged)
        last = max([known_position, *(facts.last for facts in segments), *(_possible_last(name) for name in damaged)])
        self._next = max(last + JUMP, now_ms // 1000 * 1_000_000)
        held = segments[-1].last if segments else self._next - 1
        if segments and segments[-1].seams:
            held = max(held, segments[-1].seams[-1].next - 1)
        newest_damaged = bool(damaged and segments) and damaged[-1] > segments[-1].path.name
        seam = Seam(held, self._next, lossy=bool(segments) and (known_position > held or newest_damaged))
        packets = self._continue(segments, seam, packet_bytes)
        received = max((facts.last_received_at_ms for facts in segments), default=0)
        return Opened(segments, self._next - 1, packets, damaged, received)

    def _take_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self._folder / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LogError(f"another gateway uses the log in {self._folder}") from error
        except OSError as error:
            raise LogError(f"the log's folder {self._folder} cannot be used: {error.strerror}") from error

    def _survey(self, damaged: list[str]) -> list[Facts]:
        """All sound segments in order. Only the newest is checked whole; the others when they are read."""
        paths = sorted(path for path in self._folder.iterdir() if segment.first_of(path) is not None)
        segments = []
        for path in paths:
            try:
                if path == paths[-1]:
                    segment.check(path)
                segments.append(segment.facts(path))
            except DamagedError:
                self.set_aside(path)
                damaged.append(path.name)
        return segments

    def _continue(self, segments: list[Facts], seam: Seam, packet_bytes: int) -> bytes:
        """Go on in the newest segment, or begin the first; the seam is on disk before any number is given."""
        packets = b""
        if segments:
            self._open = OpenSegment(segments[-1].path, self._durability)
            packets = self._open.packets(packet_bytes)
            self._facts = segments.pop()
        else:
            self._begin(seam.next)
        self._newest().append([], b"", seam)
        self._facts = self._facts._replace(seams=(*self._facts.seams, seam), bytes=self._newest().bytes())
        segments.append(self._facts)
        return packets

    def _begin(self, first: int) -> None:
        path = segment.path_of(self._folder, first)
        self._open = OpenSegment(path, self._durability)
        self._facts = Facts(path, first, first - 1, 0, 0, (), 0)

    def _newest(self) -> OpenSegment:
        if self._open is None:
            raise LogError("the log is closed")
        return self._open

    def commit(self, drafts: list[Draft], packets: bytes) -> Committed:
        """Number the drafts and commit them all, or none.

        Raises FullError or StorageError, after which the same call may be made again; a damaged newest segment is set
        aside here and the commit made in a new one.
        """
        if not drafts and not packets:
            return Committed([], [])
        touched: list[Facts] = []
        if self._is_due(drafts[0].received_at_ms if drafts else 0):
            touched.append(self.roll())
        entries = [numbered(draft, seq) for seq, draft in enumerate(drafts, self._next)]
        damaged = self._append(entries, packets)
        self._next += len(entries)
        self._facts = self._described(entries)
        return Committed(entries, [*touched, self._facts], damaged)

    def _append(self, entries: list[Entry], packets: bytes) -> Facts | None:
        """Append to the newest segment, or to a new one when that is damaged; returns the damaged one."""
        try:
            if not self._facts.path.exists():
                raise DamagedError(f"{self._facts.path} was removed")
            self._newest().append(entries, packets)
        except DamagedError:
            damaged = self._facts
            self._replace_damaged(entries[0].seq if entries else self._next)
            self._newest().append(entries, packets)
            return damaged
        return None

    def _described(self, entries: list[Entry]) -> Facts:
        if not entries:
            return self._facts
        began = self._facts.first_received_at_ms or entries[0].received_at_ms
        return self._facts._replace(
            last=entries[-1].seq,
            first_received_at_ms=began,
            last_received_at_ms=entries[-1].received_at_ms,
            bytes=self._newest().bytes(),
        )

    def _is_due(self, now_ms: int) -> bool:
        facts = self._facts
        if facts.last < facts.first:
            return False
        old = now_ms - facts.first_received_at_ms > self._roll.max_age_ms
        return old or facts.bytes >= self._roll.max_bytes or self._next - facts.first >= segment.MAX_ENTRIES

    def roll(self) -> Facts:
        """End the newest segment and begin another; returns the facts of the ended one."""
        ended = self._facts
        self._newest().close()
        ended = ended._replace(bytes=segment.bytes_on_disk(ended.path))
        seam = Seam(self._next - 1, self._next)
        self._begin(self._next)
        self._newest().append([], b"", seam)
        self._facts = self._facts._replace(seams=(seam,), bytes=self._newest().bytes())
        return ended

    def roll_over(self) -> tuple[Facts, Facts]:
        """End the newest segment without a commit; returns its facts and those of the new one."""
        return self.roll(), self._facts

    def _replace_damaged(self, first: int) -> None:
        """Set the newest segment aside and begin another at ``first``."""
        self.abandon()
        if self._facts.first < first:
            self._begin(first)
        else:
            # Nothing was in the damaged one, and its name is that of the new one: it can only be begun afresh.
            self._begin(self._facts.first)
        seam = Seam(first - 1, first)
        self._newest().append([], b"", seam)
        self._facts = self._facts._replace(seams=(seam,))

    def abandon(self) -> None:
        """Let the newest segment go without a word to it, and set it aside."""
        try:
            self._newest().close()
        except DamagedError:
            _log.debug("closing a damaged segment failed, as expected")
        self.set_aside(self._facts.path)

    def replace_newest(self) -> tuple[Facts, Facts]:
        """A reader found the newest segment damaged: set it aside and begin another; returns both, in that order."""
        damaged = self._facts
        self._replace_damaged(self._next)
        return damaged, self._facts

    def set_aside(self, path: Path) -> None:
        """Rename a damaged segment; keeps the newest few of those."""
        segment.set_aside(path)
        aside = sorted(self._folder.glob(f"*{segment.SUFFIX}.corrupt"))
        for old in aside[:-MAX_SET_ASIDE]:
            for part in ("", "-wal", "-shm"):
                old.with_name(old.name.replace(".corrupt", f"{part}.corrupt")).unlink(missing_ok=True)

    def remove(self, paths: list[Path]) -> None:
        """Unlink segments that are on no shelf any more."""
        for path in paths:
            segment.remove(path)

    def close(self) -> None:
        """Fold in the write-ahead log and let the folder go."""
        if self._open is not None:
            self._open.close()
            self._open = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _possible_last(name: str) -> int:
    """A number that the damaged segment of this name surely did not exceed."""
    return (segment.first_of(Path(name)) or 0) + segment.MAX_ENTRIES
