from __future__ import annotations

import asyncio

from gateway.stream.bit import Bit


async def test_who_waits_goes_on_when_it_is_set() -> None:
    bit = Bit()
    waiting = asyncio.ensure_future(bit.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    bit.set()
    bit.set()
    await asyncio.wait_for(waiting, 1)
    assert True is bit.is_set()
    await asyncio.wait_for(bit.wait(), 1)


async def test_once_cleared_it_is_waited_for_again() -> None:
    bit = Bit()
    bit.set()
    bit.clear()
    waiting = asyncio.ensure_future(bit.wait())
    await asyncio.sleep(0)
    assert (False, False) == (bit.is_set(), waiting.done())
    bit.set()
    await asyncio.wait_for(waiting, 1)


async def test_a_waiter_that_is_cancelled_leaves_it_usable() -> None:
    bit = Bit()
    waiting = asyncio.ensure_future(bit.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    bit.set()
    await asyncio.wait([waiting])
    assert (True, True) == (waiting.cancelled(), bit.is_set())
    bit.clear()
    again = asyncio.ensure_future(bit.wait())
    await asyncio.sleep(0)
    bit.set()
    await asyncio.wait_for(again, 1)
