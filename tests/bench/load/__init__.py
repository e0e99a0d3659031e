"""Builds and runs the load generator of this folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.bench.compiled import compiled
from tests.bench.machine import LOAD_CORE

SOURCES = sorted(Path(__file__).parent.glob("*.c"))
RUN_TIMEOUT_S = 300
FAILED = (subprocess.CalledProcessError, subprocess.TimeoutExpired)


class Result:
    """What the generator printed: how the streams opened, the measured rounds, the end."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.opening, self.rounds, self.end = lines[0], lines[1:-1], lines[-1]

    def __getitem__(self, name: str) -> Any:
        """A value of the first round."""
        return self.rounds[0][name]

    @property
    def cpu_us_per_event(self) -> float:
        return float(self["server_cpu_us"] / max(1, self["delivered"]))

    @property
    def events_per_s(self) -> float:
        return float(self["delivered"] / self["seconds"])

    @property
    def generator_share(self) -> float:
        """Of a core; near 1, the generator was the limit."""
        return float(self["generator_cpu_us"] / 1e6 / self["seconds"])

    @property
    def server_share(self) -> float:
        return float(self["server_cpu_us"] / 1e6 / self["seconds"])


def command(**options: Any) -> list[str]:
    """The generator's command line; an option that is True stands alone, one that is None or False is left out."""
    words = [str(compiled(*SOURCES)), f"--core={LOAD_CORE}"]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name.replace('_', '-')}")
        elif value is not None and value is not False:
            words.append(f"--{name.replace('_', '-')}={value}")
    return words


def run(timeout_s: float = RUN_TIMEOUT_S, **options: Any) -> Result:
    """Run the generator to its end. Raises CalledProcessError or TimeoutExpired."""
    done = subprocess.run(command(**options), stdout=subprocess.PIPE, text=True, timeout=timeout_s, check=True)
    return Result([json.loads(line) for line in done.stdout.splitlines()])
