"""Faults of processes and connections. Each leaves the parts running, or lets `Laboratory.heal` see to it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from typing import TYPE_CHECKING

from tests.crash.http import get

if TYPE_CHECKING:
    from tests.crash.laboratory import Laboratory

SERVES_TIMEOUT_S = 60.0
STOP_LIMIT_S = 5.0
FLOWING_TIMEOUT_S = 3.0


async def serves(lab: Laboratory) -> None:
    """Start the gateway and wait until it serves; whether it reaches the broker is not its fault here."""
    deadline = asyncio.get_running_loop().time() + SERVES_TIMEOUT_S
    lab.gateway.launch()
    while asyncio.get_running_loop().time() < deadline:
        with contextlib.suppress(OSError):
            await get(lab.gateway.port, "/healthz", 2)
            return
        await asyncio.sleep(0.03)
        if not lab.gateway.is_running:
            if not lab.is_disk_full:
                break
            # As a service manager would: a disk without room for anything lets no gateway begin.
            await asyncio.sleep(0.3)
            lab.gateway.launch()
    raise RuntimeError(f"the gateway does not serve:\n{lab.gateway.said()[-2000:]}")


async def flowing(lab: Laboratory) -> None:
    """Wait, not for long, until entries come: an instant of a gateway that does nothing is no test."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FLOWING_TIMEOUT_S
    while loop.time() - lab.recorder.last_entry_at > 0.03 and loop.time() < deadline:  # noqa: ASYNC110 - a time, no event
        await asyncio.sleep(0.003)


# --- processes -------------------------------------------------------------------------------------------------------


async def kill_gateway(lab: Laboratory, rng: random.Random) -> None:
    """Kill -9, and start again, once or twice; sometimes in the middle of its start."""
    async with lab.gateway_lock:
        for _ in range(rng.choice((1, 1, 2))):
            await flowing(lab)
            await asyncio.sleep(rng.uniform(0, 0.05))
            await lab.gateway.end(signal.SIGKILL)
            await asyncio.sleep(rng.choice((0, 0.3, 1)))
            if rng.random() < 0.3:
                lab.gateway.launch()
                await asyncio.sleep(rng.uniform(0.05, 1))
                await lab.gateway.end(signal.SIGKILL)
            await serves(lab)
            await asyncio.sleep(rng.uniform(0.1, 1))


async def stop_gateway(lab: Laboratory, rng: random.Random) -> None:
    """SIGTERM under load."""
    async with lab.gateway_lock:
        code = await lab.gateway.end(signal.SIGTERM, STOP_LIMIT_S)
        if code:
            lab.told.append(f"exit code {code} after SIGTERM")
        await asyncio.sleep(rng.uniform(0, 0.5))
        await serves(lab)


async def kill_broker(lab: Laboratory, rng: random.Random) -> None:
    """Kill -9 of mosquitto, which keeps what it saved."""
    async with lab.broker_lock:
        await lab.broker.end(signal.SIGKILL)
        lab.excuses.broker_killed_at.append(asyncio.get_running_loop().time())
        lab.excuses.broker_stopped_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(rng.uniform(0, 0.8))
        await lab.broker.start()


async def restart_broker(lab: Laboratory, rng: random.Random) -> None:
    """SIGTERM to mosquitto, and a new start."""
    async with lab.broker_lock:
        await lab.broker.end(signal.SIGTERM)
        lab.excuses.broker_stopped_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(rng.uniform(0, 0.5))
        await lab.broker.start()


async def kill_both(lab: Laboratory, rng: random.Random) -> None:
    """Gateway and broker at once."""
    await asyncio.gather(kill_gateway(lab, rng), kill_broker(lab, rng))


# --- connections to the broker ---------------------------------------------------------------------------------------


async def cut_broker_connection(lab: Laboratory, rng: random.Random) -> None:
    """Reset, a few times."""
    for _ in range(rng.randint(1, 4)):
        lab.broker_proxy.cut()
        await asyncio.sleep(rng.uniform(0.1, 0.8))


async def lose_acknowledgements(lab: Laboratory, rng: random.Random) -> None:
    """Half open: messages still come, PUBACKs no longer arrive; then the connection is cut and all are sent again."""
    lab.broker_proxy.valves["up"].clear()
    await asyncio.sleep(rng.uniform(0.2, 1))
    lab.broker_proxy.cut()
    lab.broker_proxy.heal()


async def lose_deliveries(lab: Laboratory, rng: random.Random) -> None:
    """Half open the other way."""
    lab.broker_proxy.valves["down"].clear()
    await asyncio.sleep(rng.uniform(0.2, 1))
    if rng.random() < 0.5:
        lab.broker_proxy.cut()
    lab.broker_proxy.heal()


async def black_hole_broker(lab: Laboratory, rng: random.Random) -> None:
    """Nothing passes, and nobody is told; long enough now and then for the keepalive to end it."""
    for valve in lab.broker_proxy.valves.values():
        valve.clear()
    await asyncio.sleep(rng.choice((1, 2, 8)))
    lab.broker_proxy.heal()


async def slow_broker_connection(lab: Laboratory, rng: random.Random) -> None:
    """A bad line: late, or thin."""
    lab.broker_proxy.delay_s = rng.choice((0.0, 0.05, 0.2))
    lab.broker_proxy.bytes_per_s = rng.choice((0, 20_000))
    await asyncio.sleep(rng.uniform(1, 2))
    lab.broker_proxy.heal()


# --- connections of readers ------------------------------------------------------------------------------------------


async def cut_readers(lab: Laboratory, rng: random.Random) -> None:
    """Reset every stream through the readers' proxy, a few times."""
    for _ in range(rng.randint(1, 4)):
        lab.reader_proxy.cut()
        await asyncio.sleep(rng.uniform(0.1, 0.8))


async def black_hole_readers(lab: Laboratory, rng: random.Random) -> None:
    """A network that swallows everything, or one direction, for a while."""
    for direction in rng.choice((("up", "down"), ("down",))):
        lab.reader_proxy.valves[direction].clear()
    await asyncio.sleep(rng.choice((1, 2, 5)))
    lab.reader_proxy.heal()


async def vanish_readers(lab: Laboratory, rng: random.Random) -> None:
    """Readers that are gone without FIN: their connections stay open and take nothing, and they come back on new ones."""
    lab.reader_proxy.forget()
    for watcher in lab.watchers:
        if watcher.port == lab.reader_proxy.port:
            watcher.leave()
    await asyncio.sleep(rng.uniform(0.5, 1))


async def slow_readers(lab: Laboratory, rng: random.Random) -> None:
    """A thin line to the readers."""
    lab.reader_proxy.bytes_per_s = rng.choice((5_000, 50_000))
    await asyncio.sleep(rng.uniform(1, 3))
    lab.reader_proxy.heal()
