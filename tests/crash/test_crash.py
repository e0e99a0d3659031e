"""The short part of the laboratory, with fixed seeds: every fault once, in a few set-ups. The long one is `make crash`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import need
from tests.crash import clock_faults, disk_faults, faults, hostile, reader_faults
from tests.crash.laboratory import Fault
from tests.crash.plan import EVERYWHERE, ONLY_IN, Series, missing
from tests.crash.report import Outcome
from tests.crash.run import run_series
from tests.crash.settings import SET_UPS

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SHORT: dict[str, list[list[Fault]]] = {
    "plain": [
        [faults.kill_gateway, faults.lose_acknowledgements, reader_faults.leave_and_return, reader_faults.crawl],
        [faults.kill_broker, hostile.fuzz, hostile.flood, clock_faults.clock_steps, faults.cut_readers],
        [reader_faults.many_files],
    ],
    "small": [
        [faults.stop_gateway, faults.lose_deliveries, reader_faults.pipeline, faults.cut_broker_connection],
        [faults.restart_broker, disk_faults.disk_refuses, faults.vanish_readers, reader_faults.stall],
        [disk_faults.refuse_and_kill, faults.slow_broker_connection, reader_faults.reconnect_storm],
    ],
    "retention": [[reader_faults.overtake, faults.kill_both]],
    "damage": [
        [disk_faults.damage_segment, reader_faults.replay_everything, disk_faults.damage_while_running],
        [disk_faults.flip_a_bit_in_the_wal, faults.black_hole_readers, faults.slow_readers],
        [disk_faults.delete_log, faults.black_hole_broker],
    ],
    "disk": [[disk_faults.disk_full], [disk_faults.read_only_folder, clock_faults.clock_is_wrong_at_start]],
    "power": [[disk_faults.power_cut]],
    "process": [[disk_faults.power_cut]],
}
SEED = 1


@pytest.mark.parametrize("name", SHORT)
async def test_nothing_is_lost_repeated_or_hidden(name: str, folder: Path) -> None:
    need("gcc", "gcc")
    kind = SET_UPS[name]
    if why := missing(kind):
        pytest.skip(why)
    outcomes: list[Outcome] = []
    await run_series(Series(SEED, kind, SHORT[name]), folder, outcomes.append)
    assert [] == [(each.faults, each.wrong) for each in outcomes if each.wrong]


def test_the_short_part_meets_every_fault() -> None:
    met = {fault for rounds in SHORT.values() for faults_ in rounds for fault in faults_}
    assert {*EVERYWHERE, *(fault for special in ONLY_IN.values() for fault in special)} == met
