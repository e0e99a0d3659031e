"""The processes under test: mosquitto as docs/operate.md recommends it, and the gateway out of a source tree."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT, is_listening, need
from tests.crash.http import get
from tests.crash.ports import free_port

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0


_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Run in a child: a laboratory that is killed leaves nothing behind (prctl(2), PR_SET_PDEATHSIG)."""
    _libc.prctl(1, signal.SIGKILL)


class Process:
    """One program that is started, ended and started again; all it says goes to one file."""

    def __init__(
        self, command: list[str], folder: Path, output: Path, environment: dict[str, str] | None = None
    ) -> None:
        self._command, self._folder, self.output = command, folder, output
        self.environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it; when it is ready is another question."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                env={**os.environ, **self.environment},
                preexec_fn=die_with_parent,  # noqa: PLW1509 - it makes one system call
            )

    async def end(self, number: int = signal.SIGKILL, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Send a signal and wait for the end; its exit code. Raises TimeoutError after killing what did not end."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return await asyncio.to_thread(self._process.wait, timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise TimeoutError(f"{self._command[0]} did not end within {timeout_s:g} s of signal {number}") from None

    def said(self) -> str:
        """All its output so far."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""


def recommended_configuration() -> str:
    """docs/mosquitto.conf."""
    return (ROOT / "docs/mosquitto.conf").read_text()


class Broker(Process):
    """mosquitto with persistence, configured as recommended."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        text = recommended_configuration().replace("listener 1883 ", f"listener {self.port} ")
        configuration = folder / "mosquitto.conf"
        configuration.write_text(f"{text}persistence_location {folder}/\nuser root\n")
        super().__init__([need("mosquitto", "mosquitto"), "-c", str(configuration)], folder, folder / "mosquitto.log")

    async def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self.launch()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_listening(self.port):
            if not self.is_running or time.monotonic() > deadline:
                raise RuntimeError(f"mosquitto did not start:\n{self.said()[-2000:]}")
            await asyncio.sleep(0.02)


class Gateway(Process):
    """``python -m gateway run`` out of ``tree``, with its log in ``folder/data``."""

    def __init__(self, tree: Path, folder: Path, broker_port: int, settings: dict[str, str]) -> None:
        self.port = free_port()
        self.data = folder / "data"
        command = [sys.executable, "-m", "gateway", "run", "--port", str(self.port), "--data", str(self.data)]
        command += ["--broker", f"mqtt://127.0.0.1:{broker_port}"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        super().__init__(
            command, folder, folder / "gateway.log", {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        )

    @property
    def log_folder(self) -> Path:
        """Where its segments are."""
        return self.data / "log"

    async def start(self) -> None:
        """Start it, and wait until it serves and the broker has granted everything."""
        self.launch()
        await self.ready()

    async def ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait for /readyz; raises RuntimeError when it ends or does not get there."""
        deadline, last = time.monotonic() + timeout_s, b""
        while time.monotonic() < deadline:
            if not self.is_running:
                raise RuntimeError(f"the gateway ended by itself:\n{self.said()[-3000:]}")
            try:
                status, last = await get(self.port, "/readyz", 2)
            except OSError:
                status = 0
            if status == 200:
                return
            await asyncio.sleep(0.03)
        raise RuntimeError(f"the gateway is not ready after {timeout_s:g} s ({last!r}):\n{self.said()[-3000:]}")

    def disk_bytes(self) -> int:
        """Everything in the log's folder."""
        total = 0
        for path in self.log_folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def segments(self) -> list[Path]:
        """The segment files, oldest first."""
        return sorted(self.log_folder.glob("*.sqlite3"))
