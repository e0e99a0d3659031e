"""Latency: from the publisher to the reader's socket, at loads where nothing waits."""

from __future__ import annotations

from tests.bench.peers.nchan import Nchan
from tests.bench.report import Report, median, short
from tests.bench.runs import OURS, Extent, in_turn

CASES = {
    "many": ("100 devices x 10 streams, 1,000 readings/s", {"devices": 100, "streams": 1000, "rate": 1000}),
    "one": ("one device, one stream, 10 readings/s", {"devices": 1, "streams": 1, "rate": 10}),
}
QUIET_PEERS = (OURS, Nchan.name)
"""At ten readings a second a run must be long, and all but ours only pass them on."""


def latency(extent: Extent) -> Report:
    """Publish to socket: 100 devices x 10 streams at 1,000 readings/s, and one stream at 10 readings/s."""
    report = Report("latency")
    for case, (what, options) in CASES.items():
        seconds = extent.seconds * (4 if case == "one" else 1)
        servers = extent.servers(*(QUIET_PEERS if case == "one" else ()))
        rounds = in_turn(extent, servers, **options, seconds=seconds, warm=2)
        rows = []
        for name in servers:
            results = [each[name] for each in rounds if name in each]
            if not results:
                continue
            p50, p99, most = (median(r[key] / 1000 for r in results) for key in ("p50_us", "p99_us", "max_us"))
            if name == OURS:
                report.figures |= {f"latency {case} p50": p50, f"latency {case} p99": p99}
            missing = sum(r.end["missing"] for r in results)
            rows.append(
                [name, *map(short, (p50, p99, most)), missing, f"{median(r.server_share for r in results):.0%}"]
            )
        report.say("", f"{what[0].upper()}{what[1:]}, {extent.runs} runs of {seconds:g} s each.")
        report.table(("server", "p50 ms", "p99 ms", "max ms", "missing", "server's core"), rows)
    return report
