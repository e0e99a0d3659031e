from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.mqtt import drive as drive_module
from gateway.mqtt.bulk import READ_BYTES, BulkClient
from gateway.mqtt.drive import REST_ROUNDS, Drive
from tests.conftest import GatewayProcess, Mosquitto, patient, settings, wait_until
from tests.parts import HandClock

pytestmark = pytest.mark.broker
Make = Callable[..., GatewayProcess]
MakeBroker = Callable[..., Mosquitto]
BOILER = "sensors/boiler/temperature"


def test_more_than_1024_open_files_do_not_deafen_it(mosquitto: Mosquitto, gateway: GatewayProcess) -> None:
    streams = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(1100)]
    try:
        for stream in streams:
            stream.sendall(f"GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n\r\n".encode())
        wait_until(lambda: gateway.counter("streams") == 1100, 20, "1,100 streams")
        mosquitto.restart()
        wait_until(lambda: gateway.counter("broker_connects_total") == 2, 20, "the broker again")
        mosquitto.publish(BOILER, "1")
        wait_until(lambda: [1] == gateway.logged())
    finally:
        for stream in streams:
            stream.close()


async def test_between_the_turns_of_a_flood_others_have_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive_module, "TURN_S", 0)
    monkeypatch.setattr(drive_module, "REST_S", 60)
    loop, rounds, read_in = asyncio.get_running_loop(), 0, []

    def go_round() -> None:
        nonlocal rounds
        rounds += 1
        if len(read_in) < 4:
            loop.call_soon(go_round)

    client = BulkClient(lambda _: read_in.append(rounds), HandClock(), manual_ack=True, client_id="one")
    drive = Drive(client)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    client._sock, drive._is_wanted = ours, True
    with theirs:
        theirs.sendall((b"\x30\x7e\x00\x01a" + b"x" * 123) * (4 * READ_BYTES // 128))
        drive._attach(ours)
        go_round()
        async with asyncio.timeout(patient(5)):
            while len(read_in) < 4:  # noqa: ASYNC110 - nothing sets an event here
                await asyncio.sleep(0)
    assert all(later - earlier >= REST_ROUNDS for earlier, later in itertools.pairwise(read_in))
    drive.close()
    client._sock = None


class FalseBroker:
    """Listens, and answers each connection with ``answer``; counts those that are open."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.came, self.open = answer, 0, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.came += 1
        self.open += 1
        with connection:
            try:
                connection.recv(1000)
                connection.sendall(self.answer)
                while connection.recv(1000):
                    pass
            except OSError:
                pass
        self.open -= 1

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def false_broker(request: pytest.FixtureRequest) -> Iterator[FalseBroker]:
    broker = FalseBroker(request.param)
    yield broker
    broker.close()


CONNACK = b"\x20\x02\x00\x00"
BROKEN_SUBACK, BROKEN_PUBLISH = b"\x90\x01\x00", b"\x32\x03\x00\x09a"
FAST = settings(mqtt__connect_timeout_s=0.5, mqtt__reconnect_max_s=1)


@pytest.mark.parametrize("false_broker", [b""], indirect=True)
def test_a_broker_that_says_nothing_is_told_and_its_connections_are_closed(
    false_broker: FalseBroker, make_gateway: Make
) -> None:
    gateway = make_gateway("--broker", f"mqtt://127.0.0.1:{false_broker.port}", *FAST).start(wait_ready=False)
    wait_until(lambda: false_broker.came >= 3, what="three attempts")
    assert f"cannot connect to 127.0.0.1:{false_broker.port}: no answer" == gateway.faults()["ingest"]
    assert false_broker.open <= 1
    assert 1 == gateway.output().count("no answer")


@pytest.mark.parametrize(
    "false_broker", [CONNACK + BROKEN_SUBACK, CONNACK + BROKEN_PUBLISH, b"HTTP/1.1 400 \r\n"], indirect=True
)
def test_a_broker_that_sends_what_is_no_packet_costs_the_connection_and_nothing_else(
    false_broker: FalseBroker, make_gateway: Make
) -> None:
    gateway = make_gateway("--broker", f"mqtt://127.0.0.1:{false_broker.port}", *FAST).start(wait_ready=False)
    wait_until(lambda: false_broker.came >= 3, what="three attempts")
    assert 200 == gateway.get("/healthz").status_code
    assert false_broker.open <= 1
    assert 503 == gateway.get("/readyz").status_code


def test_a_broker_that_swallows_connections_does_not_hold_up_the_end(make_gateway: Make) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        gateway = make_gateway("--broker", f"mqtt://127.0.0.1:{port}").start(wait_ready=False)
        gateway.wait_serving()
        began = time.monotonic()
        assert 0 == gateway.stop()
        assert time.monotonic() - began < patient(2)
        for sock in waiting:
            sock.close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
def test_a_name_that_cannot_be_found_is_told_and_tried_again(make_gateway: Make, host: str) -> None:
    gateway = make_gateway("--broker", f"mqtt://{host}:1883", *FAST).start(wait_ready=False)
    gateway.wait_serving()
    wait_until(lambda: f"cannot connect to {host}:1883" in gateway.faults()["ingest"], what="the fault")
    assert "Traceback" not in gateway.output()
    assert 0 == gateway.stop()


@pytest.mark.slow
def test_two_sessions_with_one_name_do_not_take_over_from_each_other_in_a_storm(
    mosquitto: Mosquitto, make_gateway: Make
) -> None:
    gateways = [make_gateway("--broker", mosquitto.url, *settings(mqtt__client_id="same")) for _ in range(2)]
    for gateway in gateways:
        gateway.start(wait_ready=False)
    time.sleep(6)
    assert sum(gateway.counter("broker_connects_total") for gateway in gateways) < 12
