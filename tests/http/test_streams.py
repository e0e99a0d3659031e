from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.conftest import GatewayProcess, Mosquitto, Pair, patient, settings, wait_until
from tests.reader import Body, Reader, get, parse

pytestmark = pytest.mark.broker
Make = Callable[..., GatewayProcess]
Read = Callable[..., Reader]
Raw = Callable[..., socket.socket]
OPTIONS = ["--set", "http.heartbeat_s=1", "--set", "http.cors_origins=https://page.example"]
BOILER = "sensors/boiler/temperature"


# --- how a stream begins ---------------------------------------------------------------------------------------------


def test_a_stream_begins_at_once_with_retry_hello_and_live(pair: Pair, read: Read) -> None:
    reader = read(pair.gateway, "/api/devices/not-there-yet/stream").live()
    assert ["", "hello", "live"] == [block.event for block in reader.blocks]
    assert 1000 <= (reader.blocks[0].retry or 0) <= 5000
    hello = reader.of("hello")[0]
    assert hello.id == str(hello.data["position"]) == str(reader.of("live")[0].data["position"])


def test_a_stream_has_the_headers_that_proxies_and_browsers_need(pair: Pair, read: Read) -> None:
    reader = read(pair.gateway, headers={"Accept-Encoding": "gzip, br, zstd"}).live()
    head = reader.body.head.lower()
    assert head.startswith("http/1.1 200")
    for line in ("content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"):
        assert line in head
    assert "content-encoding" not in head
    assert "server:" not in head


def test_head_is_answered_at_once(pair: Pair) -> None:
    for path in ("/api/stream", "/api/devices/boiler/stream", "/api/devices/boiler/readings"):
        answer = httpx.head(f"{pair.gateway.url}{path}", timeout=2)
        assert (200, b"") == (answer.status_code, answer.content)


