"""Gateways that are wrong on purpose: each is the real one with a few lines changed, and the laboratory must notice.

A mutant is made in a copy of the package. A text to change that is not there exactly once is an error: a mutant that
changes nothing would pass for the wrong reason.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT
from tests.crash import disk_faults, faults, reader_faults
from tests.crash.laboratory import Fault


class Change(NamedTuple):
    """``old``, in ``file`` exactly once, becomes ``new``."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """What is broken, and the set-up and the faults that must show it."""

    name: str
    changes: tuple[Change, ...]
    kind: str
    faults: tuple[Fault, ...]


FASTER_RETENTION = Change("stations.py", "TRIM_INTERVAL_S = 10.0", "TRIM_INTERVAL_S = 0.5")
"""No mutation: ten seconds are long for a test. The sound gateway that is compared with has it too."""

ACK_BEFORE_COMMIT = Mutant(
    "ack before commit",
    (
        Change(
            "intake/intake.py",
            '        self._log.append(Deposit(drafts, b"".join(arrival.receipts), committed, len(messages)))\n',
            "        committed()\n"
            '        self._log.append(Deposit(drafts, b"".join(arrival.receipts), None, len(messages)))\n',
        ),
    ),
    "plain",
    (faults.kill_gateway,),
)

VISIBLE_BEFORE_COMMIT = Mutant(
    "visible before commit",
    (
        Change(
            "log/sqlite/store.py",
            "        change = await self._write(partial(self._writer.commit, batch))\n"
            "        self._show(change, batch.id)\n",
            "        entries = await self._write(partial(self._writer.numbered, batch))\n"
            "        if entries and entries[-1].seq > self._shelf.newest.last:\n"
            "            facts = self._writer._facts._replace(last=entries[-1].seq)\n"
            "            self._show(Change(entries, [facts], []), batch.id)\n"
            "        change = await self._write(partial(self._writer.commit, batch))\n"
            "        self._show(change._replace(entries=[]))\n",
        ),
        Change(
            "log/sqlite/writer.py",
            "    def _append(self, batch",
            "    def numbered(self, batch: Batch) -> list[Entry]:\n"
            "        from gateway.frame import numbered\n\n"
            "        return numbered(batch.drafts, self._next)\n\n"
            "    def _append(self, batch",
        ),
    ),
    "small",
    (disk_faults.refuse_and_kill,),
)

FLOOR_ONLY_ON_CONNECT = Mutant(
    "floor checked only on connect",
    (
        Change(
            "log/sqlite/reader.py",
            "            gap = self._shelf.span.gap_at(after)\n",
            "            gap = self._shelf.span.gap_at(after) if after > self._shelf.newest.last else None\n",
        ),
        Change(
            "stream/cursor.py",
            "        if self.position == log.head:\n            pieces[-1] += self._live()\n",
            "        if gap := log._store._shelf.span.gap_at(self.position):\n            pieces[-1] += self._tell(gap)\n"
            "        if self.position == log.head:\n            pieces[-1] += self._live()\n",
        ),
    ),
    "retention",
    (reader_faults.overtake,),
)

PLAIN_ROW_IDS = Mutant(
    "plain row ids as numbers",
    (
        Change(
            "log/sqlite/opening.py",
            "return max(max(found.last, known_position) + JUMP, clock_s * 1_000_000)",
            "return found.last + 1",
        ),
    ),
    "damage",
    (disk_faults.delete_log,),
)

DEDUP_OFF = Mutant(
    "dedup off",
    (
        Change(
            "intake/repeats/repeats.py",
            "return message.dup and self._receipts.knows(message.packet_id, hashed)",
            "return False",
        ),
    ),
    "plain",
    (faults.lose_acknowledgements,),
)

MUTANTS = (ACK_BEFORE_COMMIT, VISIBLE_BEFORE_COMMIT, FLOOR_ONLY_ON_CONNECT, PLAIN_ROW_IDS, DEDUP_OFF)


def tree_with(changes: tuple[Change, ...], folder: Path) -> Path:
    """A source tree with the gateway changed so; raises ValueError where there is nothing to change."""
    tree = folder / "tree"
    shutil.copytree(ROOT / "gateway", tree / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    for change in changes:
        path = tree / "gateway" / change.file
        text = path.read_text()
        if text.count(change.old) != 1:
            raise ValueError(f"{change.file} holds {text.count(change.old)} times: {change.old!r}")
        path.write_text(text.replace(change.old, change.new))
    return tree
