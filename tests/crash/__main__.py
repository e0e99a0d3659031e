"""``python -m tests.crash --rounds 200 --seed 1``: mixed faults until a round fails, and a table."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from tests.conftest import ROOT
from tests.crash.plan import SET_UPS, missing
from tests.crash.processes import die_with_parent
from tests.crash.report import Outcome, summary, write
from tests.crash.run import run_seed

MAX_JOBS = 2


@click.command()
@click.option("--rounds", default=200, show_default=True, help="How many, about: a series is not broken off.")
@click.option("--seed", default=1, show_default=True, help="The first series' seed; the next ones count up.")
@click.option(
    "--jobs", type=click.IntRange(1, MAX_JOBS), default=MAX_JOBS, show_default=True, help="Series side by side."
)
@click.option("--series", "only", type=int, help="Run one series again, as a failure tells.")
@click.option(
    "--tree", type=click.Path(path_type=Path), default=ROOT, help="Take the gateway from another source tree."
)
@click.option("--go-on", is_flag=True, help="Do not stop at the first failure.")
@click.option("--write", "writes", is_flag=True, help="Put the table into docs/reliability.md.")
@click.option("--json", "as_json", is_flag=True, hidden=True)
def main(
    rounds: int, seed: int, jobs: int, only: int | None, tree: Path, go_on: bool, writes: bool, as_json: bool
) -> None:
    """Break things, and look whether the guarantees hold."""
    if only is not None:
        outcomes = run_seed(only, _tell_json if as_json else _tell, tree=tree)
        sys.exit(any(each.wrong for each in outcomes))
    for kind in SET_UPS.values():
        if why := missing(kind):
            print(f"left out: {kind.name} ({why})")
    outcomes = asyncio.run(Runner(rounds, seed, tree, go_on=go_on).run(jobs))
    text = summary(outcomes, seed)
    print("\n" + text)
    if writes:
        write(text)
    sys.exit(any(each.wrong for each in outcomes))


def _tell(outcome: Outcome) -> None:
    print(outcome.line(), flush=True)
    for wrong in outcome.wrong:
        print(f"  {wrong}", flush=True)


def _tell_json(outcome: Outcome) -> None:
    print(json.dumps(outcome.to_json()), flush=True)


class Runner:
    """Series after series, each in a process of its own, until enough rounds were run or one failed."""

    def __init__(self, rounds: int, seed: int, tree: Path, *, go_on: bool) -> None:
        self._rounds, self._seed, self._tree, self._go_on = rounds, seed, tree, go_on
        self.outcomes: list[Outcome] = []

    @property
    def _is_over(self) -> bool:
        failed = any(each.wrong for each in self.outcomes)
        return len(self.outcomes) >= self._rounds or (failed and not self._go_on)

    async def run(self, jobs: int) -> list[Outcome]:
        """All outcomes, by seed."""
        await asyncio.gather(*(self._work() for _ in range(jobs)))
        return sorted(self.outcomes, key=lambda each: (each.seed, each.number))

    async def _work(self) -> None:
        while not self._is_over:
            seed, self._seed = self._seed, self._seed + 1
            await self._one(seed)

    async def _one(self, seed: int) -> None:
        command = [sys.executable, "-m", "tests.crash", "--series", str(seed), "--tree", str(self._tree), "--json"]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT, limit=2**24, preexec_fn=die_with_parent
        )
        assert process.stdout is not None
        async for line in process.stdout:
            if line.startswith(b"{"):
                outcome = Outcome(**json.loads(line))
                self.outcomes.append(outcome)
                _tell(outcome)
                if outcome.wrong:
                    print(f"  again: python -m tests.crash --series {seed}", flush=True)
            else:
                print(f"  {line.decode().rstrip()}", flush=True)
        code = await process.wait()
        failed = any(each.wrong for each in self.outcomes if each.seed == seed)
        if code != failed:
            raise RuntimeError(f"the process of series {seed} ended with {code}")


main()
