"""The laboratory's own parts: what they take for granted about themselves."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import need
from tests.crash.plan import EVERYWHERE, ONLY_IN, series
from tests.crash.proxy import Proxy
from tests.crash.report import Outcome, table
from tests.crash.shim import Change, Disk, Shim
from tests.crash.sse import Blocks, Body, WireError, parse


def test_a_block_is_read_by_its_lines() -> None:
    assert (b"gap", 7, b'{"a":1}', None) == parse(b'event: gap\nid: 7\ndata: {"a":1}')


@pytest.mark.parametrize("text", [b"id: 7\rdata: x", b"<script>", b"id: x", b"retry: -1", b"datum: 1"])
def test_what_the_gateway_has_no_reason_to_send_is_a_fault(text: bytes) -> None:
    with pytest.raises(WireError):
        parse(text)


def test_blocks_and_chunks_may_be_cut_anywhere() -> None:
    whole = b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"
    sent = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (10, whole[:10], len(whole) - 10, whole[10:])
    for size in range(1, len(sent)):
        body, blocks = Body(chunked=True), Blocks()
        pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
        found = [block.id for piece in pieces for block in blocks.feed(body.feed(piece))]
        assert [1, 2] == found
        assert body.ended


async def test_a_proxy_forwards_holds_back_and_cuts() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1")
    proxy = Proxy(server.sockets[0].getsockname()[1])
    proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"one")
    assert b"one" == await reader.read(10)
    proxy.valves["down"].clear()
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(10), 0.1)
    proxy.heal()
    assert b"two" == await reader.read(10)
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.read(10)
    writer.close()
    await proxy.close()
    server.close()


def disk_after(*made: Change) -> dict[str, bytes]:
    disk = Disk(random.Random(1))
    disk._keeps_some = False
    for change in made:
        disk.apply(change)
    return disk.survivors(random.Random(1))


def test_only_what_was_synced_survives_a_power_cut() -> None:
    survived = disk_after(
        Change("o", 1, 0, "/d/a", b""), Change("w", 1, 0, "", b"safe"), Change("s", 1, 0, "", b""),
        Change("w", 1, 4, "", b"gone"), Change("o", 2, 0, "/d/b", b""), Change("w", 2, 0, "", b"never synced"),
    )  # fmt: skip
    assert {"/d/a": b"safe"} == survived


def test_a_name_is_as_safe_as_its_folder() -> None:
    file = (Change("o", 1, 0, "/d/a", b""), Change("w", 1, 0, "", b"x"), Change("s", 1, 0, "", b""))
    renamed = Change("r", 0, 0, "/d/a", b"/d/b")
    assert ["/d/a"] == list(disk_after(*file, renamed))
    folder = (Change("d", 9, 0, "/d", b""), Change("s", 9, 0, "", b""))
    assert ["/d/b"] == list(disk_after(*file, renamed, *folder))
    assert ["/d/a"] == list(disk_after(*file, Change("u", 0, 0, "/d/a", b"")))
    assert [] == list(disk_after(*file, Change("u", 0, 0, "/d/a", b""), *folder))


SCRIPT = """
import os, sys, time
print(time.time())
file = os.open(sys.argv[1] + "/file", os.O_CREAT | os.O_RDWR)
os.write(file, b"synced")
os.fsync(file)
try:
    os.pwrite(file, b" and not", 6)
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize("error", [0, errno.EIO])
def test_the_shim_sets_the_clock_refuses_and_forgets(tmp_path: Path, error: int) -> None:
    need("gcc", "gcc")
    data = tmp_path / "data"
    data.mkdir()
    shim = Shim(tmp_path, data, journaled=True)
    shim.set_clock(-time.time() + 1000)
    script = SCRIPT.replace("os.fsync(file)", "os.fsync(file); input()" if error else "os.fsync(file)")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(data)], stdout=subprocess.PIPE, stdin=subprocess.PIPE,
        env={**os.environ, **shim.environment},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert 990 < float(process.stdout.readline()) < 1100
        if error:
            time.sleep(0.2)
            shim.refuse(error)
        told, _ = process.communicate(b"\n")
    assert (str(error) if error else "") == told.decode().strip()
    shim.refuse(0)
    disk_rng = next(rng for rng in map(random.Random, range(50)) if not Disk(random.Random(rng.random()))._keeps_some)
    shim.cut_power(disk_rng)
    assert (data / "file").read_bytes().startswith(b"synced")


def test_a_seed_stands_for_one_plan() -> None:
    assert series(7) == series(7)
    assert len({tuple(fault.__name__ for faults in series(seed).rounds for fault in faults) for seed in range(30)}) > 20


def test_many_seeds_meet_every_fault() -> None:
    met = {fault for seed in range(400) for faults in series(seed).rounds for fault in faults}
    kinds = {series(seed).kind.name for seed in range(100)}
    assert {*EVERYWHERE, *(fault for kind in kinds for fault in ONLY_IN[kind])} == met


def test_the_table_has_a_row_for_each_fault_and_one_for_all() -> None:
    one = Outcome(1, 1, "plain", ["kill_gateway", "stall"], 5, 100, 90, 300, 2, longest_outage_s=1.5)
    text = table([one, Outcome(2, 1, "plain", ["stall"], 5, 10, 10, 30)])
    assert "| kill gateway | 1 | 100 | 90 | 300 | 2 | 1.5 s |" in text
    assert "| stall | 2 | 110 | 100 | 330 | 2 | 1.5 s |" in text
    assert "| **all** | 2 | 110 | 100 | 330 | 2 | 1.5 s |" in text
