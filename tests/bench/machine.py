"""The machine under the benchmarks: what it is, whether it is busy with something else, what a process uses."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

QUIET_SHARE = 0.1
"""Of one core; above, something else runs, and a figure says little."""

LOOK_S = 1.0

busiest: list[float] = []
"""What others used before each run of this report."""

SERVER_CORE, LOAD_CORE = 0, 1
"""The server has a core of its own, so that its processor time is not the generator's."""

PACKAGES = ("quart", "hypercorn", "paho-mqtt", "starlette", "sse-starlette", "uvicorn", "uvloop")
PROGRAMS = {"mosquitto": ["-h"], "nginx": ["-v"]}


def machine() -> str:
    """Date, machine and versions, for the head of a table."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    name = model[1] if model else platform.machine()
    versions = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    versions += [found for found in map(_package, PACKAGES) if found]
    versions += [found for found in map(_program, PROGRAMS) if found]
    cores, linux = os.cpu_count(), platform.release().split("-")[0]
    return f"{time.strftime('%Y-%m-%d')}, {cores} cores of {name}, Linux {linux}, {', '.join(versions)}"


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        return ""
    answer = subprocess.run([path, *PROGRAMS[name]], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", answer.stdout + answer.stderr)
    return f"{name} {found[0]}" if found else name


def load_average() -> float:
    """The average over a minute; what we ran ourselves just before is in it too."""
    return os.getloadavg()[0]


def used_by_others() -> float:
    """How much of one core is in use now, while nothing of ours runs: what the load average cannot tell apart."""
    before = _busy_ticks()
    time.sleep(LOOK_S)
    return (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / LOOK_S


def _busy_ticks() -> int:
    user, nice, system, _idle, _waiting, *interrupts = map(int, Path("/proc/stat").read_text().split()[1:9])
    return user + nice + system + sum(interrupts)


def on_core(core: int, command: list[str]) -> list[str]:
    """The command, kept on one core where there are two."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > core else command


def rss_kb(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


def cpu_s(pid: int) -> float:
    """Processor time of all threads of a process that still run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def written_bytes(pid: int) -> tuple[int, int]:
    """Bytes that a process gave to files: as pages of the disk, and as arguments of its writes."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"]), int(fields["wchar"])


def send_queues(port: int) -> dict[str, int]:
    """Bytes in the send queue of each socket of a port that has any, by the other end's address."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if int(local.split(":")[1], 16) == port and (waiting := int(queues.split(":")[0], 16)):
            found[remote] = waiting
    return found
