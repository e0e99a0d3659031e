"""A server under load: started on its core, waited for, ended."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from tests.bench.machine import SERVER_CORE, on_core
from tests.conftest import free_port, is_listening, wait_until

MAX_FILES = 20_000


class Server:
    """Use with ``with``. ``options`` tell the load generator how to talk to it."""

    name: ClassVar[str]
    publishing: ClassVar[str] = "lines"
    reading: ClassVar[str] = "sse"
    path: ClassVar[str] = "/events/d%d"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.publish_port = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What is started; files that it needs are written here."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        return {
            "port": self.port, "publish_port": self.publish_port, "publishing": self.publishing, "reading": self.reading,
            "path": self.path, "whole": True, "server": self.pid,
        }  # fmt: skip

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        self.process = start_on(SERVER_CORE, self.command(), self.folder, f"{self.name.split()[0]}.log")
        wait_until(lambda: is_listening(self.port) and is_listening(self.publish_port), 20, self.name)

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_on(core: int, command: list[str], folder: Path, log: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start a process on a core, with enough files for its streams; what it says goes to a file in the folder."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(MAX_FILES, hard), hard))
    with (folder / log).open("ab") as output:
        return subprocess.Popen(
            on_core(core, command), stdout=output, stderr=output, cwd=folder, env={**os.environ, **variables}
        )


def end(process: subprocess.Popen[bytes], timeout_s: float = 5) -> None:
    """SIGTERM, and SIGKILL for what does not go."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout_s)
