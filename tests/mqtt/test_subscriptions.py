from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import iotcore
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.clock import Clock
from gateway.config import load
from gateway.counters import Counters
from gateway.decode import Topics
from gateway.mqtt import session as mqtt
from gateway.mqtt.client import stable_client_id
from gateway.mqtt.drops import DROPPED_TOPIC
from gateway.mqtt.facts import MAX_CUTS_FOR_ASKING, Facts
from gateway.reading import Message
from gateway.service import Gateway
from tests.conftest import GatewayProcess, Mosquitto, free_port, need, patient, settings, wait_until
from tests.reader import Reader

pytestmark = pytest.mark.broker
Make = Callable[..., GatewayProcess]
MakeBroker = Callable[..., Mosquitto]
Read = Callable[..., Reader]
BOILER = "sensors/boiler/temperature"
FILTERS = sorted(load(environment={}).subscriptions())


def dynamic_security(folder: Path, *, subscribe: bool) -> str:
    """Lines for a broker that refuses subscriptions: its ACL file cannot, the plugin can."""
    plugin = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)
    if plugin is None:
        pytest.skip("mosquitto_dynamic_security.so is missing: it comes with mosquitto 2")
    access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": subscribe, "unsubscribe": True}
    config = folder / "dynamic-security.json"
    config.write_text(json.dumps({"defaultACLAccess": access, "clients": [], "groups": [], "roles": []}))
    return f"allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file {config}"


def test_a_refused_subscription_is_told(make_mosquitto: MakeBroker, make_gateway: Make, tmp_path: Path) -> None:
    broker = make_mosquitto(dynamic_security(tmp_path, subscribe=False))
    gateway = make_gateway("--broker", broker.url).start(wait_ready=False)
    gateway.wait_serving()
    wait_until(lambda: "refused" in gateway.faults()["ingest"], what="the refusal")
    assert f"the broker refused {', '.join(load(environment={}).subscriptions())}" == gateway.faults()["ingest"]
    assert "no readings come from there" in gateway.output()
    assert len(load(environment={}).subscriptions()) == gateway.counter("subscriptions_refused_total")
    dynamic_security(tmp_path, subscribe=True)
    broker.restart()
    gateway.wait_ready()


def test_it_subscribes_again_when_the_broker_lost_the_session(make_mosquitto: MakeBroker, make_gateway: Make) -> None:
    broker = make_mosquitto("allow_anonymous true\npersistence false")
    gateway = make_gateway("--broker", broker.url).start()
    broker.restart()
    wait_until(lambda: gateway.counter("broker_connects_total") == 2 and not gateway.faults())
    broker.publish(BOILER, "1")
    wait_until(lambda: [1] == gateway.logged())


def test_a_changed_configuration_changes_the_subscriptions_of_the_kept_session(
    mosquitto: Mosquitto, make_gateway: Make
) -> None:
    gateway = make_gateway("--broker", mosquitto.url).start()
    gateway.stop()
    config = gateway.folder / "config.toml"
    config.write_text('[[topics]]\npattern = "plant/{device}/{metric}"\n')
    gateway.start()
    mosquitto.publish("plant/boiler/temperature", "7")
    wait_until(lambda: [7] == gateway.logged())
    mosquitto.publish(BOILER, "8")
    mosquitto.publish("plant/boiler/temperature", "9")
    wait_until(lambda: [7, 9] == gateway.logged())
    assert 2 == gateway.counter("messages_total")


def forget_subscriptions(broker: Mosquitto, gateway: GatewayProcess) -> None:
    """As a broker does that was killed before it saved them, or restored from an older copy: the session is there."""
    config = load(None, [("log.folder", str(gateway.folder / "data"))], {})
    client_id = stable_client_id(config)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    done = threading.Event()
    client.on_unsubscribe = lambda *_: done.set()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.unsubscribe(list(load(environment={}).subscriptions()))
    assert done.wait(10)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_session_that_lost_its_subscriptions_while_we_were_away_is_not_deaf(
    mosquitto: Mosquitto, make_gateway: Make, protocol: str
) -> None:
    mosquitto.publish("sensors/kept/temperature", "1", "-r")
    gateway = make_gateway("--broker", mosquitto.url, *settings(mqtt__protocol=protocol)).start()
    wait_until(lambda: [1] == gateway.logged("kept"))
    gateway.stop()
    forget_subscriptions(mosquitto, gateway)
    gateway.start()
    mosquitto.publish(BOILER, "1")
    wait_until(lambda: [1] == gateway.logged())
    assert "session resumed" in gateway.output()
    assert [1] == gateway.logged("kept")


