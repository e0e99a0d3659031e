"""The goals of the performance work, and what was measured for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.bench.report import markdown, short


class Goal(NamedTuple):
    """A row: ``measured`` is a text with the names of figures in braces; ``met`` compares the first with a bound."""

    what: str
    goal: str
    stretch: str
    measured: str
    bounds: tuple[tuple[str, str, float], ...]


NCHAN, STARLETTE = "nginx + Nchan", "sse-starlette on uvicorn"

GOALS = (
    Goal(
        "CPU per delivered event, 500 streams x 100 readings/s, whole gateway",
        "<= 1.0 x Nchan's", "0.5 x with pacing", "{fanout-cpu ratio Sensor Gateway} x",
        (("fanout-cpu ratio Sensor Gateway", "<=", 1.0),),
    ),
    Goal(
        "most events/s sustained at p99 <= 100 ms, 500 streams",
        ">= 8 x Nchan, >= 25 x sse-starlette", "40 x Nchan",
        f"{{fanout-max x {NCHAN}}} x, {{fanout-max x {STARLETTE}}} x",
        ((f"fanout-max x {NCHAN}", ">=", 8), (f"fanout-max x {STARLETTE}", ">=", 25)),
    ),
    Goal(
        "publish to socket p50 / p99, 100 devices x 10 streams, 1,000 readings/s in",
        "<= 5 / 25 ms", "3 / 10 ms", "{latency many p50} / {latency many p99} ms",
        (("latency many p50", "<=", 5), ("latency many p99", "<=", 25)),
    ),
    Goal(
        "ingest to committed and framed, QoS 1, generator not the limit",
        ">= 100,000 readings/s, >= 5 x stock paho", "200,000", "{ingest} readings/s, {ingest x stock} x",
        (("ingest", ">=", 100_000), ("ingest x stock", ">=", 5)),
    ),
    Goal(
        "replay of 10,000 entries from memory", "<= 1/20 of Nchan's time", "1/40", "1/{replay memory x}",
        (("replay memory x", ">=", 20),),
    ),
    Goal(
        "replay of 10,000 entries from segments, one device of 100 in a million entries, cold",
        "<= 200 ms", "100 ms", "{replay segments} ms", (("replay segments", "<=", 200),),
    ),
    Goal(
        "first replayed byte with 10^4 to 10^7 entries held", "flat within 2 x, p99 <= 20 ms", "",
        "{first-byte flat} x, {first-byte p99} ms", (("first-byte flat", "<=", 2), ("first-byte p99", "<=", 20)),
    ),
    Goal(
        "RSS per idle stream; opening one", "<= 20 KB; <= 0.5 ms CPU", "12 KB; 0.25 ms", "{idle rss} KB; {idle open} ms",
        (("idle rss", "<=", 20), ("idle open", "<=", 0.5)),
    ),
    Goal(
        "5,000 streams idle with heartbeats", "<= 1 % of a core", "0.3 %", "{idle cpu} %", (("idle cpu", "<=", 1),),
    ),
    Goal(
        "one stalled reader", "<= 0.5 MB in all, gone within its time limit, nobody else slower", "",
        "{stall mb} MB, gone after {stall gone} s of {stall limit}, p99 of the others {stall x} x",
        (("stall mb", "<=", 0.5), ("stall over", "<=", 1.1), ("stall x", "<=", 1.25)),
    ),
    Goal(
        "base RSS; start to serving", "<= 60 MB; <= 1 s", "45 MB; 0.5 s", "{start rss} MB; {start s} s",
        (("start rss", "<=", 60), ("start s", "<=", 1)),
    ),
    Goal(
        "bytes written per reading at 100 a commit", "<= 600", "450", "{start bytes}", (("start bytes", "<=", 600),),
    ),
)  # fmt: skip


def table(figures: dict[str, float]) -> Iterable[str]:
    """All goals, each with what the newest run found; a dash where it was not measured yet."""
    rows = []
    for goal in GOALS:
        names = [name for name, _, _ in goal.bounds]
        if any(name not in figures for name in names):
            rows.append((goal.what, goal.goal, goal.stretch, "-", "-"))
            continue
        measured = goal.measured
        for name, value in figures.items():
            measured = measured.replace(f"{{{name}}}", short(value))
        met = all(
            figures[name] <= bound if sign == "<=" else figures[name] >= bound for name, sign, bound in goal.bounds
        )
        rows.append((goal.what, goal.goal, goal.stretch, measured, "yes" if met else "**no**"))
    return markdown(("what", "goal", "stretch", "measured", "met"), rows)
