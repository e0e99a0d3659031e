"""Quart on Hypercorn with a queue for each client: the gateway's framework without its design."""

from __future__ import annotations

import sys

from tests.bench.peers.server import Server
from tests.conftest import ROOT


class QuartQueues(Server):
    """One process; the app is `quart_app.py`."""

    name = "Quart, a queue per client"

    def command(self) -> list[str]:
        return [
            "env", f"FEED_PORT={self.publish_port}", f"PYTHONPATH={ROOT}",
            sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{self.port}", "--backlog", "4096",
            "tests.bench.peers.quart_app:app",
        ]  # fmt: skip
