"""Idle streams: what opening one costs, what it holds, and what five thousand heartbeats cost."""

from __future__ import annotations

from dataclasses import replace

from tests.bench.load import Result
from tests.bench.report import Report, median, short
from tests.bench.runs import OURS, Extent, in_turn

STREAMS = 5000
HEARTBEATS_S = 30.0
"""Two heartbeats of the gateway's default."""


def idle(extent: Extent) -> Report:
    """RSS and CPU of 5,000 streams that get nothing but heartbeats."""
    report = Report("idle")
    options = {
        "streams": STREAMS,
        "devices": 100,
        "publishing": "nothing",
        "warm": 1,
        "seconds": HEARTBEATS_S,
        "drain": 0,
    }
    rounds = in_turn(extent, extent.servers(OURS), **options)
    # The peers send no heartbeats, so nothing of theirs changes with time: one short run shows it.
    others = [name for name in extent.servers() if name != OURS]
    once = replace(extent, runs=1)
    rounds += in_turn(once, once.servers(*others), **{**options, "seconds": extent.seconds}) if others else []
    rows = []
    for name in extent.servers():
        results = [each[name] for each in rounds if name in each]
        if not results:
            continue
        kilobytes, opening, share = (
            median(map(_kb, results)),
            median(map(_open_ms, results)),
            median(map(_percent, results)),
        )
        if name == OURS:
            report.figures |= {"idle rss": kilobytes, "idle open": opening, "idle cpu": share}
        rows.append(
            [name, short(kilobytes), short(opening), short(share), results[0].end["ended"] + results[0].end["refused"]]
        )
    report.say(f"{STREAMS:,} streams over 100 devices, {HEARTBEATS_S:g} s, {extent.runs} runs; one of each peer.")
    report.table(("server", "KB a stream", "CPU ms to open one", "% of a core when idle", "ended or refused"), rows)
    return report


def _kb(result: Result) -> float:
    return float(result.opening["rss_open_kb"] - result.opening["rss_before_kb"]) / STREAMS


def _open_ms(result: Result) -> float:
    return float(result.opening["open_cpu_us"] / 1000 / STREAMS)


def _percent(result: Result) -> float:
    return result.server_share * 100
