from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import GatewayProcess, free_port, is_listening, need, wait_until

pytestmark = pytest.mark.broker
pytest.importorskip("iotcore", reason="there is no embedded broker for this platform")
Make = Callable[..., GatewayProcess]
Embedded = Callable[[], tuple[GatewayProcess, int]]


@pytest.fixture
def embedded(make_gateway: Make) -> tuple[GatewayProcess, int]:
    port = free_port()
    return make_gateway("--set", f"embedded_broker.port={port}").start(), port


def publish(port: int, payload: str) -> None:
    program = need("mosquitto_pub", "mosquitto-clients")
    words = ["-p", str(port), "-q", "1", "-t", "sensors/boiler/temperature", "-m", payload]
    subprocess.run([program, *words], check=True, timeout=10)


def newest(gateway: GatewayProcess) -> object:
    answer = gateway.get("/api/devices/boiler").json()
    return answer["values"]["temperature"]["value"] if "values" in answer else None


def children(gateway: GatewayProcess) -> list[int]:
    assert gateway.process is not None
    threads = Path(f"/proc/{gateway.process.pid}/task").glob("*/children")
    return [int(pid) for children in threads for pid in children.read_text().split()]


def listening_addresses(port: int) -> set[str]:
    """From /proc/net/tcp: addresses in hex, state 0A is LISTEN."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    found = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {socket.inet_ntoa(bytes.fromhex(address)[::-1]) for address, each in found if int(each, 16) == port}


def test_without_a_broker_named_it_brings_its_own(embedded: tuple[GatewayProcess, int]) -> None:
    gateway, port = embedded
    publish(port, "61.5")
    wait_until(lambda: newest(gateway) == 61.5)


def test_it_listens_on_loopback_only(embedded: tuple[GatewayProcess, int]) -> None:
    assert {"127.0.0.1"} == listening_addresses(embedded[1])


def test_a_port_in_use_ends_the_start_with_what_to_do(make_gateway: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = make_gateway("--set", f"embedded_broker.port={port}").start(wait_ready=False)
        assert gateway.process is not None
        assert 3 == gateway.process.wait(10)
    assert f"port {port} of 127.0.0.1 is in use" in gateway.output()
    assert f"--broker mqtt://127.0.0.1:{port}" in gateway.output()
    assert "Traceback" not in gateway.output()


def test_an_address_that_is_none_ends_the_start_with_its_key(make_gateway: Make) -> None:
    gateway = make_gateway("--set", "embedded_broker.host=nowhere").start(wait_ready=False)
    assert gateway.process is not None
    assert 3 == gateway.process.wait(10)
    assert "embedded_broker.host 'nowhere' cannot be used" in gateway.output()
    assert "Traceback" not in gateway.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_broker_ends_with_the_gateway(embedded: tuple[GatewayProcess, int], number: signal.Signals) -> None:
    gateway, port = embedded
    (child,) = children(gateway)
    assert gateway.process is not None
    gateway.process.send_signal(number)
    gateway.process.wait(10)
    wait_until(lambda: not Path(f"/proc/{child}").exists(), what="the end of the broker")
    assert not is_listening(port)


def test_a_broker_that_dies_is_started_again(embedded: tuple[GatewayProcess, int]) -> None:
    gateway, port = embedded
    os.kill(children(gateway)[0], signal.SIGKILL)
    wait_until(lambda: gateway.counter("broker_connects_total") == 2, what="the broker again")
    gateway.wait_ready()
    publish(port, "7")
    wait_until(lambda: newest(gateway) == 7)
    assert "the embedded broker ended by itself" in gateway.output()
