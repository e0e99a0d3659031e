from __future__ import annotations

import asyncio
import itertools
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulators import fleet as fleet_module
from simulators.address import Broker
from simulators.device import line_up
from simulators.fleet import Fleet, FleetError, UnreachableError
from tests.conftest import Mosquitto, free_port

START_MS = 1_795_335_752_000
MakeBroker = Callable[..., Mosquitto]
broker = pytest.mark.broker


async def until(done: Callable[[], bool], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():  # noqa: ASYNC110  counters have no event to wait for
            await asyncio.sleep(0.01)


async def received(port: int, count: int) -> list[bytes]:
    """The first messages that a subscriber gets, as ``topic payload`` lines."""
    command = ["mosquitto_sub", "-p", str(port), "-t", "sensors/#", "-v", "-q", "1", "-C", str(count), "-W", "30"]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-3)
    output, _ = await process.communicate()
    return output.splitlines()


@broker
async def test_all_that_is_published_at_qos_1_is_acknowledged(mosquitto: Mosquitto) -> None:
    async with Fleet(mosquitto.url, line_up(20, rate=20)) as fleet:
        await until(lambda: fleet.counters.readings_total > 500)
    counters = fleet.counters
    assert counters.published_total == counters.acknowledged_total
    assert (0, 0, 0) == (counters.skipped_total, counters.refused_total, counters.connected)


@broker
@pytest.mark.parametrize(("qos", "protocol"), [(0, "3.1.1"), (2, "3.1.1"), (1, "5")])
async def test_other_qos_and_mqtt_5_work_too(mosquitto: Mosquitto, qos: int, protocol: str) -> None:
    async with Fleet(mosquitto.url, line_up(5, rate=20, qos=qos), protocol=protocol) as fleet:
        await until(lambda: fleet.counters.readings_total > 100)
    assert fleet.counters.published_total == fleet.counters.acknowledged_total


@broker
async def test_a_subscriber_gets_the_bytes_that_the_schedule_promises(mosquitto: Mosquitto) -> None:
    devices = line_up(6, rate=10)
    listening = asyncio.create_task(received(mosquitto.port, 150))
    await asyncio.sleep(0.5)
    async with Fleet(mosquitto.url, devices, start_ms=START_MS):
        lines = await listening
    for device in devices:
        below = ["", *(f"/{metric.name}" for metric in device.profile.metrics)]
        topics = tuple(f"sensors/{device.name}{end} ".encode() for end in below)
        got = [line for line in lines if line.startswith(topics)]
        promised = [p.topic.encode() + b" " + p.payload for p in itertools.islice(device.reports(START_MS), len(got))]
        assert promised == got
    assert 150 == len(lines)


@broker
async def test_while_it_runs_each_device_is_online_and_described(mosquitto: Mosquitto) -> None:
    async with Fleet(mosquitto.url, line_up(10)) as fleet:
        await until(lambda: fleet.counters.acknowledged_total >= 20)
        kept = await asyncio.to_thread(mosquitto.retained)
    for device in fleet.devices:
        assert "online" == kept[device.availability_topic]
        assert device.announcement(0)[1].payload.decode() == kept[f"sensors/{device.name}/info"]
    assert 20 == len(kept)


@broker
async def test_after_a_clean_stop_each_device_is_offline(mosquitto: Mosquitto) -> None:
    async with Fleet(mosquitto.url, line_up(10)) as fleet:
        await until(lambda: fleet.counters.connected == 10)
    kept = await asyncio.to_thread(mosquitto.retained, "sensors/+/availability")
    assert {"offline"} == set(kept.values())


@broker
async def test_a_restart_of_the_broker_is_survived(mosquitto: Mosquitto) -> None:
    async with Fleet(mosquitto.url, line_up(8, rate=20)) as fleet:
        await until(lambda: fleet.counters.readings_total > 100)
        await asyncio.to_thread(mosquitto.stop)
        await until(lambda: fleet.counters.connected == 0)
        assert fleet.reason()
        await asyncio.sleep(0.5)
        assert fleet.counters.skipped_disconnected_total > 0
        await asyncio.to_thread(mosquitto.start)
        await until(lambda: fleet.counters.connected == 8)
        seen = fleet.counters.readings_total
        await until(lambda: fleet.counters.readings_total > seen + 100)
        kept = await asyncio.to_thread(mosquitto.retained, "sensors/+/availability")
    assert {"online"} == set(kept.values())
    assert fleet.counters.published_total == fleet.counters.acknowledged_total


