"""The job of the gateway: what a device publishes shows in a browser, once, in order, whatever dies in between."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from httpx_sse import connect_sse

from tests.conftest import GatewayProcess, Mosquitto, Pair, free_port, need, wait_until
from tests.reader import Reader, parse

pytestmark = pytest.mark.broker
Read = Callable[..., Reader]
Make = Callable[..., GatewayProcess]
BOILER = "sensors/boiler/temperature"


@contextmanager
def curl(url: str, output: Path) -> Iterator[None]:
    with output.open("wb") as file:
        process = subprocess.Popen([need("curl", "curl"), "-sN", url], stdout=file)
    yield
    process.terminate()
    process.wait(5)


def test_what_mosquitto_pub_sends_shows_in_curl_as_one_event_with_an_id(
    mosquitto: Mosquitto, gateway: GatewayProcess, tmp_path: Path
) -> None:
    output = tmp_path / "stream"
    with curl(f"{gateway.url}/api/devices/boiler/stream", output):
        wait_until(lambda: "event: live" in output.read_text(), what="the stream")
        mosquitto.publish(BOILER, "61.5")
        wait_until(lambda: "61.5" in output.read_text(), what="the reading")
    readings = [block for block in parse(output.read_text()) if block.data and block.event == ""]
    assert [{"temperature": 61.5}] == [block.data["values"] for block in readings]
    assert ["boiler"] == [block.data["device"] for block in readings]
    assert readings[0].id.isdigit()


def test_a_reading_is_on_the_stream_soon(mosquitto: Mosquitto, gateway: GatewayProcess, read: Read) -> None:
    """Measured from before the publisher's line is written until the block is read, 50 times, one after another."""
    reader = read(gateway).live()
    command = [need("mosquitto_pub", "mosquitto-clients"), "-p", str(mosquitto.port), "-q", "1", "-t", BOILER, "-l"]
    took = []
    with subprocess.Popen(command, stdin=subprocess.PIPE) as publisher:
        assert publisher.stdin is not None
        for number in range(51):
            began = time.time()
            publisher.stdin.write(f"{number}\n".encode())
            publisher.stdin.flush()
            reader.wait(lambda reader, wanted=number: wanted in reader.values("temperature"))
            took.append(reader.arrived[-1] - began)
            time.sleep(0.02)
    # The first one waited for the publisher to connect.
    cuts = statistics.quantiles(took[1:], n=100, method="inclusive")
    print(f"\nmosquitto_pub to stream: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms")
    assert list(range(51)) == reader.values("temperature")


def test_a_client_gets_exactly_what_it_missed_while_the_gateway_was_dead(
    mosquitto: Mosquitto, gateway: GatewayProcess, read: Read
) -> None:
    first = read(gateway).live()
    mosquitto.publish_lines(BOILER, range(100))
    first.wait(lambda reader: len(reader.readings) >= 40)
    gateway.kill()
    first.wait_ended()
    mosquitto.publish_lines(BOILER, range(100, 200))
    gateway.start()
    mosquitto.publish(BOILER, "200")
    second = read(gateway, headers={"Last-Event-ID": first.last_id})
    second.wait(lambda reader: 200 in reader.values("temperature"))
    assert list(range(201)) == first.values("temperature") + second.values("temperature")
    assert [] == second.of("gap")
    ids = [int(block.id) for block in first.readings + second.readings]
    assert sorted(set(ids)) == ids


def test_the_same_holds_for_python_with_httpx_sse(mosquitto: Mosquitto, gateway: GatewayProcess) -> None:
    values: list[int] = []
    last_id, wanted = "", [*range(60)]

    def follow(until: int) -> None:
        nonlocal last_id
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with (
            httpx.Client(timeout=10) as client,
            connect_sse(client, "GET", f"{gateway.url}/api/stream", headers=headers) as source,
        ):
            for event in source.iter_sse():
                last_id = event.id or last_id
                if event.event == "live" and until == 29:
                    threading.Thread(target=mosquitto.publish_lines, args=[BOILER, range(30)]).start()
                if event.event == "message" and event.data:
                    values.append(event.json()["values"]["temperature"])
                    if values[-1] == until:
                        return

    follow(29)
    gateway.kill()
    mosquitto.publish_lines(BOILER, range(30, 60))
    gateway.start()
    follow(59)
    assert wanted == values


