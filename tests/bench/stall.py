"""A stalled reader: what it holds, when it is cut, and what the others notice."""

from __future__ import annotations

import json
import subprocess
import time
from typing import NamedTuple

from tests.bench import load
from tests.bench.load import Result
from tests.bench.machine import rss_kb, send_queues
from tests.bench.peers.gateway import Gateway
from tests.bench.report import Report, median, short
from tests.bench.runs import Extent, folder, tell_load

STREAMS, RATE = 50, 2000
LIMIT_S = 10.0
"""Of `http.send_timeout_s`, shorter than the default so that a run is short."""

SECONDS = 25.0
LOOK_S = 0.25


class Seen(NamedTuple):
    """One run: the streams that read, how the gateway grew, bytes stuck in a send queue, seconds from stuck to cut."""

    result: Result
    grown_kb: float
    queued_bytes: int
    gone_s: float


def stall(extent: Extent) -> Report:
    """One reader of fifty stops taking anything; compared with a run in which none does."""
    report = Report("stall")
    pairs = []
    for _ in range(extent.runs):
        tell_load("nobody stalls", extent.wait)
        plain = _run(0)
        tell_load("one stalls", extent.wait)
        pairs.append((plain, _run(1)))
    stalled = [one for _, one in pairs]
    more_mb = median(max(0.0, one.grown_kb - plain.grown_kb) / 1000 for plain, one in pairs)
    queued_mb = median(one.queued_bytes / 1e6 for one in stalled)
    gone = median(one.gone_s for one in stalled)
    slower = median(one.result["p99_us"] / plain.result["p99_us"] for plain, one in pairs)
    report.figures |= {
        "stall mb": more_mb + queued_mb, "stall gone": gone, "stall limit": LIMIT_S, "stall x": slower,
        "stall over": gone / (LIMIT_S + 2),
    }  # fmt: skip
    report.say(
        f"{STREAMS} streams of one device, {RATE:,} readings/s, `http.send_timeout_s = {LIMIT_S:g}`, {extent.runs} runs."
    )
    rows = [
        ["more RSS than without it, MB", short(more_mb)],
        ["in its send queue, MB", short(queued_mb)],
        ["cut after its last byte, s", short(gone)],
        ["p99 of the others, ms", short(median(one.result["p99_us"] / 1000 for one in stalled))],
        ["p99 when nobody stalls, ms", short(median(plain.result["p99_us"] / 1000 for plain, _ in pairs))],
        ["lost by the others", sum(one.result.end["missing"] for one in stalled)],
    ]
    report.table(("one stalled reader", "measured"), rows)
    return report


def _run(stalled: int) -> Seen:
    with folder() as place, Gateway(place, http__send_timeout_s=LIMIT_S) as gateway:
        options = {
            **gateway.options(),
            "streams": STREAMS,
            "rate": RATE,
            "stalled": stalled,
            "warm": 1,
            "seconds": SECONDS,
        }
        began_kb = rss_kb(gateway.pid)
        with subprocess.Popen(load.command(**options), stdout=subprocess.PIPE, text=True) as running:
            most_kb, stuck_bytes, gone = _watch(gateway, running)
            assert running.stdout is not None
            result = Result([json.loads(line) for line in running.stdout])
    return Seen(result, most_kb - began_kb, stuck_bytes, gone)


def _watch(gateway: Gateway, running: subprocess.Popen[str]) -> tuple[int, int, float]:
    """Until the generator ends: the most memory, bytes stuck in a send queue, and seconds from stuck to cut."""
    most_kb, stuck_bytes, stuck_since, cut_after = 0, 0, 0.0, float("inf")
    since: dict[str, tuple[int, float]] = {}
    while running.poll() is None:
        time.sleep(LOOK_S)
        now, most_kb = time.monotonic(), max(most_kb, rss_kb(gateway.pid))
        # A queue that does not change is the stalled reader's; those of the others empty again and again.
        since = {
            end: since[end] if since.get(end, (0, 0))[0] == size else (size, now)
            for end, size in send_queues(gateway.port).items()
        }
        if cut_after == float("inf") and gateway.counter("streams_cut_total"):
            cut_after = now - stuck_since
        elif since and cut_after == float("inf"):
            stuck_bytes, stuck_since = min(since.values(), key=lambda each: each[1])
    return most_kb, stuck_bytes, cut_after
