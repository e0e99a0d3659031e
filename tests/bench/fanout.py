"""Fan-out: what one delivered event costs, and how many a second there can be."""

from __future__ import annotations

from tests.bench import load
from tests.bench.load import Result
from tests.bench.peers.nchan import Nchan
from tests.bench.peers.starlette import SseStarlette
from tests.bench.report import Report, median, short
from tests.bench.runs import OURS, Extent, Make, folder, in_turn, tell_load

STREAMS = 500
P99_LIMIT_US = 100_000
DELIVERED_SHARE = 0.98
"""A rate counts as sustained when so much of what was published in the window was delivered in it."""

TRIES = 2
FIRST_RATE, LEAST_RATE, LAST_RATE = 20.0, 5.0, 200_000.0
COMPARED = (OURS, Nchan.name, SseStarlette.name)
"""A search takes a dozen runs of a server, so only those that a goal names are searched."""

NEAR = 1.3
"""A later search begins so far below what the one before found; it widens by itself when the rate is elsewhere."""


def fanout_cpu(extent: Extent) -> Report:
    """CPU per delivered event: 500 streams of one device, 100 readings a second."""
    report = Report("fanout-cpu")
    options = {"streams": STREAMS, "devices": 1, "rate": 100, "seconds": extent.seconds, "warm": 2}
    rounds = in_turn(extent, extent.servers(), **options)
    rows = []
    for name in extent.servers():
        results = [each[name] for each in rounds if name in each]
        if results:
            ratio = _ratio(rounds, name, Nchan.name)
            rows.append(_row(name, results, ratio))
            report.figures[f"fanout-cpu {name}"] = median(r.cpu_us_per_event for r in results)
            report.figures[f"fanout-cpu ratio {name}"] = ratio
    head = (
        "server",
        "events/s",
        "of offered",
        "CPU µs per event",
        "x Nchan",
        "p50 ms",
        "p99 ms",
        "broker µs per event",
        "generator",
    )
    report.say(
        f"{STREAMS} streams of one device, 100 readings a second, {extent.runs} runs of {extent.seconds:g} s each."
    )
    report.table(head, rows)
    return report


def _ratio(rounds: list[dict[str, Result]], name: str, base: str) -> float:
    both = [each for each in rounds if name in each and base in each]
    return median(each[name].cpu_us_per_event / each[base].cpu_us_per_event for each in both)


def _row(name: str, results: list[Result], ratio: float) -> list[str]:
    share = median(r["delivered"] / max(1, r["published"] * STREAMS) for r in results)
    return [
        name, short(median(r.events_per_s for r in results)), f"{share:.0%}",
        short(median(r.cpu_us_per_event for r in results)), short(ratio),
        short(median(r["p50_us"] / 1000 for r in results)), short(median(r["p99_us"] / 1000 for r in results)),
        short(median(r["broker_cpu_us"] / max(1, r["delivered"]) for r in results)),
        f"{median(r.generator_share for r in results):.0%}",
    ]  # fmt: skip


def fanout_max(extent: Extent) -> Report:
    """Most events a second at p99 <= 100 ms with 500 streams: bisection over the rate of one device."""
    report = Report("fanout-max")
    rounds: list[dict[str, Result]] = []
    begin: dict[str, float] = {}
    for number in range(extent.runs):
        found = {}
        for name, make in extent.servers(*COMPARED).items():
            tell_load(f"run {number + 1} of {extent.runs}, {name}", extent.wait)
            if best := _most(make, extent.seconds, begin.get(name, FIRST_RATE)):
                found[name] = best
                begin[name] = best["published"] / best["seconds"] / NEAR
        rounds.append(found)
    rows = []
    for name in extent.servers(*COMPARED):
        results = [each[name] for each in rounds if name in each]
        if not results:
            continue
        ratios = [_times(rounds, name, base) for base in (Nchan.name, SseStarlette.name)]
        report.figures[f"fanout-max {name}"] = median(r.events_per_s for r in results)
        rows.append([
            name, short(median(r.events_per_s for r in results)), *map(short, ratios),
            short(median(r["p50_us"] / 1000 for r in results)), short(median(r["p99_us"] / 1000 for r in results)),
            f"{median(r.server_share for r in results):.0%}", f"{median(r.generator_share for r in results):.0%}",
        ])  # fmt: skip
    for base in (Nchan.name, SseStarlette.name):
        report.figures[f"fanout-max x {base}"] = _times(rounds, OURS, base)
    report.say(f"{STREAMS} streams of one device; a rate counts when p99 is at most 100 ms and nothing is left behind.")
    report.table(("server", "events/s", "x Nchan", "x sse-starlette", "p50 ms", "p99 ms", "server", "generator"), rows)
    return report


def _times(rounds: list[dict[str, Result]], name: str, base: str) -> float:
    both = [each for each in rounds if name in each and base in each]
    return median(each[name].events_per_s / each[base].events_per_s for each in both)


def _most(make: Make, seconds: float, first_rate: float = FIRST_RATE) -> Result | None:
    """The result at the highest rate that is sustained, to about a tenth; looked for from ``first_rate`` on."""
    low, high, best = 0.0, 0.0, None
    rate, step = first_rate, 3.0 if first_rate == FIRST_RATE else NEAR**2
    while LEAST_RATE <= rate <= LAST_RATE and (not high or high / max(low, 1) > 1.12):
        # A second try, because one hiccup of the machine at a low rate would hide all that lies above it.
        result = next((found for _ in range(TRIES) if (found := _sustained(make, rate, seconds))), None)
        if result is not None:
            low, best = rate, result
        else:
            high = rate
        rate = low * step if not high else (low * high) ** 0.5 if low else high / step
    return best


def _sustained(make: Make, rate: float, seconds: float) -> Result | None:
    result = _at(make, rate, seconds)
    return result if result is not None and _is_sustained(result, rate) else None


def _at(make: Make, rate: float, seconds: float) -> Result | None:
    with folder() as place, make(place) as server:
        try:
            return load.run(**server.options(), streams=STREAMS, rate=rate, seconds=seconds, warm=1, drain=0)
        except load.FAILED as failed:
            print(f"      {rate:,.0f}/s: {failed}", flush=True)
            return None


def _is_sustained(result: Result, rate: float) -> bool:
    published, delivered = result["published"], result["delivered"] / STREAMS
    # What was published in the window's last moments may be under way at its end: within the limit on p99, that is no lag.
    under_way = 1 + rate * P99_LIMIT_US / 1e6
    keeps_up = delivered >= DELIVERED_SHARE * published - under_way
    was_published = published >= DELIVERED_SHARE * rate * result["seconds"] - 1
    good = result["p99_us"] <= P99_LIMIT_US and keeps_up and was_published and not result["lost"]
    print(
        f"      {rate:9,.0f} readings/s: {result.events_per_s:11,.0f} events/s, {delivered / max(1, published):4.0%}, "
        f"p99 {result['p99_us'] / 1000:.1f} ms, "
        f"server {result.server_share:.0%}, generator {result.generator_share:.0%}{'' if good else ', too much'}",
        flush=True,
    )
    return good