NODE = """
import { EventSource } from "eventsource";
const source = new EventSource(process.argv[2]);
source.addEventListener("live", () => console.log("live"));
source.onmessage = (event) => console.log(JSON.parse(event.data).values.temperature);
"""


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with npm's `eventsource` and a program that follows a stream with it."""
    need("node", "nodejs")
    folder = tmp_path_factory.mktemp("node")
    done = subprocess.run(
        [need("npm", "npm"), "install", "--no-save", "--no-audit", "--no-fund", "eventsource@3"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"npm install eventsource@3 failed:\n{done.stderr[-500:]}"
        )
    (folder / "follow.mjs").write_text(NODE)
    return folder


def test_the_eventsource_of_npm_comes_back_by_itself_and_misses_nothing(
    mosquitto: Mosquitto, make_gateway: Make, node_folder: Path, tmp_path: Path
) -> None:
    retry = ["--set", "http.retry_min_ms=100", "--set", "http.retry_max_ms=300"]
    gateway = make_gateway("--broker", mosquitto.url, *retry).start()
    output = tmp_path / "values"
    with output.open("wb") as file:
        node = subprocess.Popen(["node", "follow.mjs", f"{gateway.url}/api/stream"], stdout=file, cwd=node_folder)
    try:
        wait_until(lambda: "live" in output.read_text(), what="node")
        mosquitto.publish_lines(BOILER, range(50))
        wait_until(lambda: "49" in output.read_text().split(), what="the first readings")
        gateway.kill()
        mosquitto.publish_lines(BOILER, range(50, 100))
        gateway.start()
        wait_until(lambda: "99" in output.read_text().split(), what="the readings that were missed")
    finally:
        node.kill()
        node.wait(5)
    assert [str(number) for number in range(100)] == [line for line in output.read_text().split() if line != "live"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_stream_outlives_a_restart_of_the_broker(
    mosquitto: Mosquitto, gateway: GatewayProcess, read: Read, number: signal.Signals
) -> None:
    reader = read(gateway).live()
    mosquitto.publish_lines(BOILER, range(10))
    reader.wait(lambda reader: len(reader.readings) == 10)
    mosquitto.restart(number)
    gateway.wait_ready()
    mosquitto.publish_lines(BOILER, range(10, 20))
    reader.wait(lambda reader: 19 in reader.values("temperature"))
    assert list(range(20)) == reader.values("temperature")


def test_retained_messages_are_marked_and_change_no_status(
    mosquitto: Mosquitto, make_gateway: Make, read: Read
) -> None:
    mosquitto.publish(BOILER, "55", "-r")
    gateway = make_gateway("--broker", mosquitto.url).start()
    reader = read(gateway, "/api/stream?after=earliest").wait(lambda reader: reader.readings)
    assert [True] == [block.data["retained"] for block in reader.readings]
    assert ["unknown"] == [block.data["status"] for block in reader.of("device")]
    assert True is gateway.get("/api/devices/boiler").json()["values"]["temperature"]["retained"]
    mosquitto.publish(BOILER, "56")
    reader.wait(lambda reader: len(reader.readings) == 2)
    assert "retained" not in reader.readings[1].data
    assert ["unknown", "online"] == [block.data["status"] for block in reader.of("device")]


def test_a_restart_brings_no_retained_message_twice(mosquitto: Mosquitto, gateway: GatewayProcess, read: Read) -> None:
    mosquitto.publish(BOILER, "55", "-r")
    read(gateway, "/api/stream?after=earliest").wait(lambda reader: reader.readings)
    gateway.stop()
    gateway.start()
    mosquitto.publish(BOILER, "56")
    reader = read(gateway, "/api/stream?after=earliest").wait(lambda reader: 56 in reader.values("temperature"))
    assert [55, 56] == reader.values("temperature")


KITCHEN = ["kitchen/fridge", "kitchen/stove"]


@pytest.mark.parametrize(
    ("path", "devices"),
    [
        ("/api/stream", ["a", "b", *KITCHEN, "end"]),
        ("/api/stream?device=*", ["a", "b", *KITCHEN, "end"]),
        ("/api/stream?device=a&device=kitchen/*&device=end", ["a", *KITCHEN, "end"]),
        ("/api/stream?device=*e&device=e*", [*KITCHEN, "end"]),
        ("/api/devices/kitchen/fridge/stream", ["kitchen/fridge"]),
    ],
)
def test_one_connection_carries_any_choice_of_devices(pair: Pair, read: Read, path: str, devices: list[str]) -> None:
    reader = read(pair.gateway, path).live()
    everything = ["a", "b", *KITCHEN, "end"]
    for device in everything:
        pair.broker.publish(f"sensors/{device}/temperature", "1")
    reader.wait(lambda reader: len(reader.readings) >= len(devices))
    assert devices == [block.data["device"] for block in reader.readings]


def test_two_gateways_cannot_share_a_folder(gateway: GatewayProcess, mosquitto: Mosquitto, make_gateway: Make) -> None:
    other = make_gateway("--broker", mosquitto.url, folder=gateway.folder)
    other.errors = gateway.folder / "other.log"
    other.start(wait_ready=False)
    assert other.process is not None
    assert 1 == other.process.wait(10)
    assert f"another gateway uses the log in {gateway.folder}/data/log" in other.output().replace("\n", "")
    assert "Traceback" not in other.output()
    assert 200 == gateway.get("/readyz").status_code


def test_a_broker_that_is_not_there_yet_is_waited_for(
    make_gateway: Make, make_mosquitto: Callable[..., Mosquitto]
) -> None:
    port = free_port()
    gateway = make_gateway("--broker", f"mqtt://127.0.0.1:{port}").start(wait_ready=False)
    gateway.wait_serving()
    assert 503 == gateway.get("/readyz").status_code
    make_mosquitto(f"allow_anonymous true\nlistener {port} 127.0.0.1")
    gateway.wait_ready()
