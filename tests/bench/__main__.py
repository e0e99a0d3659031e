"""``python -m tests.bench NAME [options]``, or ``all``."""

from __future__ import annotations

from collections.abc import Callable

import click

from tests.bench import goals
from tests.bench.fanout import fanout_cpu, fanout_max
from tests.bench.growth import growth
from tests.bench.idle import idle
from tests.bench.ingest import ingest
from tests.bench.latency import latency
from tests.bench.machine import busiest, machine
from tests.bench.replay import first_byte, replay
from tests.bench.report import Report, keep, write
from tests.bench.runs import PEERS, Extent
from tests.bench.soak import soak
from tests.bench.stall import stall
from tests.bench.start import start
from tests.bench.wear import wear

BENCHMARKS: dict[str, Callable[[Extent], Report]] = {
    "fanout-cpu": fanout_cpu,
    "fanout-max": fanout_max,
    "latency": latency,
    "ingest": ingest,
    "replay": replay,
    "first-byte": first_byte,
    "idle": idle,
    "stall": stall,
    "start": start,
    "growth": growth,
}

ALONE: dict[str, Callable[[Extent], Report]] = {"wear": wear}
"""Takes half an hour, until a budget has found its interval, and is no part of ``all``."""


@click.group()
def main() -> None:
    """Measure the whole gateway: a real mosquitto, MQTT at QoS 1 in, commit, SSE out; beside its peers."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--write", "is_written", is_flag=True, help="Write the results into docs/performance.md."),
        click.option("--wait", is_flag=True, help="Wait up to a minute before each run for a quiet machine."),
        click.option("--peer", "peers", multiple=True, type=click.Choice(list(PEERS)), help="Only these servers."),
        click.option("--seconds", default=4.0, show_default=True, help="Of each run."),
        click.option(
            "--runs", default=3, show_default=True, help="Of each row, which has their median; curves have one."
        ),
    ):
        command = option(command)
    return command


def _add(name: str, measure: Callable[[Extent], Report]) -> None:
    @main.command(name, help=measure.__doc__)
    @_options
    def command(runs: int, seconds: float, peers: tuple[str, ...], wait: bool, is_written: bool) -> None:
        print(machine())
        _run(name, Extent(runs, seconds, peers or tuple(PEERS), wait), is_written)


def _run(name: str, extent: Extent, is_written: bool) -> None:
    print(f"\n## {name}", flush=True)
    busiest.clear()
    report = (BENCHMARKS | ALONE)[name](extent)
    report.busy.extend(busiest)
    if is_written:
        write(report, goals.table(keep(report.figures)))


for _name, _measure in (BENCHMARKS | ALONE).items():
    _add(_name, _measure)


main.add_command(soak)


@main.command("all")
@_options
@click.option("--first", default="fanout-cpu", type=click.Choice(list(BENCHMARKS)), help="Go on from this one.")
def all_(runs: int, seconds: float, peers: tuple[str, ...], wait: bool, is_written: bool, first: str) -> None:
    """Every benchmark, one after the other: about 40 minutes on two cores. With --write each is written when it is done."""
    print(machine())
    names = list(BENCHMARKS)
    for name in names[names.index(first) :]:
        _run(name, Extent(runs, seconds, peers or tuple(PEERS), wait), is_written)


main()
