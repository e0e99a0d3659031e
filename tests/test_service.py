from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from gateway.config import Config, load
from gateway.decode import Topics
from gateway.errors import BrokerError
from gateway.intake.intake import Intake
from gateway.reading import Message
from gateway.service import Gateway
from gateway.state_file import StateFile
from gateway.stations import Stations
from tests.conftest import Mosquitto, free_port

pytestmark = pytest.mark.broker
BOILER = "sensors/boiler/temperature"


@pytest.fixture
def config(mosquitto: Mosquitto, tmp_path: Path) -> Config:
    overrides = [
        ("mqtt.broker", mosquitto.url),
        ("http.port", str(free_port())),
        ("log.folder", str(tmp_path / "data")),
    ]
    return load(None, overrides, {})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - conditions of many kinds
            await asyncio.sleep(0.01)


def stations_of(gateway: Gateway) -> Stations:
    assert gateway.stations is not None
    return gateway.stations


def faults(gateway: Gateway) -> dict[str, str]:
    return stations_of(gateway)._faults()


async def publish(mosquitto: Mosquitto, *payloads: str) -> None:
    await asyncio.to_thread(mosquitto.publish_lines, BOILER, payloads)


async def test_a_background_task_that_fails_ends_the_gateway_with_its_error(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(stations: Stations) -> None:
        await asyncio.sleep(0.2)
        raise ZeroDivisionError("retention")

    monkeypatch.setattr(Stations, "_trim_forever", fails)
    gateway = Gateway(config)
    async with asyncio.timeout(10):
        with pytest.raises(ZeroDivisionError, match="retention"):
            await gateway.run(asyncio.Event())
    with pytest.raises(httpx.ConnectError):
        await asyncio.to_thread(httpx.get, gateway.address)


async def test_a_message_that_meets_a_fault_of_ours_costs_that_message_only(
    config: Config, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, stop = Gateway(config), asyncio.Event()
    decode = Topics.decode

    def decode_or_fail(decoder: Topics, message: Message) -> object:
        if message.payload == b"13":
            raise ZeroDivisionError("a fault")
        return decode(decoder, message)

    monkeypatch.setattr(Topics, "decode", decode_or_fail)
    running = asyncio.create_task(gateway.run(stop))
    await gateway.serving.wait()
    await until(lambda: not faults(gateway))
    await publish(mosquitto, "12", "13", "13", "14")
    await until(lambda: gateway.counters.entries_total["reading"] == 2)
    stop.set()
    await running
    assert {"fault": 2} == dict(gateway.counters.rejected_total)
    assert 1 == sum("ZeroDivisionError" in (record.exc_text or "") for record in caplog.records)


async def test_a_fault_beyond_one_message_ends_the_gateway_with_its_error(
    config: Config, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(intake: Intake, messages: list[Message], acknowledge: Callable[[], bool], *, is_behind: bool) -> bool:
        raise ZeroDivisionError("append")

    monkeypatch.setattr(Intake, "receive", receive)
    gateway = Gateway(config)
    running = asyncio.create_task(gateway.run(asyncio.Event()))
    await gateway.serving.wait()
    await until(lambda: not faults(gateway))
    await publish(mosquitto, "12")
    async with asyncio.timeout(10):
        with pytest.raises(ZeroDivisionError, match="append"):
            await running


async def test_state_files_are_not_written_on_the_log_s_writer_thread(
    config: Config, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk, or a program that holds a file, must not delay a commit."""
    wrote: set[tuple[str, str]] = set()
    save = StateFile._save

    def noted(file: StateFile, number: int, stored: object) -> None:
        wrote.add((file._path.name, threading.current_thread().name.partition("_")[0]))
        save(file, number, stored)  # type: ignore[arg-type] # what it was called with

    monkeypatch.setattr(StateFile, "_save", noted)
    await asyncio.to_thread(mosquitto.publish, BOILER, "12", "-r")
    gateway, stop = Gateway(config), asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    await until(lambda: gateway.counters.entries_total["reading"] == 1)
    stop.set()
    await running
    assert {"retained.json", "session.json"} == {name for name, _ in wrote}
    assert {("retained.json", "state-files")} == {each for each in wrote if each[0] == "retained.json"}
    assert "log-writer" not in {thread for _, thread in wrote}


async def test_stations_that_cannot_be_made_leave_a_log_that_ended_in_order(config: Config, tmp_path: Path) -> None:
    """A start that fails must not look like a crash: after the next boot readers would be told a gap for nothing."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    mqtt = replace(config.mqtt, broker="mqtts://127.0.0.1:1", ca=str(broken))
    with pytest.raises(BrokerError, match=r"mqtt\.ca"):
        await Gateway(replace(config, mqtt=mqtt)).run(asyncio.Event())
    folder = tmp_path / "data" / "log"
    assert [] == list(folder.glob("*-wal"))
    assert '"is_ended":true' in (folder / "newest").read_text()


async def test_a_gateway_asked_to_stop_before_it_serves_does_not_serve(config: Config) -> None:
    gateway, stop = Gateway(config), asyncio.Event()
    stop.set()
    async with asyncio.timeout(10):
        await gateway.run(stop)
    assert not gateway.serving.is_set()


@pytest.mark.slow
async def test_a_pause_that_outlives_the_connection_ends_with_all_messages(
    config: Config, mosquitto: Mosquitto
) -> None:
    """While the disk refuses, nothing is read; paho then misses the broker's answers and gives up after two keepalives."""
    gateway, stop = Gateway(replace(config, mqtt=replace(config.mqtt, keepalive_s=5))), asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    await gateway.serving.wait()
    await until(lambda: not faults(gateway))
    session = stations_of(gateway)._session
    session.pause()
    await publish(mosquitto, "1", "2", "3")
    async with asyncio.timeout(20):
        while not gateway.counters.broker_disconnects_total:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)
    assert (1, {}) == (gateway.counters.broker_connects_total, dict(gateway.counters.entries_total))
    session.resume()
    await until(lambda: gateway.counters.entries_total["reading"] == 3)
    assert 2 == gateway.counters.broker_connects_total
    stop.set()
    await running