def test_a_retained_copy_of_what_came_live_is_no_news(mosquitto: Mosquitto, make_gateway: Make) -> None:
    gateway = make_gateway("--broker", mosquitto.url).start()
    mosquitto.publish(BOILER, "61.5", "-r")
    wait_until(lambda: [61.5] == gateway.logged())
    gateway.stop()
    gateway.start()
    mosquitto.publish(BOILER, "62")
    wait_until(lambda: 62 in gateway.logged())
    assert [61.5, 62] == gateway.logged()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_retained_messages_are_decoded_after_each_start_and_connect_and_logged_once(
    mosquitto: Mosquitto, tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a decoder with state needs it: what describes a device comes once, and is kept by the broker alone."""
    overrides = [
        ("mqtt.broker", mosquitto.url),
        ("mqtt.protocol", protocol),
        ("http.port", "0"),
        ("log.folder", str(tmp_path)),
    ]
    config = load(None, overrides, {})
    await asyncio.to_thread(mosquitto.publish, BOILER, "61.5", "-r")
    logged, decode = [], Topics.decode
    for start in range(3):
        decoded: list[bytes] = []
        gateway, stop = Gateway(config), asyncio.Event()

        def counted(topics: Topics, message: Message, decoded: Any = decoded) -> Any:
            decoded.append(message.payload)
            return decode(topics, message)

        monkeypatch.setattr(Topics, "decode", counted)
        running = asyncio.create_task(gateway.run(stop))
        async with asyncio.timeout(patient(20)):
            while not decoded:  # noqa: ASYNC110 - nothing sets an event here
                await asyncio.sleep(0.01)
            if start == 1:
                await asyncio.to_thread(mosquitto.restart)
                while len(decoded) < 2:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        stop.set()
        await running
        logged.append(gateway.counters.entries_total["reading"])
        assert [b"61.5"] * (2 if start == 1 else 1) == decoded
    assert [1, 0, 0] == logged


def test_a_data_folder_of_before_versions_opens_and_logs_no_retained_message_again(
    mosquitto: Mosquitto, make_gateway: Make
) -> None:
    """Its `session.json` held the memory of retained messages; what the registry knows would not help with this one."""
    mosquitto.publish("sensors/boiler/temperature", "61.5", "-r")
    mosquitto.publish("sensors/boiler/temperature", "70")
    gateway = make_gateway("--broker", mosquitto.url).start()
    wait_until(lambda: [61.5] == gateway.logged())
    mosquitto.publish(BOILER, "62")
    wait_until(lambda: [61.5, 62] == gateway.logged())
    gateway.stop()
    data = gateway.folder / "data"
    facts, retained = (json.loads((data / f"{name}.json").read_text()) for name in ("session", "retained"))
    assert (1, 1) == (facts.pop("version"), retained.pop("version"))
    (data / "retained.json").unlink()
    (data / "session.json").write_text(json.dumps({**facts, **retained}))
    gateway.start()
    wait_until(lambda: gateway.counter("retained_repeats_total") == 1)
    assert [61.5, 62] == gateway.logged()
    assert (data / "retained.json").exists()


def test_a_data_folder_of_a_newer_gateway_is_refused_and_nothing_in_it_changes(make_gateway: Make) -> None:
    gateway = make_gateway("--broker", "mqtt://127.0.0.1:1")
    (gateway.folder / "data").mkdir()
    (gateway.folder / "data/session.json").write_text('{"version":2}')
    gateway.start(wait_ready=False)
    assert gateway.process is not None
    assert 1 == gateway.process.wait(20)
    assert (
        "session.json was written by a newer gateway: it has version 2 of its format, and this one reads up to version 1"
        in gateway.output()
    )
    assert ["session.json"] == [path.name for path in (gateway.folder / "data").iterdir()]


# --- a broker that will lose readings --------------------------------------------------------------------------------


def warning(gateway: GatewayProcess) -> str:
    return str(gateway.get("/readyz").json()["warnings"].get("ingest", ""))


def test_a_grant_at_qos_0_is_warned_about(make_mosquitto: MakeBroker, make_gateway: Make) -> None:
    broker = make_mosquitto("allow_anonymous true\nmax_qos 0")
    gateway = make_gateway("--broker", broker.url).start()
    wait_until(lambda: warning(gateway), what="the warning")
    assert f"the broker granted QoS 0 only, and keeps nothing for us: {', '.join(FILTERS)}" == warning(gateway)
    assert 200 == gateway.get("/readyz").status_code


def test_a_broker_that_forgot_the_session_is_warned_about(make_mosquitto: MakeBroker, make_gateway: Make) -> None:
    broker = make_mosquitto("allow_anonymous true\npersistence false")
    gateway = make_gateway("--broker", broker.url).start()
    assert "" == warning(gateway)
    broker.restart()
    wait_until(lambda: "forgotten our session" in warning(gateway), what="the warning")
    assert 1 == gateway.counter("sessions_lost_total")


def test_a_broker_that_dropped_what_it_queued_for_us_is_warned_about(
    make_mosquitto: MakeBroker, make_gateway: Make
) -> None:
    broker = make_mosquitto("allow_anonymous true\nmax_queued_messages 10\nsys_interval 1")
    gateway = make_gateway("--broker", broker.url).start()
    wait_until(lambda: (gateway.folder / "data/session.json").read_text().count('"dropped":0'), what="the count")
    gateway.stop()
    broker.publish_lines(BOILER, range(3000))
    gateway.start()
    wait_until(lambda: "the broker has dropped" in warning(gateway), what="the warning")
    wait_until(lambda: gateway.counter("broker_dropped_total") + len(gateway.logged()) == 3000, what="the count")


def test_a_broker_that_sends_few_messages_at_once_is_warned_about(make_gateway: Make) -> None:
    """The embedded broker's program as a broker of its own: 100 in flight, as MQTT has it. mosquitto 2.0.11 sends more."""
    broker = iotcore.Broker(port=free_port(), listen="127.0.0.1")
    broker.start(10)
    try:
        gateway = make_gateway("--broker", f"mqtt://127.0.0.1:{broker.port}").start()
        command = [need("mosquitto_pub", "mosquitto-clients"), "-p", str(broker.port), "-q", "1", "-t", BOILER, "-l"]
        lines = "".join(f"{number}\n" for number in range(20_000))

        def is_told() -> bool:
            subprocess.run(command, input=lines.encode(), check=True, timeout=60)
            return "the broker sends at most 100 messages before it waits for us" in warning(gateway)

        # On a machine where others wait for the processor too, it is often not the broker that waits.
        wait_until(is_told, 90, what="the warning")
    finally:
        broker.stop()


CONNECT, CONNACK, PINGRESP, BROKEN_SUBACK = 0x10, b"\x20\x02\x00\x00", b"\xd0\x00", b"\x90\x01\x00"


class Nowhere:
    """A sink of a session that nothing comes out of."""

    def connection_began(self, *, resumed: bool) -> None:
        pass

    def receive(self, messages: list[Message], acknowledge: Callable[[], bool], *, is_behind: bool) -> bool:
        raise AssertionError(messages)


def raise_on_a_packet(_client: paho.Client) -> None:
    """As paho does with some that it did not expect."""
    raise IndexError


@pytest.mark.parametrize(
    "answer", [b"", BROKEN_SUBACK, PINGRESP], ids=["by closing", "by what is no packet", "by what paho raises on"]
)
async def test_a_broker_that_breaks_when_asked_for_its_drops_is_not_asked_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(mqtt, "RECONNECT_MIN_S", 0.01)
    monkeypatch.setattr(paho.Client, "_handle_pingresp", raise_on_a_packet)
    asked, served = 0, []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        served.append(asyncio.current_task())
        with closing(writer):
            while packet := await reader.read(1000):
                if packet[0] == CONNECT:
                    writer.write(CONNACK)
                elif DROPPED_TOPIC.encode() in packet:
                    asked += 1
                    if not answer:
                        return
                    writer.write(answer)
                else:
                    writer.write(bytes([0x90, 2 + len(FILTERS)]) + packet[2:4] + b"\x01" * len(FILTERS))

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        config = load(None, [("mqtt.broker", f"mqtt://127.0.0.1:{port}"), ("log.folder", str(tmp_path))], {})
        facts = Facts(tmp_path, "", "")
        session = mqtt.Session(config, Counters(), Clock(), facts, Nowhere(), lambda _by_s: None)
        running = asyncio.create_task(session.run())
        async with asyncio.timeout(patient(10)):
            while len(served) <= MAX_CUTS_FOR_ASKING or session.fault:  # noqa: ASYNC110 - nothing sets an event here
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert (MAX_CUTS_FOR_ASKING, MAX_CUTS_FOR_ASKING + 1, "") == (asked, len(served), session.fault)
        running.cancel()
        await asyncio.wait([running, *served])


def test_streams_are_told_what_stands_in_the_way_and_when_nothing_does(
    mosquitto: Mosquitto, gateway: GatewayProcess, read: Read
) -> None:
    reader = read(gateway).live()
    assert [] == reader.of("gateway")
    mosquitto.stop()
    reader.wait(lambda reader: reader.of("gateway"))
    told = reader.of("gateway")[0]
    assert ("not ready", "") == (told.data["status"], told.id)
    assert f"127.0.0.1:{mosquitto.port}" in told.data["faults"]["ingest"]
    late = read(gateway).live()
    assert ["hello", "gateway"] == [block.event for block in late.blocks if block.event][:2]
    mosquitto.start()
    reader.wait(lambda reader: reader.of("gateway")[-1].data["status"] == "ready")
    assert {} == reader.of("gateway")[-1].data["faults"]
