"""Replay: 10,000 entries from memory and from segments, and how soon the first one comes."""

from __future__ import annotations

from pathlib import Path

from tests.bench import load
from tests.bench.filled import ROOM, drop_cache, fill, read_bytes
from tests.bench.growth import Curves
from tests.bench.load import Result
from tests.bench.peers.gateway import Gateway
from tests.bench.peers.nchan import Nchan
from tests.bench.peers.server import Server
from tests.bench.plot import plot
from tests.bench.report import Report, median, short
from tests.bench.runs import OURS, Extent, folder, tell_load
from tests.conftest import wait_until

ENTRIES = 10_000
MANY = 50
SINGLE = 5
MILLION, DEVICES = 1_000_000, 100
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
FIRSTS = 200


def replay(extent: Extent) -> Report:
    """10,000 entries of one device: from memory, beside Nchan; and from segments, one of 100 devices in a million entries."""
    report = Report("replay")
    rounds = [{name: _from_memory(name, extent) for name in (OURS, Nchan.name)} for _ in range(extent.runs)]
    rows = []
    for name in (OURS, Nchan.name):
        alone, together = ([each[name][which] for each in rounds] for which in (0, 1))
        cpu = median(r.opening["open_cpu_us"] / 1000 / SINGLE for r in alone)
        rows.append([
            name, short(median(map(_last_ms, alone))), short(median(map(_longest_ms, together))), short(cpu),
            sum(r.opening["lost"] for r in alone + together),
        ])  # fmt: skip
    report.figures["replay memory x"] = median(_last_ms(r[Nchan.name][0]) / _last_ms(r[OURS][0]) for r in rounds)
    report.figures["replay memory ms"] = median(_last_ms(r[OURS][0]) for r in rounds)
    report.say(f"{ENTRIES:,} entries of one device from memory.")
    report.table(("server", "one client, ms", f"{MANY} at once, all done, ms", "CPU ms a replay", "lost"), rows)
    _add_segments(report, extent)
    return report


def _last_ms(result: Result) -> float:
    return float(result.opening["last_p50_us"] / 1000)


def _longest_ms(result: Result) -> float:
    return float(result.opening["last_max_us"] / 1000)


def _from_memory(name: str, extent: Extent) -> tuple[Result, Result]:
    tell_load(f"replay from memory, {name}", extent.wait)
    with folder() as place, _server(name, place) as server:
        options = server.options()
        load.run(**{**options, "streams": 0, "messages": ENTRIES, "rate": 0, "window": 500, "warm": 0, "seconds": 0.1})
        path = "/replay/d0"
        if isinstance(server, Gateway):
            path = "/api/devices/d0/stream?after=earliest"
            wait_until(lambda: server.counter("entries_total") > ENTRIES, 30, "all entries")
        reading = {**options, "publishing": "nothing", "path": path, "until": ENTRIES}
        return load.run(**reading, streams=SINGLE, at_once=1), load.run(**reading, streams=MANY, at_once=MANY)


def _server(name: str, place: Path) -> Server:
    return Nchan(place) if name == Nchan.name else Gateway(place)


def _add_segments(report: Report, extent: Extent) -> None:
    with folder() as place:
        fill(place / "data", MILLION, DEVICES)
        with Gateway(place, **ROOM) as gateway:
            reading = {
                **gateway.options(),
                "publishing": "nothing",
                "until": MILLION // DEVICES,
                "devices": DEVICES,
            }
            reading["path"] = "/api/devices/d7/stream?after=earliest"
            cold, warm, disk = [], [], []
            for _ in range(extent.runs):
                tell_load("replay from segments", extent.wait)
                drop_cache(place / "data")
                before = read_bytes(gateway.pid)
                cold.append(load.run(**reading, streams=1))
                disk.append((read_bytes(gateway.pid) - before) / 1e6)
                warm.append(load.run(**reading, streams=1))
    report.figures["replay segments"] = median(map(_last_ms, cold))
    rows = [
        ["cold: out of the page cache", *_times(cold), short(median(disk))],
        ["warm", *_times(warm), "0"],
    ]
    report.say(f"{MILLION // DEVICES:,} entries of one device, of {DEVICES} in a log of {MILLION:,}, from segments.")
    report.table(("page cache", "all, ms", "first, ms", "CPU ms", "MB read from disk"), rows)


def _times(results: list[Result]) -> list[str]:
    firsts = median(r.opening["first_p50_us"] / 1000 for r in results)
    cpu = median(r.opening["open_cpu_us"] / 1000 for r in results)
    return [short(median(map(_last_ms, results))), short(firsts), short(cpu)]


def first_byte(extent: Extent) -> Report:
    """From the request to the first replayed reading, at positions all over logs of 10^4 to 10^7 entries."""
    report = Report("first-byte")
    rows, middles, tops = [], [], []
    curves: Curves = {"p50": [], "p99": []}
    for entries in SIZES:
        results = first_readings(entries, extent)
        p50 = median(r.opening["first_p50_us"] / 1000 for r in results)
        p99 = median(r.opening["first_p99_us"] / 1000 for r in results)
        rows.append([f"{entries:,}", short(p50), short(p99)])
        middles.append(p50)
        tops.append(p99)
        curves["p50"].append((entries, p50))
        curves["p99"].append((entries, p99))
    report.figures |= {"first-byte flat": max(middles) / min(middles), "first-byte p99": max(tops)}
    report.say(f"One device of {DEVICES}, {FIRSTS} positions, one after the other, {extent.runs} runs.")
    report.table(("entries held", "p50 ms", "p99 ms"), rows)
    title = "From request to first replayed reading"
    report.plot("history.svg", title, plot(title, "entries held", "ms", curves))
    return report


def first_readings(entries: int, extent: Extent) -> list[Result]:
    """Open streams one after the other at positions spread over a log of this size; each ends with its first reading."""
    with folder() as place:
        history = fill(place / "data", entries, DEVICES)
        with Gateway(place, **ROOM) as gateway:
            reading = {
                **gateway.options(),
                "publishing": "nothing",
                "until": 1,
                "streams": FIRSTS,
                "at_once": 1,
            }
            reading |= {"path": "/api/devices/d%d/stream?after=%p", "devices": DEVICES, "first_position": history.first}
            reading["position_step"] = (entries - DEVICES) // FIRSTS
            results = []
            for _ in range(extent.runs):
                tell_load(f"first byte, {entries:,} entries", extent.wait)
                results.append(load.run(**reading))
            return results
