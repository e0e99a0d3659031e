"""How cost grows: with streams, devices, readings a second and history, as curves beside the peers'."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.bench.load import Result
from tests.bench.peers.mosquitto import MosquittoWebSocket
from tests.bench.peers.nchan import Nchan
from tests.bench.peers.starlette import SseStarlette
from tests.bench.plot import plot
from tests.bench.report import Report, median, short
from tests.bench.runs import OURS, Extent, in_turn

STREAMS = (10, 100, 1000, 5000)
DEVICES = (1, 100, 1000, 10_000)
RATES = (10, 100, 1000, 10_000, 100_000)
PEERS = (OURS, Nchan.name, MosquittoWebSocket.name, SseStarlette.name)
FEW = 10
"""Streams of the curve over readings/s: a million events a second at its end, which the generator can take."""

Curves = dict[str, list[tuple[float, float]]]


def growth(extent: Extent) -> Report:
    """Curves over streams 10 to 5,000, devices 1 to 10,000, readings/s 10 to 100,000; over history: see `first-byte`."""
    report = Report("growth")
    # The shape is what is looked at: one run a point.
    extent = replace(extent, runs=1)
    report.say(f"One run of {extent.seconds:g} s for each point.")
    _streams(report, extent)
    _devices(report, extent)
    _rates(report, extent)
    return report


def _curves(
    extent: Extent, sizes: Iterable[float], options: Callable[[Any], dict[str, Any]], value: Callable[[Result], float]
) -> Curves:
    """The median of a value at each size, for each server that still serves there."""
    curves: Curves = defaultdict(list)
    servers = extent.servers(*PEERS)
    misses = dict.fromkeys(servers, 0)
    for size in sizes:
        print(f"  at {size:,}:", flush=True)
        common = {"seconds": extent.seconds, "warm": 1, "drain": 1}
        rounds = in_turn(extent, servers, **{**common, **options(size)})
        for name in list(servers):
            results = [each[name] for each in rounds if name in each and each[name]["delivered"]]
            if results and (middle := median(map(value, results))):
                curves[name].append((float(size), middle))
                misses[name] = 0
            else:
                misses[name] += 1
            if misses[name] > 1:
                del servers[name]  # its curve has ended; one point may be missing by an accident
    return curves


def add_curves(report: Report, name: str, title: str, across: str, up: str, curves: Curves) -> None:
    sizes = sorted({x for points in curves.values() for x, _ in points})
    rows = [
        [name_, *(short(dict(points)[x]) if x in dict(points) else "-" for x in sizes)]
        for name_, points in curves.items()
    ]
    report.say("", f"{title}: {up} by {across}.")
    report.table((across, *(f"{x:,.0f}" for x in sizes)), rows)
    report.plot(f"{name}.svg", title, plot(title, across, up, curves))


def _streams(report: Report, extent: Extent) -> None:
    curves = _curves(
        extent, STREAMS, lambda n: {"streams": n, "devices": 1, "rate": 10}, lambda result: result.cpu_us_per_event
    )
    add_curves(report, "streams", "One device, 10 readings/s", "streams", "CPU µs per event", curves)


def _devices(report: Report, extent: Extent) -> None:
    def options(devices: int) -> dict[str, Any]:
        return {"streams": 500, "devices": devices, "rate": 1000, "warm": max(1, 2 * devices / 1000)}

    curves = _curves(extent, DEVICES, options, lambda r: r["server_cpu_us"] / max(1, r["published"]))
    add_curves(report, "devices", "500 streams by devices, 1,000 readings/s", "devices", "CPU µs per reading", curves)


def _rates(report: Report, extent: Extent) -> None:
    """Where a server falls behind its curve ends: the latency would only be the length of the run."""

    def p99_ms(result: Result) -> float:
        keeps_up = result["delivered"] >= 0.9 * result["published"] * FEW
        return result["p99_us"] / 1000 if keeps_up else 0.0

    curves = _curves(extent, RATES, lambda rate: {"streams": FEW, "devices": 1, "rate": rate}, p99_ms)
    add_curves(report, "readings", f"One device, {FEW} streams", "readings/s", "p99 ms", curves)
