"""Runs that belong together: servers in turn, several times, so that a ratio is always of one round."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bench import load
from tests.bench.load import Result
from tests.bench.machine import QUIET_SHARE, busiest, load_average, used_by_others
from tests.bench.peers.floor import Floor
from tests.bench.peers.gateway import Gateway
from tests.bench.peers.mosquitto import MosquittoWebSocket
from tests.bench.peers.nchan import Nchan
from tests.bench.peers.quart import QuartQueues
from tests.bench.peers.server import Server
from tests.bench.peers.starlette import SseStarlette

Make = Callable[[Path], Server]

OURS = Gateway.name
PEERS: dict[str, Make] = {
    each.name: each for each in (Gateway, Nchan, MosquittoWebSocket, SseStarlette, QuartQueues, Floor)
}
PATIENCE_S = 60.0
"""How long `--wait` waits for others before each run."""


@dataclass(frozen=True)
class Extent:
    """How much is measured: ``runs`` of each row, ``seconds`` of each run; ``peers`` beside the gateway."""

    runs: int = 3
    seconds: float = 4.0
    peers: tuple[str, ...] = tuple(PEERS)
    wait: bool = False

    def servers(self, *names: str) -> dict[str, Make]:
        """The servers that take part, of those named, or of all."""
        return {name: PEERS[name] for name in names or PEERS if name in self.peers}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder on a real disk for one run."""
    with tempfile.TemporaryDirectory(prefix="sensor-gateway-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def tell_load(what: str, wait: bool = False) -> None:
    """Show the load average before a run, and warn when something else runs; with ``wait``, give it a minute to go."""
    deadline = time.monotonic() + PATIENCE_S
    others = used_by_others()
    while wait and others > QUIET_SHARE and time.monotonic() < deadline:
        others = used_by_others()
    busiest.append(others)
    warning = "  WARNING: something else runs, this figure is worth little" if others > QUIET_SHARE else ""
    print(f"    {what}: load average {load_average():.2f}, others use {others:.0%} of a core{warning}", flush=True)


def in_turn(extent: Extent, servers: dict[str, Make], **options: Any) -> list[dict[str, Result]]:
    """Each round is a result by server; a server that is not installed, or fails, is missing from it."""
    rounds = []
    for number in range(extent.runs):
        found = {}
        for name, make in servers.items():
            tell_load(f"run {number + 1} of {extent.runs}, {name}", extent.wait)
            if result := one(make, **options):
                found[name] = result
        rounds.append(found)
    return rounds


def one(make: Make, **options: Any) -> Result | None:
    """One server, one run of the generator."""
    try:
        with folder() as place, make(place) as server:
            return load.run(**{**server.options(), **options})
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        print(f"    left out: {missing}", flush=True)
    except (AssertionError, subprocess.SubprocessError) as failed:
        print(f"    failed: {str(failed)[-500:]}", flush=True)
    return None
