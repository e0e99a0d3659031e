"""Fixtures that start real parts: mosquitto, the gateway as a process of its own, a log in a folder of the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from gateway.log import Log
from tests.log.parts import open_log
from tests.reader import Reader

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 20.0


def need(program: str, package: str) -> str:
    """The path of a program that a test needs: missing, it is a failure in CI and a skip elsewhere."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        message = f"{program} is missing: apt install {package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


_given: set[int] = set()


def free_port() -> int:
    """A port of loopback that is free now, and was not given before.

    Below the range from which the kernel takes the ports of outgoing connections, else one of those could have it before
    the process that is to listen on it; at random, as the tests of other workers look there too.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def wait_until(condition: Callable[[], Any], timeout_s: float = 10, what: str = "condition") -> Any:
    """The first true answer of ``condition``; fails the test when none comes in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)


def patient(seconds: float) -> float:
    """So long, on a machine that has time for us; longer where more work waits than there are cores."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def is_listening(port: int) -> bool:
    """Whether something accepts connections on a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def settings(**values: object) -> list[str]:
    """Options for settings: ``http__max_streams=5`` becomes ``--set http.max_streams=5``."""
    return [word for key, value in values.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


class Mosquitto:
    """A mosquitto of its own, with persistence; ``restart`` keeps its sessions and messages.

    ``extra`` are lines of its configuration, which belong to its one listener.
    """

    def __init__(self, folder: Path, extra: str = "allow_anonymous true") -> None:
        self.program = need("mosquitto", "mosquitto")
        self.port = free_port()
        self._output = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        # What a test wants in place of the recommended comes after it; the lines of `extra` belong to the listener.
        recommended = (ROOT / "docs/mosquitto.conf").read_text().replace("allow_anonymous true\n", "")
        recommended = recommended.replace("listener 1883 127.0.0.1\n", "")
        self._config.write_text(
            f"{recommended}persistence_location {folder}/\nuser root\nlistener {self.port} 127.0.0.1\n{extra}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen([self.program, "-c", str(self._config)], stdout=output, stderr=output)
        wait_until(self._is_up, what="mosquitto")

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"mosquitto ended:\n{self._output.read_text()}"
        return is_listening(self.port)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(10)

    def restart(self, number: int = signal.SIGTERM) -> None:
        self.stop(number)
        self.start()

    def publish(self, topic: str, payload: str | bytes, *options: str) -> None:
        """With the real mosquitto_pub, at QoS 1."""
        self._publish(payload if isinstance(payload, bytes) else payload.encode(), topic, "-s", *options)

    def publish_lines(self, topic: str, payloads: Iterable[object], *options: str) -> None:
        """Many messages on one connection; back when the broker has acknowledged all of them."""
        self._publish("".join(f"{payload}\n" for payload in payloads).encode(), topic, "-l", *options)

    def retained(self, topic_filter: str = "sensors/#") -> dict[str, str]:
        """Topic to payload of what it keeps."""
        program = need("mosquitto_sub", "mosquitto-clients")
        command = [program, "-p", str(self.port), "-t", topic_filter, "-v", "--retained-only", "-W", "1"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def _publish(self, text: bytes, topic: str, *options: str) -> None:
        program = need("mosquitto_pub", "mosquitto-clients")
        command = [program, "-p", str(self.port), "-q", "1", "-t", topic, *options]
        subprocess.run(command, input=text, check=True, timeout=60)


class GatewayProcess:
    """``python -m gateway`` as a process; by default ``run`` on a broker that is there already."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        command: str = "run",
        python: str = sys.executable,
        port: int | None = None,
        own_group: bool = False,
    ) -> None:
        self.folder, self.options, self.command, self.python = folder, options, command, python
        self.own_group = own_group
        self.port = port or free_port()
        self.errors = folder / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        scheme = "https" if any("http.certificate" in option for option in self.options) else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def start(self, *, wait_ready: bool = True) -> GatewayProcess:
        command = [self.python, "-m", "gateway", self.command, "--port", str(self.port)]
        command += ["--data", str(self.folder / "data"), *self.options]
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SENSOR_GATEWAY_")}
        environment = {**ours, "PYTHONPATH": str(ROOT)}
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdout=errors,
                stderr=errors,
                env=environment,
                cwd=self.folder,
                start_new_session=self.own_group,
            )
        if wait_ready:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Until readings can come in."""
        self._wait_for("/readyz")

    def wait_serving(self) -> None:
        """Until it answers, whether the broker does or not."""
        self._wait_for("/healthz")

    def _wait_for(self, path: str) -> None:
        try:
            wait_until(lambda: self._is_well(path), START_TIMEOUT_S, f"200 from {path}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the gateway said:\n{self.output()}") from None

    def _is_well(self, path: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the gateway ended"
        try:
            return httpx.get(f"{self.url}{path}", verify=False, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def output(self) -> str:
        return self.errors.read_text(errors="replace") if self.errors.exists() else ""

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self, timeout_s: float = 10) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout_s)

    @contextlib.contextmanager
    def not_committing(self) -> Iterator[None]:
        """Its newest segment is locked meanwhile: commits fail and are tried again."""
        segment = max((self.folder / "data/log").glob("*.sqlite3"))
        with contextlib.closing(sqlite3.connect(segment, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=parameters or None, verify=False, timeout=10)

    def faults(self) -> dict[str, str]:
        """What stands in the way of readings, by station."""
        found: dict[str, str] = self.get("/readyz").json()["faults"]
        return found

    def newest(self, device: str = "boiler") -> Any:
        """The newest temperature of a device, None while there is none."""
        known = self.get(f"/api/devices/{device}").json()
        return known.get("values", {}).get("temperature", {}).get("value")

    def logged(self, device: str = "boiler") -> list[Any]:
        """All temperatures of a device that the log holds."""
        answer = self.get(f"/api/devices/{device}/readings", format="ndjson", limit=100_000)
        return [json.loads(line)["values"]["temperature"] for line in answer.text.splitlines()]

    def resident_kb(self) -> int:
        """Memory that the process has, by Linux."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def counter(self, name: str) -> float:
        """One line of /metrics, by its name with labels, without the prefix."""
        for line in self.get("/metrics").text.splitlines():
            key, _, value = line.rpartition(" ")
            if key == f"sensor_gateway_{name}":
                return float(value)
        return 0.0


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts brokers; all of them end with the test."""
    made: list[Mosquitto] = []

    def make(*extra: str) -> Mosquitto:
        folder = tmp_path / f"mosquitto{len(made)}"
        folder.mkdir()
        made.append(Mosquitto(folder, *extra))
        return made[-1]

    yield make
    for broker in made:
        broker.stop(signal.SIGKILL)


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A broker that lets everybody in."""
    return make_mosquitto()


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Makes gateways, not started yet; all that still run at the end of the test are killed."""
    made: list[GatewayProcess] = []

    def make(*options: str, **others: Any) -> GatewayProcess:
        folder = others.pop("folder", None) or tmp_path / f"gateway{len(made)}"
        folder.mkdir(exist_ok=True)
        made.append(GatewayProcess(folder, *options, **others))
        return made[-1]

    yield make
    for gateway in made:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()


@pytest.fixture
def gateway(mosquitto: Mosquitto, make_gateway: Callable[..., GatewayProcess]) -> GatewayProcess:
    """A gateway that serves and is subscribed at ``mosquitto``."""
    return make_gateway("--broker", mosquitto.url).start()


class Pair(NamedTuple):
    """Both run."""

    broker: Mosquitto
    gateway: GatewayProcess


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A broker and a gateway that the tests of one file share; with the options that its ``OPTIONS`` name."""
    folder = tmp_path_factory.mktemp("pair")
    broker = Mosquitto(folder)
    gateway = GatewayProcess(folder, "--broker", broker.url, *getattr(request.module, "OPTIONS", []))
    try:
        yield Pair(broker, gateway.start())
    finally:
        if gateway.process is not None:
            gateway.kill()
        broker.stop(signal.SIGKILL)
    assert "Traceback" not in gateway.output()


@pytest.fixture
def read(request: pytest.FixtureRequest) -> Callable[..., Reader]:
    """Opens streams; all of them are closed with the test."""

    def open_(gateway: GatewayProcess, path: str = "/api/stream", **others: Any) -> Reader:
        reader = Reader(gateway.port, path, **others)
        request.addfinalizer(reader.close)
        return reader

    return open_


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log in a folder of the test."""
    opened = await open_log(tmp_path / "log")
    yield opened
    await opened.close()


async def settled(log: Log) -> None:
    """Wait until all that was appended is visible."""
    while log.commits.waiting:  # noqa: ASYNC110 - an event would be there for tests only
        await asyncio.sleep(0.001)
