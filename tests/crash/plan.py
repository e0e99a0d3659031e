"""Which faults meet in which round: everything that chance decides, from one number. Pure, up to what the machine has."""

from __future__ import annotations

import os
import random
from typing import NamedTuple

from tests.crash import clock_faults, disk_faults, faults, hostile, reader_faults
from tests.crash.laboratory import Fault
from tests.crash.settings import SET_UPS, SetUp
from tests.crash.shim import compiler

EVERYWHERE: tuple[Fault, ...] = (
    faults.kill_gateway,
    faults.stop_gateway,
    faults.kill_broker,
    faults.restart_broker,
    faults.kill_both,
    faults.cut_broker_connection,
    faults.lose_acknowledgements,
    faults.lose_deliveries,
    faults.black_hole_broker,
    faults.slow_broker_connection,
    faults.cut_readers,
    faults.black_hole_readers,
    faults.vanish_readers,
    faults.slow_readers,
    reader_faults.stall,
    reader_faults.crawl,
    reader_faults.leave_and_return,
    reader_faults.pipeline,
    reader_faults.replay_everything,
    reader_faults.reconnect_storm,
    reader_faults.many_files,
    hostile.flood,
    hostile.fuzz,
)

CLOCK: tuple[Fault, ...] = (clock_faults.clock_steps, clock_faults.clock_is_wrong_at_start)

ONLY_IN: dict[str, tuple[Fault, ...]] = {
    "plain": CLOCK,
    "small": (*CLOCK, disk_faults.disk_refuses, disk_faults.refuse_and_kill),
    "retention": (reader_faults.overtake,),
    "damage": (
        disk_faults.damage_segment,
        disk_faults.damage_while_running,
        disk_faults.flip_a_bit_in_the_wal,
        disk_faults.delete_log,
    ),
    "disk": (disk_faults.disk_full, disk_faults.disk_refuses, disk_faults.read_only_folder),
    "power": (disk_faults.power_cut,),
    "process": (disk_faults.power_cut,),
}

MAX_ROUNDS = 5
"""In one set-up; then everything is made afresh."""


def missing(kind: SetUp) -> str:
    """Why a kind of set-up cannot be had here; empty when it can."""
    if kind.disk_bytes and os.geteuid() != 0:
        return "mounting a small file system needs root"
    if (kind.journaled or kind.disk_bytes) and compiler() is None:
        return "a C compiler is missing: apt install gcc libc6-dev"
    return ""


class Series(NamedTuple):
    """One set-up and its rounds, one after the other."""

    seed: int
    kind: SetUp
    rounds: list[list[Fault]]


def series(seed: int) -> Series:
    """The plan that a seed stands for, on a machine that has all it needs."""
    rng = random.Random(seed)
    kind = rng.choice([kind for kind in SET_UPS.values() if not missing(kind)])
    special = [fault for fault in ONLY_IN[kind.name] if compiler() or fault not in NEED_SHIM]
    return Series(seed, kind, [_round(rng, special) for _ in range(rng.randint(1, MAX_ROUNDS))])


NEED_SHIM = {*CLOCK, disk_faults.disk_refuses, disk_faults.refuse_and_kill, disk_faults.power_cut}


def _round(rng: random.Random, special: list[Fault]) -> list[Fault]:
    count = rng.choice((1, 2, 2, 3))
    chosen = [rng.choice(special)] if special and rng.random() < 0.6 else []
    return chosen + rng.sample(EVERYWHERE, count - len(chosen))
