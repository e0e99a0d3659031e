"""The main job, one reading at a time: from publish to a stream's socket."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import click

from tests.bench.parts import Publisher, machine, open_watchers, quantile
from tests.conftest import GatewayProcess, Mosquitto


@click.command()
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--rate", default=10.0, show_default=True, help="Readings a second.")
def latency(seconds: float, rate: float) -> None:
    """Publish to socket: one device, one stream, few readings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mosquitto = Mosquitto(folder)
        gateway = GatewayProcess(folder, "--broker", mosquitto.url).start()
        try:
            asyncio.run(_latency(gateway.port, mosquitto.port, seconds, rate))
        finally:
            gateway.stop()
            mosquitto.stop()


async def _latency(gateway_port: int, broker_port: int, seconds: float, rate: float) -> None:
    (watcher,) = await open_watchers(gateway_port, 1, 1)
    watcher.sample_every = 1
    publisher = Publisher(broker_port, 1, rate)
    await publisher.run(seconds)
    await asyncio.sleep(0.5)
    print(machine())
    print("\n| readings | delivered | p50 ms | p99 ms | max ms |\n| --- | --- | --- | --- | --- |")
    values = watcher.latencies_us
    print(f"| {publisher.published} | {watcher.delivered} | {quantile(values, 0.5) / 1000:.1f} "
          f"| {quantile(values, 0.99) / 1000:.1f} | {max(values) / 1000:.1f} |")  # fmt: skip
