"""A real mosquitto for the tests that need one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# On a busy machine any example may be slow once; speed is measured elsewhere.
settings.register_profile("unhurried", parent=settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("unhurried")

PORTS = range(18200, 18300)
INSTALL = "{} is missing: apt-get install mosquitto mosquitto-clients openssl"


class Mosquitto:
    """One mosquitto on loopback; it can be stopped and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0
        self.settings = "allow_anonymous true"
        """Lines of its configuration, below the listener."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """On the port it had before, else on the first one that it gets."""
        for port in [self.port] if self.port else PORTS:
            if not self.port and _listens(port):
                continue
            if self._started(port):
                self.port = port
                return
        pytest.fail(f"mosquitto gets no port of {PORTS}")

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(5)
            self._process = None

    def retained(self, topic_filter: str = "sensors/#") -> dict[str, str]:
        """Topic to payload of what the broker keeps."""
        command = [found("mosquitto_sub"), "-p", str(self.port), "-t", topic_filter, "-v", "--retained-only", "-W", "1"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def spare_port(self) -> int:
        """For a second listener."""
        return next(port for port in reversed(PORTS) if not _listens(port))

    def restart(self, settings: str) -> None:
        self.stop()
        self.settings = settings
        self.start()

    def _started(self, port: int) -> bool:
        config = self.directory / "mosquitto.conf"
        # As root it would become another user, who may not read pytest's directories.
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(f"{user}listener {port} 127.0.0.1\n{self.settings}\n")
        self._process = subprocess.Popen(
            [found("mosquitto"), "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + 5
        while time.monotonic() < deadline_s and self._process.poll() is None:
            if _listens(port):
                # Another one may have been faster: then ours has ended, or is about to.
                time.sleep(0.1)
                return self._process.poll() is None
            time.sleep(0.01)
        self.stop()
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def found(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(INSTALL.format(program))
    return found


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost that nobody else trusts, and its key."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [found("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    found("mosquitto_sub")
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
