"""Many streams for long: nothing lost, nothing repeated, memory level."""

from __future__ import annotations

import json
import subprocess

import click

from tests.bench import load
from tests.bench.machine import machine
from tests.bench.peers.gateway import Gateway
from tests.bench.report import markdown
from tests.bench.runs import folder, tell_load

ROUNDS = 10


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--streams", default=1000, show_default=True)
@click.option("--devices", default=100, show_default=True)
@click.option("--rate", default=2000.0, show_default=True, help="Readings a second in all.")
def soak(minutes: float, streams: int, devices: int, rate: float) -> None:
    """1,000 open streams and 2,000 readings a second, for minutes."""
    print(f"{machine()}\n{streams} streams, {devices} devices, {rate:g} readings/s, {minutes:g} min")
    tell_load("soak")
    sizes = {"streams": streams, "devices": devices, "rate": rate, "seconds": minutes * 60 / ROUNDS, "rounds": ROUNDS}
    with folder() as place, Gateway(place) as gateway:
        command = load.command(**gateway.options(), **sizes, drain=10)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            head = ("minute", "published", "delivered", "lost", "repeated", "p50 ms", "p99 ms", "RSS MB", "CPU %")
            print(*markdown(head, []), sep="\n", flush=True)
            lines = (json.loads(line) for line in running.stdout)
            next(lines)
            for number, found in enumerate(lines, 1):
                if number > ROUNDS:
                    print(f"\nmissing {found['missing']}, disordered {found['disordered']}, ended {found['ended']}")
                else:
                    print(_row(number * minutes / ROUNDS, found), flush=True)


def _row(minute: float, found: dict[str, float]) -> str:
    cells = [
        f"{minute:.1f}", found["published"], found["delivered"], found["lost"], found["repeated"],
        f"{found['p50_us'] / 1000:.1f}", f"{found['p99_us'] / 1000:.1f}", f"{found['rss_kb'] / 1000:.1f}",
        f"{found['server_cpu_us'] / found['seconds'] / 10_000:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"
