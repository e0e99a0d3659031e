"""Many streams for long: nothing lost, nothing repeated, memory level."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import click

from tests.bench.parts import Publisher, Watcher, cpu_s, machine, open_watchers, quantile, rss_bytes
from tests.conftest import GatewayProcess, Mosquitto


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--streams", default=1000, show_default=True)
@click.option("--devices", default=100, show_default=True)
@click.option("--rate", default=2000.0, show_default=True, help="Readings a second in all.")
def soak(minutes: float, streams: int, devices: int, rate: float) -> None:
    """1,000 open streams and 2,000 readings a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mosquitto = Mosquitto(folder)
        gateway = GatewayProcess(folder, "--broker", mosquitto.url).start()
        try:
            asyncio.run(_soak(gateway, mosquitto.port, minutes * 60, streams, devices, rate))
        finally:
            gateway.stop()
            mosquitto.stop()


async def _soak(gateway: GatewayProcess, port: int, seconds: float, streams: int, devices: int, rate: float) -> None:
    assert gateway.process is not None
    pid = gateway.process.pid
    watchers = await open_watchers(gateway.port, streams, devices)
    publisher = Publisher(port, devices, rate)
    publishing = asyncio.create_task(publisher.run(seconds))
    print(f"{machine()}\n{streams} streams, {devices} devices, {rate:g} readings/s, {seconds / 60:g} min\n")
    print("| minute | published | delivered | lost | repeated | p50 ms | p99 ms | RSS MB | CPU % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    minute, used = 0.0, cpu_s(pid)
    step = min(60.0, seconds / 5)
    while not publishing.done():
        await asyncio.wait([publishing], timeout=step)
        minute += step / 60
        now = cpu_s(pid)
        _row(f"{minute:.1f}", publisher, watchers, rss_bytes(pid), 100 * (now - used) / step)
        used = now
    await publishing
    await asyncio.sleep(1)
    _verdict(publisher, watchers, streams, devices)


def _row(minute: str, publisher: Publisher, watchers: list[Watcher], rss: int, cpu: float) -> None:
    latencies = [each for watcher in watchers for each in watcher.latencies_us]
    for watcher in watchers:
        watcher.latencies_us.clear()
    print(
        f"| {minute} | {publisher.published} | {sum(w.delivered for w in watchers)} | {sum(w.lost for w in watchers)} "
        f"| {sum(w.repeated for w in watchers)} | {quantile(latencies, 0.5) / 1000:.1f} "
        f"| {quantile(latencies, 0.99) / 1000:.1f} | {rss / 1e6:.1f} | {cpu:.0f} |",
        flush=True,
    )


def _verdict(publisher: Publisher, watchers: list[Watcher], streams: int, devices: int) -> None:
    per_device = [
        publisher.published // devices + (device < publisher.published % devices) for device in range(devices)
    ]
    expected = sum(per_device[number % devices] for number in range(streams))
    delivered = sum(watcher.delivered for watcher in watchers)
    ended, unacknowledged = sum(watcher.ended for watcher in watchers), publisher.published - publisher.acknowledged
    print(f"\nexpected {expected}, delivered {delivered}, missing {expected - delivered}")
    print(f"streams that ended {ended}, publications not acknowledged {unacknowledged}")
