"""Wear of the storage: what a day of a hundred devices writes, by setting; all settings side by side on the same readings."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.machine import LOAD_CORE, written_bytes
from tests.bench.peers.gateway import Broker, Gateway
from tests.bench.peers.server import end, start_on
from tests.bench.report import Report, short
from tests.bench.runs import Extent, folder, tell_load
from tests.conftest import ROOT

DEVICES, RATE = 100, 1.0
DAY_S = 86_400
SETTLE_S = 20.0
MINIMUM_S = 120.0
"""Checkpoints come once in one or two minutes: a shorter run would see none, or one too many."""

BUDGET = 10**9
BUDGET_DEADLINE_S = 3600.0
BUDGET_STEPS_S = 10.0

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    'durability = "power"': {"log.durability": "power"},
    "commit_interval_ms = 200": {"log.commit_interval_ms": 200},
    "commit_interval_ms = 200, power": {"log.commit_interval_ms": 200, "log.durability": "power"},
    "commit_interval_ms = 1000": {"log.commit_interval_ms": 1000},
    "commit_interval_ms = 1000, power": {"log.commit_interval_ms": 1000, "log.durability": "power"},
    "commit_interval_ms = 5000": {"log.commit_interval_ms": 5000},
    "commit_interval_ms = 5000, power": {"log.commit_interval_ms": 5000, "log.durability": "power"},
    "a budget of 1 GB": {"log.write_budget_bytes_per_day": BUDGET},
    "a budget of 1 GB, power": {"log.write_budget_bytes_per_day": BUDGET, "log.durability": "power"},
}
WITH_BUDGET = [name for name, values in SETTINGS.items() if "log.write_budget_bytes_per_day" in values]


class _Totals(NamedTuple):
    at_s: float
    counted: float
    arguments: int
    pages: int
    fsyncs: float
    readings: float
    commits: float


def wear(extent: Extent) -> Report:
    """Gigabytes and fsyncs a day of 100 devices at 1 Hz, by setting; waits until a budget has found its interval."""
    report, seconds = Report("wear"), max(MINIMUM_S, extent.seconds)
    tell_load("wear", extent.wait)
    with folder() as place, _running(place) as gateways:
        for name in WITH_BUDGET:
            _wait_for_longest(gateways[name])
        time.sleep(SETTLE_S)
        before = {name: _totals(gateway) for name, gateway in gateways.items()}
        time.sleep(seconds)
        after = {name: _totals(gateway) for name, gateway in gateways.items()}
    report.say(
        f"{DEVICES} simulated devices at {RATE:g} Hz on mosquitto, all settings at once, measured for {seconds:g} s "
        "and projected to a day."
    )
    head = (
        "setting", "GB a day, counted", "GB a day, disk pages", "fsyncs a day", "bytes a reading", "readings a commit",
        "counted of real",
    )  # fmt: skip
    report.table(head, [[name, *_row(before[name], after[name])] for name in SETTINGS])
    return report


@contextlib.contextmanager
def _running(place: Path) -> Iterator[dict[str, Gateway]]:
    with contextlib.ExitStack() as stack:
        broker = Broker(place)
        broker.start()
        stack.callback(broker.stop)
        gateways = {}
        for number, (name, values) in enumerate(SETTINGS.items()):
            home = place / str(number)
            home.mkdir()
            gateways[name] = Gateway(home, is_fed=True, **values)
            gateways[name].publish_port = broker.port
            stack.enter_context(gateways[name])
        stack.callback(end, _simulator(place, broker.port))
        yield gateways


def _simulator(place: Path, port: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "gateway", "simulate", "--broker", f"mqtt://127.0.0.1:{port}", "--qos", "1"]
    words += ["--devices", str(DEVICES), "--rate", str(RATE)]
    return start_on(LOAD_CORE, ["env", f"PYTHONPATH={ROOT}", *words], place, "simulator.log")


def _wait_for_longest(gateway: Gateway) -> None:
    deadline = time.monotonic() + BUDGET_DEADLINE_S
    while gateway.counter("commit_interval_ms") < 10_000:
        assert time.monotonic() < deadline, "the budget did not find its interval"
        time.sleep(BUDGET_STEPS_S)


def _totals(gateway: Gateway) -> _Totals:
    counted = gateway.counter("log_written_bytes_total")
    pages, arguments = written_bytes(gateway.pid)
    rest = (gateway.counter(name) for name in ("log_fsyncs_total", "entries_total", "commits_total"))
    return _Totals(time.monotonic(), counted, arguments, pages, *rest)


def _row(before: _Totals, after: _Totals) -> list[str]:
    took, counted, arguments, pages, fsyncs, readings, commits = (
        end_ - begin for begin, end_ in zip(before, after, strict=True)
    )
    days = took / DAY_S
    return [
        short(counted / days / 1e9), short(pages / days / 1e9), f"{fsyncs / days:,.0f}", short(counted / readings),
        short(readings / commits), f"{counted / arguments:.1%}",
    ]  # fmt: skip
