"""The table: what each fault was met with, and what came of it."""

from __future__ import annotations

import platform
import re
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.conftest import ROOT

PAGE = ROOT / "docs/reliability.md"
MARKS = re.compile(r"(<!-- crash table -->\n).*?(<!-- end -->)", re.DOTALL)


def machine() -> str:
    """Date, machine and versions."""
    information = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", information)
    cores = len(re.findall(r"^processor", information, re.MULTILINE))
    return (
        f"{time.strftime('%Y-%m-%d')}, {cores} cores of {model[1] if model else platform.machine()}, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


@dataclass
class Outcome:
    """One round, as it is handed from the process that ran it."""

    seed: int
    number: int
    kind: str
    faults: list[str]
    seconds: float
    published: int = 0
    logged: int = 0
    delivered: int = 0
    declared_lost: int = 0
    broker_lost: int = 0
    broker_repeated: int = 0
    redelivered: int = 0
    longest_outage_s: float = 0
    gateway_bytes: int = 0
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For people who watch it run."""
        mark = "FAILED" if self.wrong else "ok"
        return (
            f"seed {self.seed} round {self.number} {self.kind}: {', '.join(self.faults)}: {mark}, "
            f"{self.published} published, {self.logged} logged, {self.delivered} delivered, "
            f"{self.declared_lost} declared lost, outage {self.longest_outage_s:.1f} s, {self.seconds:.0f} s"
        )

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def table(outcomes: Iterable[Outcome]) -> str:
    """Markdown: one row for each fault, in rounds in which it alone or with others was at work, and one for all."""
    outcomes = list(outcomes)
    rows = [
        "| fault | rounds | published | logged | delivered | declared lost | longest outage |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    names = sorted({name for outcome in outcomes for name in outcome.faults})
    rows += [_row(name.replace("_", " "), [each for each in outcomes if name in each.faults]) for name in names]
    rows.append(_row("**all**", outcomes))
    return "\n".join(rows) + "\n"


def _row(name: str, outcomes: list[Outcome]) -> str:
    counts = [
        sum(getattr(each, key) for each in outcomes) for key in ("published", "logged", "delivered", "declared_lost")
    ]
    outage = max((each.longest_outage_s for each in outcomes), default=0)
    return f"| {name} | {len(outcomes)} | {' | '.join(map(str, counts))} | {outage:.1f} s |"


def summary(outcomes: list[Outcome], first_seed: int) -> str:
    """The table with what one must know to read it, and to run it again."""
    wrong = sum(bool(each.wrong) for each in outcomes)
    redelivered = sum(each.redelivered for each in outcomes)
    lost, repeated = (sum(getattr(each, key) for each in outcomes) for key in ("broker_lost", "broker_repeated"))
    seeds = sorted({each.seed for each in outcomes})
    memory = max((each.gateway_bytes for each in outcomes), default=0) / 1e6
    return (
        f"{machine()}.\n"
        f"{len(outcomes)} rounds, {len(outcomes) - wrong} passed; seeds {first_seed} to {max(seeds, default=first_seed)}.\n"
        f"Messages that the broker sent again: {redelivered}; logged twice of them: 0 in every round that passed.\n"
        f"Lost by the broker itself when it was killed or restarted: {lost}; repeated by it or by a publisher as new "
        f"messages: {repeated}.\n"
        f"Most memory of the gateway at its worst moment: {memory:.0f} MB.\n\n"
        f"{table(outcomes)}"
    )


def write(text: str) -> None:
    """Put the summary into docs/reliability.md."""
    page = PAGE.read_text()
    PAGE.write_text(MARKS.sub(lambda found: found[1] + text + found[2], page))
