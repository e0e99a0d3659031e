"""A laboratory that finds nothing proves nothing: five broken gateways must fail in it, and the sound one pass."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conftest import need
from tests.crash.laboratory import Fault, Laboratory
from tests.crash.mutants import FASTER_RETENTION, MUTANTS, Change, Mutant, tree_with
from tests.crash.settings import SET_UPS

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROUNDS = 3
"""A mutant may be lucky once: an instant has to be hit."""


async def found(
    folder: Path, changes: tuple[Change, ...], kind: str, faults: tuple[Fault, ...], rounds: int
) -> list[str]:
    """What the laboratory finds in a gateway changed so."""
    need("gcc", "gcc")
    lab = Laboratory(folder, SET_UPS[kind], 1, tree=tree_with((*changes, FASTER_RETENTION), folder))
    lab.overtaking_s = 4
    try:
        await lab.open()
        for number in range(rounds):
            done = await lab.round(list(faults), random.Random(number))
            if done.verdict.faults:
                return done.verdict.faults
    finally:
        await lab.close()
    return []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
async def test_a_mutant_is_found(mutant: Mutant, folder: Path) -> None:
    assert await found(folder, mutant.changes, mutant.kind, mutant.faults, ROUNDS)


@pytest.mark.parametrize("kind", sorted({mutant.kind for mutant in MUTANTS}))
async def test_the_sound_gateway_passes_what_the_mutants_fail(kind: str, folder: Path) -> None:
    faults = tuple(fault for mutant in MUTANTS if mutant.kind == kind for fault in mutant.faults)
    assert [] == await found(folder, (), kind, faults, 1)


def test_a_mutation_that_changes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds 0 times"):
        tree_with((Change("service.py", "no such line", ""),), tmp_path)
