"""Faults of the disk: full, refusing, damaged, deleted, and the power cut."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crash.faults import flowing, serves

if TYPE_CHECKING:
    from tests.crash.laboratory import Laboratory

PAGE_BYTES = 4096
LOSS_WINDOW_S = 15.0
"""What is acknowledged so long before a fault that destroys may be gone: SQLite's write-ahead log reaches the disk at least
every 1,000 pages."""

DETOUR_S = 30.0
"""After such a fault, until the gateway runs again: what it takes over in between is its to keep."""


async def disk_full(lab: Laboratory, rng: random.Random) -> None:
    """Fill the small file system to the last byte for a while."""
    balloon = lab.gateway.data / "balloon"
    lab.is_disk_full = True
    size = shutil.disk_usage(lab.gateway.data).total
    deadline = asyncio.get_running_loop().time() + rng.uniform(1, 3)
    try:
        with balloon.open("wb", buffering=0) as file:
            while asyncio.get_running_loop().time() < deadline:
                # Again and again: what retention frees, the balloon takes.
                with contextlib.suppress(OSError):
                    while file.tell() < size:
                        file.write(bytes(PAGE_BYTES))
                await asyncio.sleep(0.05)
    finally:
        balloon.unlink()
        lab.is_disk_full = False


async def disk_refuses(lab: Laboratory, rng: random.Random) -> None:
    """Every write fails: read-only, an I/O error, full, permission lost; now and then the gateway is killed meanwhile."""
    assert lab.shim is not None
    async with lab.gateway_lock:
        error = rng.choice((errno.EROFS, errno.EIO, errno.ENOSPC, errno.EACCES))
        if error == errno.ENOSPC:
            lab.excuses.gaps.add("expired")  # a full disk takes the oldest segment
        lab.shim.refuse(error)
        await asyncio.sleep(rng.uniform(0.5, 2))
        if rng.random() < 0.4:
            await lab.gateway.end(signal.SIGKILL)
            lab.shim.refuse(0)
            await serves(lab)
    lab.shim.refuse(0)


async def refuse_and_kill(lab: Laboratory, rng: random.Random) -> None:
    """Every write fails, and then the gateway dies: what it showed by then must be in the log."""
    assert lab.shim is not None
    async with lab.gateway_lock:
        lab.shim.refuse(errno.EIO)
        await asyncio.sleep(0.5)
        await lab.gateway.end(signal.SIGKILL)
        lab.shim.refuse(0)
        await serves(lab)


async def read_only_folder(lab: Laboratory, rng: random.Random) -> None:
    """The file system is read-only when the gateway starts: it says so and ends, or waits; then it is mended."""
    async with lab.gateway_lock:
        await lab.gateway.end(rng.choice((signal.SIGKILL, signal.SIGTERM)))
        await _remount(lab, "ro")
        lab.gateway.launch()
        await asyncio.sleep(rng.uniform(1, 2))
        if lab.gateway.is_running:
            await lab.gateway.end(signal.SIGKILL)
        await _remount(lab, "rw")
        await serves(lab)


async def _remount(lab: Laboratory, how: str) -> None:
    process = await asyncio.create_subprocess_exec("mount", "-o", f"remount,{how}", str(lab.gateway.data))
    if await process.wait():
        raise RuntimeError(f"could not remount {how}")


# --- damage ----------------------------------------------------------------------------------------------------------


async def damage_segment(lab: Laboratory, rng: random.Random) -> None:
    """While the gateway is down: a zeroed header, a half of the file, foreign bytes in its pages, or no file at all."""
    async with lab.gateway_lock:
        await lab.gateway.end(rng.choice((signal.SIGKILL, signal.SIGTERM)))
        damage = rng.choice((_zero_header, _cut_in_half, _overwrite_pages))
        await asyncio.to_thread(damage, rng.choice(lab.gateway.segments()), rng)
        _excuse_loss(lab)
        await serves(lab)


async def damage_while_running(lab: Laboratory, rng: random.Random) -> None:
    """Foreign bytes in the pages of a segment that readers may have open."""
    await asyncio.to_thread(_overwrite_pages, rng.choice(lab.gateway.segments()), rng)
    _excuse_loss(lab)
    await asyncio.sleep(0.5)


async def flip_a_bit_in_the_wal(lab: Laboratory, rng: random.Random) -> None:
    """Of the newest segment, which kill -9 left with a write-ahead log."""
    async with lab.gateway_lock:
        await lab.gateway.end(signal.SIGKILL)
        newest = lab.gateway.segments()[-1]
        await asyncio.to_thread(_flip_bit, newest.with_name(newest.name + "-wal"), rng)
        _excuse_loss(lab)
        await serves(lab)


async def delete_log(lab: Laboratory, rng: random.Random) -> None:
    """Delete all segments, or the newest; what is known of devices stays."""
    async with lab.gateway_lock:
        await lab.gateway.end(rng.choice((signal.SIGKILL, signal.SIGTERM)))
        everything = rng.random() < 0.5
        newest = lab.gateway.segments()[-1].name
        for path in lab.gateway.log_folder.iterdir():
            if everything or path.name.startswith(newest):
                path.unlink()
        _excuse_loss(lab)
        await serves(lab)


def _excuse_loss(lab: Laboratory) -> None:
    now = asyncio.get_running_loop().time()
    lab.excuses.lost_between.append((0.0, now))


def _zero_header(path: Path, rng: random.Random) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def _cut_in_half(path: Path, rng: random.Random) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _overwrite_pages(path: Path, rng: random.Random) -> None:
    pages = max(1, path.stat().st_size // PAGE_BYTES)
    with path.open("r+b") as file:
        for _ in range(rng.randint(1, 4)):
            file.seek(rng.randrange(pages) * PAGE_BYTES)
            file.write(rng.randbytes(PAGE_BYTES))


def _flip_bit(path: Path, rng: random.Random) -> None:
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("r+b") as file:
        place = rng.randrange(path.stat().st_size)
        file.seek(place)
        byte = file.read(1)[0] ^ (1 << rng.randrange(8))
        file.seek(place)
        file.write(bytes([byte]))


# --- power -----------------------------------------------------------------------------------------------------------


async def power_cut(lab: Laboratory, rng: random.Random) -> None:
    """The gateway's machine loses its power: only what was fsynced is there when it starts again. The broker goes on."""
    assert lab.shim is not None
    async with lab.gateway_lock:
        await flowing(lab)
        await lab.gateway.end(signal.SIGKILL)
        if lab.kind.settings.get("log.durability") != "power":
            now = asyncio.get_running_loop().time()
            lab.excuses.lost_between.append((now - LOSS_WINDOW_S, now))
        await asyncio.to_thread(lab.shim.cut_power, rng)
        await asyncio.sleep(rng.uniform(0, 0.5))
        await serves(lab)
