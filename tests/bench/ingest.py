"""Ingest: readings a second from PUBLISH at QoS 1 to the acknowledgement, which comes after the commit."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.bench import load
from tests.bench.load import Result
from tests.bench.peers.gateway import Gateway
from tests.bench.peers.server import end
from tests.bench.peers.stock_paho import StockPaho
from tests.bench.report import Report, median, short
from tests.bench.runs import Extent, Make, folder, one, tell_load

DEVICES = 100
WINDOW = 1000
BURST, DEADLINE_S = 150_000, 240
"""Below `max_queued_messages`, else mosquitto would drop some."""

BACKLOG = 50_000

FLOOD: dict[str, Any] = {"streams": 0, "devices": DEVICES, "rate": 0, "window": WINDOW, "warm": 2, "drain": 0}

WITH_STOCK = "Sensor Gateway, `mqtt.client=stock`"

FED: dict[str, Make] = {
    Gateway.name: lambda place: Gateway(place, is_fed=True, mqtt__reconnect_max_s=1),
    WITH_STOCK: lambda place: Gateway(place, is_fed=True, mqtt__reconnect_max_s=1, mqtt__client="stock"),
    StockPaho.name: StockPaho,
}
"""The generator is the broker here, with a window of messages in flight: mosquitto would be the limit."""


def ingest(extent: Extent) -> Report:
    """Readings a second received at QoS 1, decoded, numbered, framed, committed and acknowledged; no stream is open."""
    report = Report("ingest")
    rounds = [_round(extent) for _ in range(extent.runs)]
    rows = []
    for name in FED:
        results = [each[name] for each in rounds if name in each]
        if results:
            shares = (median(r.server_share for r in results), median(r.generator_share for r in results))
            rows.append(
                [name, "the generator", short(median(map(_rate, results))), *(f"{share:.0%}" for share in shares)]
            )
    whole = [each for each in rounds if len(each) == len(FED)]
    report.figures["ingest"] = median(_rate(each[Gateway.name]) for each in whole)
    for figure, name in (("ingest x stock", WITH_STOCK), ("ingest x receiving", StockPaho.name)):
        report.figures[figure] = median(_rate(each[Gateway.name]) / _rate(each[name]) for each in whole)
    rows.append(_through_mosquitto(extent))
    worst_ms = median(_health_under_backlog(extent) for _ in range(extent.runs))
    report.figures["ingest health ms"] = worst_ms
    report.say(f"{DEVICES} devices, a window of {WINDOW} messages, {extent.runs} runs of {extent.seconds:g} s each.")
    report.table(("receiver", "broker", "readings/s", "receiver's core", "generator's core"), rows)
    report.say(
        f"The gateway takes {report.figures['ingest x stock']:.2g} times what it takes with stock paho, "
        f"and {report.figures['ingest x receiving']:.2g} times what stock paho does that only receives."
    )
    report.say(
        f"While {BACKLOG:,} readings that mosquitto held come in, the slowest `GET /healthz` takes {worst_ms:.0f} ms."
    )
    return report


def _health_under_backlog(extent: Extent) -> float:
    """The slowest answer in ms, asked again and again from a start until what came in the meantime is in the log."""
    tell_load("Sensor Gateway, a backlog", extent.wait)
    with folder() as place, Gateway(place) as gateway:
        assert gateway.process is not None
        end(gateway.process)
        load.run(**{**gateway.options(), **FLOOD, "messages": BACKLOG, "warm": 0, "seconds": 0.1})
        gateway.start_alone()
        gateway.wait_for("/healthz")
        deadline, took = time.monotonic() + DEADLINE_S, []
        with httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", timeout=60) as client:
            while len(took) % 10 or gateway.counter("entries_total") < BACKLOG:
                assert time.monotonic() < deadline, "the backlog did not reach the log"
                began = time.monotonic()
                client.get("/healthz")
                took.append((time.monotonic() - began) * 1000)
                time.sleep(0.01)
    return max(took)


def _rate(result: Result) -> float:
    return float(result["acknowledged"] / result["seconds"])


def _round(extent: Extent) -> dict[str, Result]:
    found = {}
    for name, make in FED.items():
        tell_load(name, extent.wait)
        if result := one(make, **FLOOD, seconds=extent.seconds):
            found[name] = result
    return found


def _through_mosquitto(extent: Extent) -> list[str]:
    """A burst that mosquitto holds: until the gateway has all of it. Generator and mosquitto share a core."""
    rates = []
    for _ in range(extent.runs):
        tell_load("Sensor Gateway behind mosquitto", extent.wait)
        with folder() as place, Gateway(place) as gateway:
            options = {**gateway.options(), **FLOOD, "messages": BURST, "warm": 0, "seconds": 0.1}
            began = time.monotonic()
            load.run(**options)
            while gateway.counter("entries_total") < BURST:
                assert time.monotonic() < began + DEADLINE_S, "the burst did not reach the log"
                time.sleep(0.2)
            rates.append(BURST / (time.monotonic() - began))
    return ["Sensor Gateway", "mosquitto", short(median(rates)), "", "shared with mosquitto"]
