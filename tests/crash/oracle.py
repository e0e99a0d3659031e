"""Knows what must be true in the end, and finds what is not. Pure: it judges evidence, it gathers none.

1. Every message of QoS 1 and 2 that was acknowledged to its publisher is in the log exactly once; QoS 0 at most once.
2. A number stands for one entry, for everybody and for ever; numbers rise from life to life.
3. Every stream saw each entry of its devices once and in order, or a gap that covers it.
4. What is gone from the log is told as gone: delivered + declared lost = logged.

What the broker lost or repeated by itself is told apart by what went over the wire (`edge.py`), and counted, not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from tests.crash.edge import Edge
from tests.crash.ledger import Key, Ledger, Publication
from tests.crash.witness import Track, Witness

BROKER_WINDOW_S = 4.0
"""A broker killed by `kill -9` may lose what it acknowledged so shortly before: mosquitto answers first, and with
`autosave_interval 1` it saves when more than a whole second has passed, which is every two."""

SHOWN = 5


@dataclass
class Excuses:
    """What the faults so far permit. Nothing, unless a fault says so."""

    gaps: set[str] = field(default_factory=set)
    """Reasons of gaps that may be told."""
    broker_killed_at: list[float] = field(default_factory=list)
    broker_stopped_at: list[float] = field(default_factory=list)
    lost_between: list[tuple[float, float]] = field(default_factory=list)
    """When messages may have been acknowledged that are gone, although told as lost: damage, and power cuts."""


@dataclass
class Evidence:
    """All that the oracle looks at. ``log`` is the track of a replay of everything, made in the end.

    ``stored`` are the numbers in the segments' files themselves; the first of ``tracks`` is that of a reader of everything.
    """

    ledger: Ledger
    witness: Witness
    edge: Edge
    excuses: Excuses
    log: Track
    tracks: list[Track]
    stored: list[int] | None = None
    told: list[str] = field(default_factory=list)
    """Faults that others noticed: a process that ended, a part that hung."""


@dataclass
class Verdict:
    """What is wrong, and the counts for the table."""

    faults: list[str] = field(default_factory=list)
    published: int = 0
    acknowledged: int = 0
    logged: int = 0
    readers: list[tuple[Track, int, int]] = field(default_factory=list)
    """Each stream with its entries delivered and declared lost, since it began."""
    broker_lost: int = 0
    broker_repeated: int = 0

    @property
    def delivered(self) -> int:
        """Entries that came, over all streams."""
        return sum(delivered for _, delivered, _ in self.readers)

    @property
    def declared_lost(self) -> int:
        """Entries that a gap told of instead, over all streams."""
        return sum(declared for _, _, declared in self.readers)


def judge(evidence: Evidence) -> Verdict:
    """Everything that is not as it must be; no faults when all is well."""
    verdict = Verdict(faults=list(evidence.told))
    _numbers(evidence, verdict)
    _messages(evidence, verdict)
    _log(evidence, verdict)
    for track in evidence.tracks:
        _track(evidence, track, verdict)
    return verdict


def _say(verdict: Verdict, what: str, cases: list[object]) -> None:
    if cases:
        shown = ", ".join(map(str, cases[:SHOWN]))
        verdict.faults.append(f"{what}: {len(cases)}, such as {shown}")


def _numbers(evidence: Evidence, verdict: Verdict) -> None:
    _say(verdict, "numbers that stand for two things", list(evidence.witness.torn))


def _messages(evidence: Evidence, verdict: Verdict) -> None:
    missing: list[object] = []
    repeated: list[object] = []
    held = set(evidence.log.ids)
    for key, publication in evidence.ledger.publications.items():
        copies = _copies(evidence, held, key)
        verdict.published += 1
        seen = key in evidence.witness.ids
        verdict.logged += seen
        verdict.acknowledged += publication.acknowledged_at is not None
        if not seen and key.qos and publication.acknowledged_at is not None:
            if _broker_lost(evidence, key, publication):
                verdict.broker_lost += 1
            elif not _may_be_gone(evidence, publication):
                missing.append(_described(evidence, key))
        if copies > 1:
            allowed = 1 if key.qos == 0 else max(publication.sendings, evidence.edge.fresh(key))
            verdict.broker_repeated += min(copies, allowed) - 1
            if copies > allowed:
                repeated.append(_described(evidence, key))
    if len(missing) > _unseen(evidence):
        _say(verdict, "acknowledged and not in the log", missing)
    _say(verdict, "in the log more than once", repeated)
    known = evidence.ledger.publications.keys()
    _say(verdict, "never published, but logged", [key for key in evidence.witness.ids if key not in known])


def _unseen(evidence: Evidence) -> int:
    """How many entries retention may have taken before anybody saw them: what it told the reader of everything."""
    return sum(gap.floor - gap.asked for gap in evidence.tracks[0].gaps if gap.reason == "expired")


def _copies(evidence: Evidence, held: set[int], key: Key) -> int:
    """How often a message is in the log, or was until retention took it; what was destroyed may come again."""
    destroyed = [gap for gap in evidence.log.gaps if gap.reason != "expired" or evidence.excuses.lost_between]
    return sum(
        seq in held or not any(gap.asked < seq <= gap.floor for gap in destroyed)
        for seq in evidence.witness.ids.get(key, [])
    )


def _described(evidence: Evidence, key: Key) -> str:
    deliveries = evidence.edge.deliveries.get(key, [])
    told = "acknowledged" if key in evidence.edge.acknowledged else "not acknowledged"
    return f"{tuple(key)} ({told} by the gateway, delivered {[tuple(each) for each in deliveries]})"


def _broker_lost(evidence: Evidence, key: Key, publication: Publication) -> bool:
    """Whether the broker was killed shortly after it took the message over, and the gateway never answered for it."""
    at = publication.acknowledged_at or 0.0
    killed = any(at <= when <= at + BROKER_WINDOW_S for when in evidence.excuses.broker_killed_at)
    # Killed before it ever saved it, the broker has no session of ours: what comes before we subscribe again has no way to us.
    without_us = any(
        killed_at <= at <= back and not any(killed_at < other <= back for other in evidence.excuses.broker_killed_at)
        for killed_at in evidence.excuses.broker_killed_at
        for back in evidence.edge.subscribed_anew_at
    )
    # At QoS 2 the handshake may span a restart of any kind, and mosquitto then completes what it no longer has.
    stopped = key.qos == 2 and any(
        publication.sent_at - BROKER_WINDOW_S <= when <= at for when in evidence.excuses.broker_stopped_at
    )
    return (killed or stopped or without_us) and key not in evidence.edge.acknowledged


def _may_be_gone(evidence: Evidence, publication: Publication) -> bool:
    """Nobody saw it before it went: only where a fault destroys entries, and the log told a gap."""
    at = publication.acknowledged_at or 0.0
    return bool(evidence.log.gaps) and any(low <= at <= high for low, high in evidence.excuses.lost_between)


def _log(evidence: Evidence, verdict: Verdict) -> None:
    """What anybody ever saw is in the log, or the log tells that it is gone."""
    log, witness = evidence.log, evidence.witness
    verdict.faults += [f"replay of all: {fault}" for fault in log.faults]
    held = set(log.ids)
    gone = [seq for seq in sorted(witness.entries) if log.start < seq <= log.position and seq not in held]
    _say(
        verdict,
        "seen once, gone from the log, and not told",
        [_entry(witness, seq) for seq in gone if not log.covers(seq)],
    )
    beyond = [seq for seq in witness.entries if seq > log.position]
    _say(verdict, "seen, but above the head", [_entry(witness, seq) for seq in beyond])
    _say(verdict, "gaps that no fault explains", [gap for gap in log.gaps if gap.reason not in evidence.excuses.gaps])
    if evidence.stored is not None:
        stored = [seq for seq in evidence.stored if seq > log.start]
        _say(verdict, "in the files, but not replayed", sorted(set(stored) - held))
        _say(verdict, "replayed, but not in the files", sorted(held - set(stored)))
        _say(
            verdict,
            "numbers in the files that do not rise",
            [b for a, b in pairwise(stored) if b <= a],
        )


def _entry(witness: Witness, seq: int) -> str:
    return f"{seq} {witness.entries[seq].data[:60].decode(errors='replace')}"


def _track(evidence: Evidence, track: Track, verdict: Verdict) -> None:
    """One stream: everything of its devices between its start and where it stands, once, or told as gone."""
    witness = evidence.witness
    verdict.faults += [f"{track.name}: {fault}" for fault in track.faults[:SHOWN]]
    if track.start < 0:
        return
    seen = set(track.ids)
    wanted = [
        seq
        for seq, entry in witness.entries.items()
        if track.start < seq <= track.position and track.wanted(entry.device)
    ]
    missed = [seq for seq in wanted if seq not in seen]
    undeclared = [seq for seq in sorted(missed) if not track.covers(seq)]
    _say(verdict, f"{track.name}: missed and not told", [_entry(witness, seq) for seq in undeclared])
    _say(
        verdict,
        f"{track.name}: gaps that no fault explains",
        [gap for gap in track.gaps if gap.reason not in evidence.excuses.gaps],
    )
    verdict.readers.append((track, len(track.ids), len(missed) - len(undeclared)))
