"""The whole gateway: MQTT in from a real mosquitto at QoS 1, commit, SSE out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import httpx

from tests.bench.machine import LOAD_CORE, SERVER_CORE
from tests.bench.peers.server import Server, end, start_on
from tests.conftest import ROOT, free_port, is_listening, need, wait_until

ROOM = {"http.max_streams": "20000", "limits.max_devices": "100000"}


class Broker:
    """mosquitto with a persistent session, on the generator's core: what it costs is reported beside.

    It saves its messages each second. To save after each change (`autosave_on_changes true`) it writes all of them anew each
    time, which holds it below a thousand readings a second: the gateway would not be what is measured.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "broker.conf"
        config.write_text(
            f"persistence true\npersistence_location {self.folder}/\nmax_inflight_messages 1000\n"
            f"autosave_interval 1\nautosave_on_changes false\nmax_queued_messages 200000\nset_tcp_nodelay true\n"
            f"user root\nallow_anonymous true\n"
            f"listener {self.port} 127.0.0.1\n"
        )
        command = [need("mosquitto", "mosquitto"), "-c", str(config)]
        self.process = start_on(LOAD_CORE, command, self.folder, "broker.log")
        wait_until(lambda: is_listening(self.port), 10, "mosquitto")

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)


class Gateway(Server):
    """``python -m gateway run``; ``settings`` are those of `config.toml`. With ``is_fed`` the generator is its broker."""

    name = "Sensor Gateway"
    publishing: ClassVar[str] = "mqtt"
    path: ClassVar[str] = "/api/devices/d%d/stream"

    def __init__(self, folder: Path, is_fed: bool = False, **settings: Any) -> None:
        super().__init__(folder)
        self.settings = {**ROOM, **{name.replace("__", "."): value for name, value in settings.items()}}
        self.broker = None if is_fed else Broker(folder)
        if self.broker is not None:
            self.publish_port = self.broker.port

    def command(self) -> list[str]:
        words = [sys.executable, "-m", "gateway", "run", "--broker", f"mqtt://127.0.0.1:{self.publish_port}"]
        words += ["--port", str(self.port), "--data", str(self.folder / "data")]
        for name, value in self.settings.items():
            words += ["--set", f"{name}={value}"]
        return ["env", f"PYTHONPATH={ROOT}", *words]

    def options(self) -> dict[str, Any]:
        broker = self.broker.process.pid if self.broker is not None and self.broker.process is not None else None
        fed = {} if self.broker is not None else {"publishing": "feed"}
        return {**super().options(), "whole": False, "broker": broker, **fed}

    def start(self) -> None:
        if self.broker is not None:
            self.broker.start()
        self.start_alone()
        self.wait_for("/readyz" if self.broker is not None else "/healthz")

    def start_alone(self) -> None:
        """Start without waiting."""
        self.process = start_on(SERVER_CORE, self.command(), self.folder, "gateway.log")

    def wait_for(self, path: str) -> None:
        wait_until(lambda: self._answers(path), 60, f"200 from {path}; see {self.folder / 'gateway.log'}")

    def _answers(self, path: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "gateway.log").read_text()[-3000:]
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        super().stop()
        if self.broker is not None:
            self.broker.stop()

    def counter(self, name: str) -> float:
        """The sum of one family of /metrics, by its name without the prefix."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=60).text
        lines = [line.rpartition(" ") for line in text.splitlines()]
        return sum(float(value) for key, _, value in lines if key.partition("{")[0] == f"sensor_gateway_{name}")
