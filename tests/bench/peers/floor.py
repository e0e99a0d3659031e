"""The floor: a broadcaster in C that does nothing but write."""

from __future__ import annotations

from pathlib import Path

from tests.bench.compiled import compiled
from tests.bench.peers.server import Server


class Floor(Server):
    """No server that writes to each reader by a call of its own can be cheaper."""

    name = "floor: C, epoll"

    def command(self) -> list[str]:
        return [str(compiled(Path(__file__).with_suffix(".c"))), str(self.port), str(self.publish_port)]
