"""Runs the series of a seed in a folder of its own; what failed stays there to be looked at."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT
from tests.crash.laboratory import Laboratory, Round
from tests.crash.plan import Series, series
from tests.crash.report import Outcome

MEMORY = Path("/dev/shm")
"""Kept off the disk, which is shared with whatever else runs there. What is written outlives a kill there as anywhere."""


def working_folder() -> Path:
    """A new folder, in memory where there is such a thing."""
    place = MEMORY if MEMORY.is_dir() else None
    return Path(tempfile.mkdtemp(prefix="sensor-gateway-crash-", dir=place))


async def run_series(
    plan: Series, folder: Path, told: Callable[[Outcome], None], *, tree: Path = ROOT, rate: float = 2000
) -> list[Outcome]:
    """All rounds of a series, up to the first that fails."""
    lab = Laboratory(folder, plan.kind, plan.seed, tree=tree, rate=rate)
    outcomes: list[Outcome] = []
    before = Outcome(plan.seed, 0, plan.kind.name, [], 0)
    try:
        await lab.open()
        for number, faults in enumerate(plan.rounds, 1):
            began = time.monotonic()
            rng = random.Random(plan.seed * 1000 + number)
            names = [fault.__name__ for fault in faults]
            outcome = Outcome(plan.seed, number, plan.kind.name, names, 0)
            try:
                done = await lab.round(faults, rng)
            except (RuntimeError, OSError, AssertionError) as error:
                outcome.wrong = [*lab.told, f"the round could not be finished: {error}"]
            else:
                _fill(outcome, done, before, lab)
            outcome.seconds = time.monotonic() - began
            outcomes.append(outcome)
            told(outcome)
            if outcome.wrong:
                (folder / "wrong.txt").write_text("\n".join([outcome.line(), *outcome.wrong]))
                break
    finally:
        await lab.close()
    return outcomes


def _fill(outcome: Outcome, done: Round, before: Outcome, lab: Laboratory) -> None:
    """Counts of this round alone; ``before`` carries those of all rounds so far."""
    verdict = done.verdict
    outcome.wrong = verdict.faults
    outcome.published, outcome.longest_outage_s = verdict.published, done.longest_outage_s
    outcome.gateway_bytes = done.gateway_bytes
    outcome.delivered, outcome.declared_lost = done.delivered, done.declared_lost
    totals = {
        "logged": verdict.logged,
        "broker_lost": verdict.broker_lost, "broker_repeated": verdict.broker_repeated,
        "redelivered": lab.edge.redelivered,
    }  # fmt: skip
    for name, total in totals.items():
        setattr(outcome, name, max(0, total - getattr(before, name)))
        setattr(before, name, total)


def run_seed(seed: int, told: Callable[[Outcome], None], *, tree: Path = ROOT, keep: bool = False) -> list[Outcome]:
    """The series of one seed; its folder goes unless something was wrong."""
    folder = working_folder()
    try:
        outcomes = asyncio.run(run_series(series(seed), folder, told, tree=tree))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not keep and not any(each.wrong for each in outcomes):
        shutil.rmtree(folder, ignore_errors=True)
    elif any(each.wrong for each in outcomes):
        print(f"everything is kept in {folder}")
    return outcomes
