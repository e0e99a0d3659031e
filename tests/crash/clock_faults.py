"""The wall clock, which nobody may trust: it steps back, ahead, and starts in 1970."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from tests.crash.faults import kill_gateway, stop_gateway

if TYPE_CHECKING:
    from tests.crash.laboratory import Laboratory

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


async def clock_steps(lab: Laboratory, rng: random.Random) -> None:
    """While the gateway runs: back an hour, or ahead by a little less than the retention, and back again."""
    assert lab.shim is not None
    lab.excuses.gaps.add("expired")  # a day ahead, everything is a day old
    for ahead_s in rng.choice(((-HOUR_S, 0.0), (HOUR_S, 0.0), (DAY_S, 0.0), (-HOUR_S, HOUR_S))):
        lab.shim.set_clock(ahead_s)
        await asyncio.sleep(rng.uniform(0.5, 1.5))
    lab.shim.set_clock(0)


async def clock_is_wrong_at_start(lab: Laboratory, rng: random.Random) -> None:
    """A start with no network yet: it is 1970, or an hour ago, or tomorrow; later it is right, and there is another start."""
    assert lab.shim is not None
    lab.excuses.gaps.add("expired")
    restart = rng.choice((kill_gateway, stop_gateway))
    lab.shim.set_clock(rng.choice((-time.time(), -HOUR_S, DAY_S)))
    await restart(lab, rng)
    lab.shim.set_clock(0)
    if rng.random() < 0.5:
        await restart(lab, rng)