@broker
async def test_run_ends_when_it_is_told_to(mosquitto: Mosquitto) -> None:
    fleet, stop = Fleet(mosquitto.url, line_up(3)), asyncio.Event()
    running = asyncio.create_task(fleet.run(stop))
    await fleet.connected(5)
    stop.set()
    await asyncio.wait_for(running, 5)
    assert 0 == fleet.counters.connected


@broker
async def test_reports_keep_to_the_asked_rate(mosquitto: Mosquitto) -> None:
    async with Fleet(mosquitto.url, line_up(10, rate=10, profiles=["greenhouse"])) as fleet:
        await until(lambda: fleet.counters.readings_total >= 10)
        before, began_s = fleet.counters.readings_total, asyncio.get_running_loop().time()
        await asyncio.sleep(3)
        rate = (fleet.counters.readings_total - before) / (asyncio.get_running_loop().time() - began_s)
    assert 90 < rate < 110


@broker
async def test_a_rate_that_cannot_be_kept_shows_as_lateness(mosquitto: Mosquitto) -> None:
    async with Fleet(mosquitto.url, line_up(50, rate=1000, profiles=["weather"])) as fleet:
        await until(lambda: fleet.counters.behind_s > 1)
        assert 50 == fleet.counters.connected


@broker
async def test_websocket_works(make_mosquitto: MakeBroker) -> None:
    port = free_port()
    # mosquitto 2.0.11 does not start with a WebSocket listener alone, so it is the second one.
    make_mosquitto(f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets")
    async with Fleet(f"ws://127.0.0.1:{port}/mqtt", line_up(5, rate=10)) as fleet:
        await until(lambda: fleet.counters.acknowledged_total > 50)
    assert fleet.counters.published_total == fleet.counters.acknowledged_total


@broker
async def test_tls_works_with_a_ca_that_is_named(make_mosquitto: MakeBroker, certificate: tuple[Path, Path]) -> None:
    mosquitto = make_mosquitto(f"allow_anonymous true\ncertfile {certificate[0]}\nkeyfile {certificate[1]}")
    address = Broker.parse(f"mqtts://localhost:{mosquitto.port}", ca=str(certificate[0]))
    async with Fleet(address, line_up(5, rate=10)) as fleet:
        await until(lambda: fleet.counters.acknowledged_total > 50)
    assert fleet.counters.published_total == fleet.counters.acknowledged_total


# paho leaves a socket to the garbage collector when the handshake fails.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@broker
async def test_tls_with_an_unknown_ca_is_refused_with_the_reason(
    make_mosquitto: MakeBroker, certificate: tuple[Path, Path]
) -> None:
    mosquitto = make_mosquitto(f"allow_anonymous true\ncertfile {certificate[0]}\nkeyfile {certificate[1]}")
    async with Fleet(f"mqtts://localhost:{mosquitto.port}", line_up(1)) as fleet:
        with pytest.raises(UnreachableError, match=r"self.signed certificate"):
            await fleet.connected(1)


async def test_a_broker_that_is_not_there_is_named_with_the_reason() -> None:
    async with Fleet("mqtt://127.0.0.1:1", line_up(2)) as fleet:
        with pytest.raises(UnreachableError, match=r"mqtt://127.0.0.1:1 within 0.5 s: connection refused"):
            await fleet.connected(0.5)


async def test_a_ca_file_of_no_use_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    address = Broker.parse("mqtts://localhost", ca=str(tmp_path / "ca.pem"))
    with pytest.raises(FleetError, match=r"cannot use the CA file .*ca\.pem"):
        await Fleet(address, line_up(1)).__aenter__()


async def test_too_few_open_files_are_told_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    with pytest.raises(FleetError, match="needs 3,064 open files and may have 1,024"):
        await Fleet("mqtt://127.0.0.1:1", line_up(1000)).__aenter__()


async def test_a_soft_limit_of_open_files_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1_048_576))
    monkeypatch.setattr(resource, "setrlimit", lambda *arguments: raised.append(arguments))
    async with Fleet("mqtt://127.0.0.1:1", line_up(100)):
        assert [(resource.RLIMIT_NOFILE, (364, 1_048_576))] == raised


async def test_a_fault_in_the_publishing_loop_is_raised_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "schedule", lambda *_: 1 / 0)
    fleet = Fleet("mqtt://127.0.0.1:1", line_up(1))
    fleet.counters.connects_total = fleet.counters.connected = 1
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(fleet.run(asyncio.Event()), 5)
