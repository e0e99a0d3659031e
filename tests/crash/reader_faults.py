"""Readers that behave badly, and crowds of them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tests.crash.faults import restart_broker

if TYPE_CHECKING:
    from tests.crash.laboratory import Laboratory
    from tests.crash.watcher import Watcher

STORM = 1000
MANY_FILES = 1100
"""More than the 1,024 that `select` can hold."""


async def stall(lab: Laboratory, rng: random.Random) -> None:
    """Readers that take nothing for a while: some shorter than they are allowed to, some longer, and then are cut."""
    chosen = rng.sample(lab.watchers, 2)
    for watcher in chosen:
        watcher.reading.clear()
    await asyncio.sleep(rng.choice((1, 2, 5)))
    for watcher in chosen:
        watcher.recover()


async def crawl(lab: Laboratory, rng: random.Random) -> None:
    """Readers that take a few bytes at a time."""
    chosen = rng.sample(lab.watchers, 2)
    for watcher in chosen:
        watcher.sip_bytes, watcher.sip_pause_s = rng.choice((1, 100, 2000)), 0.01
    await asyncio.sleep(rng.uniform(1, 3))
    for watcher in chosen:
        watcher.recover()


async def leave_and_return(lab: Laboratory, rng: random.Random) -> None:
    """Readers that close and come back with their last id, again and again."""
    for _ in range(rng.randint(3, 8)):
        for watcher in rng.sample(lab.watchers, 2):
            watcher.leave()
        await asyncio.sleep(rng.uniform(0.05, 0.4))


async def pipeline(lab: Laboratory, rng: random.Random) -> None:
    """Readers that send a second request behind the stream's, and then leave."""
    chosen = rng.sample(lab.watchers, 2)
    for watcher in chosen:
        watcher.pipelines = True
        watcher.leave()
    await asyncio.sleep(rng.uniform(1, 2))
    for watcher in chosen:
        watcher.pipelines = False
        watcher.leave()


async def replay_everything(lab: Laboratory, rng: random.Random) -> None:
    """New readers that begin at the oldest entry while the load goes on."""
    for number in range(rng.randint(2, 6)):
        device = rng.choice(([], ["kitchen/*"], ["d4"], ["d6", "d7", "kitchen/d1"]))
        watcher = lab.watcher(f"replay {number}", device, direct=rng.random() < 0.5)
        watcher.first = "earliest"
        lab.crowd.append(watcher.open())
    await asyncio.sleep(rng.uniform(1, 2))
    await _send_home(lab)


async def reconnect_storm(lab: Laboratory, rng: random.Random) -> None:
    """A thousand readers that all lose their connection and return at once."""
    await _gather_crowd(lab, STORM, rng)
    for watcher in lab.crowd:
        watcher.leave()
    await asyncio.sleep(rng.uniform(1, 2))
    await _send_home(lab)


async def many_files(lab: Laboratory, rng: random.Random) -> None:
    """More than 1,024 open files while the broker restarts."""
    await _gather_crowd(lab, MANY_FILES, rng)
    await restart_broker(lab, rng)
    await asyncio.sleep(1)
    await _send_home(lab)


async def _gather_crowd(lab: Laboratory, size: int, rng: random.Random) -> None:
    begun = lab.recorder.track.position
    crowd = [lab.watcher(f"crowd {number}", [f"crowd/{number % 50}"], direct=True) for number in range(size)]
    for number, watcher in enumerate(crowd):
        watcher.first = str(begun)
        lab.crowd.append(watcher.open())
        if number % 50 == 49:
            await asyncio.sleep(0.02)
    for _ in range(200):
        if sum(watcher.track.start >= 0 for watcher in crowd) > size * 0.95:
            return
        await asyncio.sleep(0.05)


async def _send_home(lab: Laboratory) -> None:
    """Let the crowd get to the head before it goes: its tracks are judged, and forgotten after the round."""
    leaving: list[Watcher] = lab.crowd[:]
    for watcher in leaving:
        await watcher.close()
    lab.finished += [watcher.track for watcher in leaving]
    lab.crowd = [watcher for watcher in lab.crowd if watcher not in leaving]


async def overtake(lab: Laboratory, rng: random.Random) -> None:
    """Retention takes what a slow reader, and a replay that is under way, had not come to yet."""
    replay = lab.watcher("slow replay", [], direct=True, small=True)
    replay.first = "earliest"
    lab.crowd.append(replay)
    chosen = [replay, *rng.sample(lab.watchers, 2)]
    for watcher in chosen:
        watcher.sip_bytes, watcher.sip_pause_s = 500, 0.05
    replay.open()
    await asyncio.sleep(0.5)
    # Not so long that they are cut: they must learn of it in the stream that they have.
    for watcher in chosen:
        watcher.reading.clear()
    await asyncio.sleep(lab.overtaking_s)
    for watcher in chosen:
        watcher.recover()
