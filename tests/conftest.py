"""Fixtures that start real parts: mosquitto, the gateway as a process of its own, a log in a folder of the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.counters import Counters
from gateway.log import Log, LogSettings

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


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], timeout_s: float = 10, what: str = "condition") -> Any:
    """The first true answer of ``condition``; fails the test when none comes in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)


def is_listening(port: int) -> bool:
    """Whether something accepts connections on a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


class Mosquitto:
    """A mosquitto of its own, with persistence; ``restart`` keeps its sessions and messages."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.program = need("mosquitto", "mosquitto")
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true\n"
            f"max_inflight_messages 1000\nmax_queued_messages 200000\nuser root\n{extra}"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self.program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: is_listening(self.port), what="mosquitto")

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(10)

    def restart(self, number: int = signal.SIGTERM) -> None:
        self.stop(number)
        self.start()

    def publish(self, topic: str, payload: str | bytes, *options: str) -> None:
        """With the real mosquitto_pub, at QoS 1."""
        command = [need("mosquitto_pub", "mosquitto-clients"), "-p", str(self.port), "-t", topic, "-q", "1", *options]
        subprocess.run([*command, "-s"], input=payload if isinstance(payload, bytes) else payload.encode(), check=True)


class GatewayProcess:
    """``python -m gateway`` as a process; by default ``run`` on a broker that is there already."""

    def __init__(
        self, folder: Path, *options: str, command: str = "run", python: str = sys.executable, port: int | None = None
    ) -> None:
        self.folder, self.options, self.command, self.python = folder, options, command, python
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
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=errors, stderr=errors, env=environment, cwd=self.folder)
        if wait_ready:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        wait_until(self._is_ready, START_TIMEOUT_S, f"the gateway, which said:\n{self.output()}")

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the gateway ended:\n{self.output()}"
        try:
            return httpx.get(f"{self.url}/readyz", verify=False, timeout=5).status_code == 200
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

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=parameters, verify=False, timeout=10)

    def counter(self, name: str) -> float:
        """One line of /metrics, by its name with labels, without the prefix."""
        for line in self.get("/metrics").text.splitlines():
            key, _, value = line.rpartition(" ")
            if key == f"sensor_gateway_{name}":
                return float(value)
        return 0.0


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder)
    yield broker
    broker.stop(signal.SIGKILL)


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


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log in a folder of the test."""
    opened = await Log.open(LogSettings(tmp_path / "log"), Counters())
    yield opened
    await opened.close()


async def settled(log: Log) -> None:
    """Wait until all that was appended is visible."""
    while log.waiting or log._committing is not None:
        await asyncio.sleep(0.001)
