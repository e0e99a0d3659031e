from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.http.hypercorn import server
from tests.conftest import GatewayProcess, Mosquitto, Pair, need, patient, wait_until
from tests.reader import Body, get, parse

pytestmark = pytest.mark.broker
Make = Callable[..., GatewayProcess]
PYTHONS = [sys.executable, *filter(None, os.environ.get("SENSOR_GATEWAY_TEST_PYTHONS", "").split(","))]
"""The end of the process differs between 3.11, 3.12 and 3.13; name other interpreters, with the dependencies, to try them."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"]
    words += ["-out", "certificate.pem", "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([need("openssl", "openssl"), *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(mosquitto: Mosquitto, make_gateway: Make, certificate: Path) -> GatewayProcess:
    options = [f"http.certificate={certificate}/certificate.pem", f"http.key={certificate}/key.pem"]
    return make_gateway("--broker", mosquitto.url, *(word for option in options for word in ("--set", option))).start()


def test_https_is_served_and_http_2_is_not_offered(
    secure: GatewayProcess, certificate: Path, mosquitto: Mosquitto
) -> None:
    context = ssl.create_default_context(cafile=certificate / "certificate.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", secure.port), timeout=10)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
        assert "http/1.1" == sock.selected_alpn_protocol()
        sock.sendall(get("/api/stream", secure.port))
        body = Body()
        while "event: live" not in body.text:
            body.feed(sock.recv(4096))
        mosquitto.publish("sensors/boiler/temperature", "61.5")
        while "61.5" not in body.text:
            body.feed(sock.recv(4096))
    assert 1 == secure.counter("shared_writes_total")
    wait_until(lambda: secure.counter("streams") == 0, 2)


@pytest.mark.parametrize("more", ["", "x", "y" * 400_000], ids=["nothing", "a byte", "a body"])
def test_whatever_a_client_sends_behind_its_request_it_is_forgotten_when_it_leaves_over_tls_too(
    secure: GatewayProcess, certificate: Path, more: str
) -> None:
    context = ssl.create_default_context(cafile=certificate / "certificate.pem")
    plain = socket.create_connection(("127.0.0.1", secure.port), timeout=10)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
        sock.sendall(get("/api/stream", secure.port, {"Content-Length": f"{len(more)}"}) + more[1:].encode())
        body = Body()
        while "event: live" not in body.text:
            body.feed(sock.recv(4096))
        sock.sendall(more.encode()[:1])
        wait_until(lambda: secure.counter("streams") == 1)
    wait_until(lambda: secure.counter("streams") == 0, patient(2))


def test_plain_http_on_the_https_port_disturbs_nothing(secure: GatewayProcess, certificate: Path) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(secure.url.replace("https", "http") + "/healthz", timeout=5)
    context = ssl.create_default_context(cafile=certificate / "certificate.pem")
    assert 200 == httpx.get(f"{secure.url}/healthz", verify=context).status_code
    assert "Traceback" not in secure.output()


def test_a_certificate_that_is_none_ends_the_start_with_its_key(
    mosquitto: Mosquitto, make_gateway: Make, certificate: Path
) -> None:
    options = ["--set", f"http.certificate={certificate}/key.pem", "--set", f"http.key={certificate}/key.pem"]
    gateway = make_gateway("--broker", mosquitto.url, *options).start(wait_ready=False)
    assert gateway.process is not None
    assert 1 == gateway.process.wait(10)
    assert "http.certificate and http.key cannot be used" in gateway.output()
    assert "Sensor Gateway:" not in gateway.output()
    assert "Traceback" not in gateway.output()


def test_curl_with_http2_stays_on_1_1(pair: Pair) -> None:
    words = ["-sS", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", f"{pair.gateway.url}/healthz"]
    done = subprocess.run([need("curl", "curl"), *words], capture_output=True, text=True, timeout=10, check=True)
    assert "1.1 200" == done.stdout


def test_curl_that_begins_with_http2_is_refused(pair: Pair) -> None:
    words = ["-sS", "--http2-prior-knowledge", "-m", "5", f"{pair.gateway.url}/api/stream"]
    done = subprocess.run([need("curl", "curl"), *words], capture_output=True, text=True, timeout=10, check=False)
    assert 0 != done.returncode
    assert "event:" not in done.stdout
    assert 200 == pair.gateway.get("/healthz").status_code


def test_a_client_that_left_holds_no_file(pair: Pair) -> None:
    def files() -> int:
        assert pair.gateway.process is not None
        return len(os.listdir(f"/proc/{pair.gateway.process.pid}/fd"))  # noqa: PTH208 - names are enough

    before = files()
    for path in ("/healthz", "/api/stream", "/api/stream?last=x", "/"):
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", pair.gateway.port), timeout=5) as sock:
                sock.sendall(get(path, pair.gateway.port))
                sock.recv(1)
    wait_until(lambda: files() < before + 10, 3)


NASTY = [
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/devices/%ff%00/stream?snapshot=no HTTP/1.0\r\nHost: localhost\r\n\r\n",
    b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/stream?device=%ff&last=%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET ?x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: [\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: \xff\r\nLast-Event-ID: \xff\r\n\r\n",
    (
        b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /api/stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


@pytest.mark.parametrize("asked", NASTY, ids=range(len(NASTY)))
def test_no_request_makes_the_server_stumble(pair: Pair, asked: bytes) -> None:
    before = pair.gateway.output()
    with socket.create_connection(("127.0.0.1", pair.gateway.port), timeout=2) as sock:
        try:
            sock.sendall(asked)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65_536):
                pass
        except OSError:
            pass
    assert 200 == pair.gateway.get("/healthz").status_code
    said = pair.gateway.output().removeprefix(before)
    assert "Traceback" not in said, said


def test_the_limit_of_open_files_is_raised_for_the_streams(mosquitto: Mosquitto, make_gateway: Make) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        gateway = make_gateway("--broker", mosquitto.url, "--set", "http.max_streams=1000").start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert gateway.process is not None
    limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
    (files,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert int(files.split()[3]) >= min(1256, hard)


# --- the end ---------------------------------------------------------------------------------------------------------


async def _read(reader: asyncio.StreamReader, body: Body) -> None:
    while piece := await reader.read(65_536):
        body.feed(piece)


async def _crowd(gateway: GatewayProcess, mosquitto: Mosquitto, count: int, stalled: int) -> tuple[float, list[Body]]:
    """Open ``count`` streams that are read and some that are not, stop the gateway; its seconds, and what was read."""
    sleepers = []
    for number in range(stalled):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", gateway.port))
        path = "/api/devices/boiler/readings?limit=100000" if number % 5 == 0 else "/api/stream?after=earliest"
        sock.sendall(get(path, gateway.port))
        sleepers.append(sock)
    bodies, tasks, writers = [], [], []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(get("/api/stream", gateway.port))
        bodies.append(Body())
        writers.append(writer)
        tasks.append(asyncio.create_task(_read(reader, bodies[-1])))
    while not all("event: live" in body.text for body in bodies):  # noqa: ASYNC110 - a thousand of them
        await asyncio.sleep(0.05)
    assert gateway.process is not None
    print(f"\n{gateway.resident_kb() / 1024:.0f} MB with {count} streams, {stalled} stalled readers", end=", ")
    began = time.monotonic()
    gateway.process.terminate()
    while gateway.process.poll() is None and time.monotonic() - began < 20:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    took_s = time.monotonic() - began
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    for each in [*sleepers, *writers]:
        each.close()
    return took_s, bodies


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("stalled", [0, 30])
@pytest.mark.slow
async def test_a_thousand_streams_end_whole_in_under_2_s(
    mosquitto: Mosquitto, make_gateway: Make, python: str, stalled: int
) -> None:
    gateway = make_gateway("--broker", mosquitto.url, python=python).start()
    await asyncio.to_thread(mosquitto.publish_lines, "sensors/boiler/temperature", range(10_000))
    wait_until(lambda: gateway.counter('entries_total{kind="reading"}') == 10_000, 30)
    took_s, bodies = await _crowd(gateway, mosquitto, 1000, stalled)
    print(f"{took_s:.2f} s to the end ({python})")
    assert gateway.process is not None
    assert 0 == gateway.process.returncode
    assert [True] * 1000 == [body.complete for body in bodies]
    assert ["bye"] * 1000 == [parse(body.text)[-1].event for body in bodies]
    assert took_s < patient(2)
    assert "Traceback" not in gateway.output()
    assert "rror" not in gateway.output()


@pytest.mark.parametrize(
    ("error", "message", "is_told"),
    [
        (TimeoutError(110, "Connection timed out"), "Unhandled exception in client_connected_cb", False),
        (ConnectionResetError(), "Unhandled exception in client_connected_cb", False),
        (ZeroDivisionError(), "Unhandled exception in client_connected_cb", True),
        (OSError(), "Task exception was never retrieved", True),
    ],
)
async def test_a_connection_that_breaks_prints_no_traceback(
    error: Exception, message: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server._report(asyncio.get_running_loop(), {"message": message, "exception": error})
    assert is_told == bool(caplog.records)