def test_an_http_1_0_client_gets_an_unframed_body(pair: Pair, read: Read) -> None:
    reader = read(pair.gateway, version="1.0").live()
    assert "transfer-encoding" not in reader.body.head.lower()
    assert reader.body.text.startswith("retry: ")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("interval=5", "interval"), ("interval=1ms", "interval"), ("mode=some", "mode"), ("last=0", "last"),
        ("after=x", "after"), ("after=1&last=2", "last"), ("since=yesterday", "since"), ("snapshot=1", "snapshot"),
        ("metrics=a", "metrics"), ("device=", "device"), ("mode=every&mode=latest", "mode"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_a_400_that_names_it(pair: Pair, query: str, parameter: str) -> None:
    answer = pair.gateway.get(f"/api/stream?{query}")
    assert (400, parameter) == (answer.status_code, answer.json()["parameter"])
    assert "bad parameter" == answer.json()["error"]


def test_cors_is_for_configured_origins_only(pair: Pair) -> None:
    def allowed(origin: str, method: str = "GET") -> str | None:
        answer = httpx.request(method, f"{pair.gateway.url}/api/devices", headers={"Origin": origin})
        assert "Origin" in answer.headers["Vary"]
        return answer.headers.get("Access-Control-Allow-Origin")

    assert "https://page.example" == allowed("https://page.example")
    assert None is allowed("https://other.example")
    assert "https://page.example" == allowed("https://page.example", "OPTIONS")


def test_a_preflight_of_a_returning_stream_is_granted(pair: Pair) -> None:
    asked = {"Origin": "https://page.example", "Access-Control-Request-Headers": "last-event-id"}
    answer = httpx.options(f"{pair.gateway.url}/api/stream", headers=asked)
    assert 200 == answer.status_code
    assert "last-event-id" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_a_foreign_name_is_refused_on_loopback(pair: Pair) -> None:
    for host, status in (("evil.example", 403), ("localhost", 200), ("127.0.0.1:1", 200)):
        assert status == httpx.get(f"{pair.gateway.url}/api/devices", headers={"Host": host}).status_code


def test_a_heartbeat_moves_the_position_over_what_was_not_asked_for(pair: Pair, read: Read) -> None:
    reader = read(pair.gateway, "/api/stream?device=nobody").live()
    pair.broker.publish(BOILER, "1")
    wait_until(lambda: "values" in pair.gateway.get("/api/devices/boiler").json())
    position = pair.gateway.get("/api/devices").json()["position"]
    reader.wait(lambda reader: int(reader.last_id) >= position)
    assert reader.blocks[-1].data is None
    assert [] == reader.readings


# --- the shared write ------------------------------------------------------------------------------------------------


def test_streams_at_the_head_are_written_to_together(pair: Pair, read: Read) -> None:
    readers = [read(pair.gateway, "/api/devices/crowd/stream").live() for _ in range(10)]
    before = pair.gateway.counter("shared_writes_total")
    for value in range(3):
        pair.broker.publish("sensors/crowd/temperature", str(value))
        for reader in readers:
            reader.wait(lambda reader, value=value: value in reader.values("temperature"))
    assert 1 == len({tuple(block.id for block in reader.blocks if not block.event) for reader in readers})
    assert pair.gateway.counter("shared_writes_total") >= before + 30


@pytest.mark.parametrize(
    ("path", "version"),
    [("/api/stream?metric=temperature", "1.1"), ("/api/stream?mode=latest", "1.1"), ("/api/stream", "1.0")],
)
def test_a_stream_of_its_own_kind_is_written_to_by_itself(pair: Pair, read: Read, path: str, version: str) -> None:
    reader = read(pair.gateway, path, version=version).live()
    before = pair.gateway.counter("shared_writes_total")
    pair.broker.publish(BOILER, "77")
    reader.wait(lambda reader: 77 in reader.values("temperature"))
    assert before == pair.gateway.counter("shared_writes_total")


def test_a_reader_whose_request_goes_bad_while_it_is_served_disturbs_nobody(pair: Pair, read: Read) -> None:
    beside = read(pair.gateway, "/api/devices/bad/stream").live()
    for value in range(10):
        with socket.create_connection(("127.0.0.1", pair.gateway.port), timeout=5) as sock:
            path = get("/api/devices/bad/stream", pair.gateway.port, {"Transfer-Encoding": "chunked"})
            sock.sendall(path)
            assert sock.recv(65_536)
            sock.sendall(b"zz\r\n")
            pair.broker.publish("sensors/bad/temperature", str(value))
            beside.wait(lambda reader, value=value: value in reader.values("temperature"))
    assert "Traceback" not in pair.gateway.output()


def test_a_reader_that_stalls_and_comes_back_misses_nothing(pair: Pair, raw: Raw, read: Read) -> None:
    path, topic = "/api/devices/stalls/stream", "sensors/stalls/temperature"
    beside, (sock, body) = read(pair.gateway, path).live(), (raw(pair.gateway, path, receive_bytes=4096), Body())
    sock.settimeout(10)
    while "event: live" not in body.text:
        body.feed(sock.recv(4096))
    before = pair.gateway.counter("shared_writes_total")
    pair.broker.publish_lines(topic, range(5000))
    beside.wait(lambda reader: 4999 in reader.values("temperature"))
    assert pair.gateway.counter("shared_writes_total") > before
    # It joins again with the first reading after it has caught up, at the latest.
    for value in range(4999, 5002):
        shared = pair.gateway.counter("shared_writes_total")
        if value > 4999:
            pair.broker.publish(topic, str(value))
        while f":{value}}}" not in body.text[-10_000:]:
            body.feed(sock.recv(65_536))
        beside.wait(lambda reader, value=value: value in reader.values("temperature"))
    sock.close()
    readings = [block.data["values"] for block in parse(body.text) if block.data and not block.event]
    assert list(range(5002)) == [values["temperature"] for values in readings]
    assert pair.gateway.counter("shared_writes_total") >= shared + 2


# --- how many --------------------------------------------------------------------------------------------------------


def test_above_the_limit_a_stream_is_told_to_come_back_later(
    mosquitto: Mosquitto, make_gateway: Make, read: Read
) -> None:
    gateway = make_gateway("--broker", mosquitto.url, *settings(http__max_streams=10)).start()
    with_place = [read(gateway) for _ in range(10)]
    for reader in with_place:
        reader.live()
    refused = read(gateway).wait(lambda reader: reader.body.complete)
    assert refused.body.head.startswith("HTTP/1.1 200")
    assert [{"reason": "busy"}] == [block.data for block in refused.of("bye")]
    assert 30_000 <= (refused.of("bye")[0].retry or 0) <= 60_000
    with_place[0].close()
    wait_until(lambda: gateway.counter("streams") == 9)
    read(gateway).live()


def test_many_that_come_at_once_are_counted_one_by_one(mosquitto: Mosquitto, make_gateway: Make, read: Read) -> None:
    gateway = make_gateway("--broker", mosquitto.url, *settings(http__max_streams=10)).start()
    readers = [read(gateway, "/api/stream?last=5") for _ in range(40)]
    for reader in readers:
        reader.wait(lambda reader: reader.of("live") or reader.of("bye"))
    assert 10 == sum(1 for reader in readers if reader.of("live"))
    assert 30 == gateway.counter("streams_refused_total")


# --- how a stream ends -----------------------------------------------------------------------------------------------


@pytest.fixture
def raw(request: pytest.FixtureRequest) -> Callable[..., socket.socket]:
    """Makes connections that asked for a stream and take nothing; with a small window, the gateway soon feels it."""

    def open_(gateway: GatewayProcess, path: str = "/api/stream", receive_bytes: int | None = None) -> socket.socket:
        sock = socket.socket()
        request.addfinalizer(sock.close)
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.connect(("127.0.0.1", gateway.port))
        sock.sendall(get(path, gateway.port))
        return sock

    return open_


def test_a_client_that_leaves_is_forgotten_at_once(pair: Pair, raw: Raw) -> None:
    # Those of the test before may be leaving still.
    wait_until(lambda: pair.gateway.counter("streams") == 0)
    leaving = [raw(pair.gateway) for _ in range(50)]
    wait_until(lambda: pair.gateway.counter("streams") == 50)
    for sock in leaving:
        sock.close()
    wait_until(lambda: pair.gateway.counter("streams") == 0, patient(1))


def test_clients_that_leave_before_the_first_byte_leave_nothing_behind(pair: Pair, raw: Raw) -> None:
    for _ in range(200):
        raw(pair.gateway, "/api/stream?last=100").close()
    wait_until(lambda: pair.gateway.counter("streams") == 0)


def test_a_client_that_asked_for_more_on_the_same_connection_and_left_is_found(pair: Pair, raw: Raw) -> None:
    sock = raw(pair.gateway)
    sock.sendall(get("/healthz", pair.gateway.port))
    wait_until(lambda: pair.gateway.counter("streams") == 1)
    sock.close()
    wait_until(lambda: pair.gateway.counter("streams") == 0, 6)


def test_a_client_that_vanished_without_a_word_is_found_by_the_heartbeat(pair: Pair, raw: Raw) -> None:
    sock = raw(pair.gateway)
    wait_until(lambda: pair.gateway.counter("streams") == 1)
    tcp_repair = 19
    try:
        sock.setsockopt(socket.IPPROTO_TCP, tcp_repair, 1)
    except PermissionError:
        sock.close()
        pytest.skip("a connection can be dropped without a word only by root")
    sock.close()
    wait_until(lambda: pair.gateway.counter("streams") == 0, 6)


SMALL = {"log__tail_bytes": 65_536, "log__segment_bytes": 1_000_000, "log__retention_bytes": 4_000_000}


@pytest.mark.slow
def test_a_reader_that_takes_nothing_costs_little_and_slows_nobody(
    mosquitto: Mosquitto, make_gateway: Make, read: Read, raw: Raw
) -> None:
    gateway = make_gateway("--broker", mosquitto.url, *settings(**SMALL, http__send_timeout_s=60)).start()
    taking = read(gateway).live()
    mosquitto.publish_lines(BOILER, range(10_000))
    taking.wait(lambda reader: len(reader.readings) == 10_000, 30)
    before = gateway.resident_kb()
    stalled = [raw(gateway, receive_bytes=4096) for _ in range(40)]
    wait_until(lambda: gateway.counter("streams") == 41)
    mosquitto.publish_lines(BOILER, range(10_000, 20_000))
    taking.wait(lambda reader: len(reader.readings) == 20_000, 30)
    grown_kb = (gateway.resident_kb() - before) / len(stalled)
    print(f"\na stalled reader costs {grown_kb:.0f} kB")
    assert list(range(20_000)) == taking.values("temperature")
    assert gateway.counter("stream_lag_max") > 1000
    assert grown_kb < 500


def test_a_reader_that_takes_nothing_for_long_is_cut(
    mosquitto: Mosquitto, make_gateway: Make, read: Read, raw: Raw
) -> None:
    gateway = make_gateway(
        "--broker", mosquitto.url, *settings(**SMALL, http__send_timeout_s=1, http__heartbeat_s=1)
    ).start()
    taking = read(gateway).live()
    raw(gateway, receive_bytes=4096)
    wait_until(lambda: gateway.counter("streams") == 2)
    mosquitto.publish_lines(BOILER, range(5000))
    wait_until(lambda: gateway.counter("streams") == 1, 6, "the cut")
    assert 1 == gateway.counter("streams_cut_total")
    taking.wait(lambda reader: 4999 in reader.values("temperature"))


def test_a_slow_reader_misses_nothing(pair: Pair, raw: Raw) -> None:
    position = pair.gateway.get("/api/devices").json()["position"]
    sock, body = raw(pair.gateway, f"/api/devices/slow/stream?after={position}", receive_bytes=4096), Body()
    sock.settimeout(10)
    pair.broker.publish_lines("sensors/slow/temperature", range(5000))
    while ":4999}" not in body.text[-10_000:]:
        body.feed(sock.recv(4096))
        time.sleep(0.001)
    sock.close()
    readings = [block.data["values"] for block in parse(body.text) if block.data and not block.event]
    assert list(range(5000)) == [values["temperature"] for values in readings]


@pytest.mark.slow
def test_a_long_replay_lets_others_have_their_turn(pair: Pair, read: Read) -> None:
    pair.broker.publish_lines("sensors/long/temperature", range(20_000))
    wait_until(
        lambda: (
            pair.gateway.get("/api/devices/long").json().get("values", {}).get("temperature", {}).get("value") == 19_999
        ),
        20,
    )
    replaying = [read(pair.gateway, "/api/devices/long/stream?after=earliest") for _ in range(5)]
    longest = 0.0
    deadline = time.monotonic() + 20
    while not all(reader.of("live") for reader in replaying) and time.monotonic() < deadline:
        began = time.monotonic()
        pair.gateway.get("/healthz")
        longest = max(longest, time.monotonic() - began)
    assert longest < patient(1)
    assert [20_000] * 5 == [len(reader.readings) for reader in replaying]


def test_streams_end_with_the_gateway_and_say_so(mosquitto: Mosquitto, make_gateway: Make, read: Read) -> None:
    gateway = make_gateway("--broker", mosquitto.url).start()
    readers = [read(gateway).live() for _ in range(5)]
    stopping = threading.Thread(target=gateway.stop)
    stopping.start()
    for reader in readers:
        reader.wait_ended(3)
        assert [{"reason": "stopping"}] == [block.data for block in reader.of("bye")]
        assert True is reader.body.complete
    stopping.join()
