"""sse-starlette on uvicorn: a queue for each client."""

from __future__ import annotations

import sys

from tests.bench.peers.server import Server
from tests.conftest import ROOT


class SseStarlette(Server):
    """One process; the app is `starlette_app.py`."""

    name = "sse-starlette on uvicorn"

    def command(self) -> list[str]:
        return [
            "env", f"FEED_PORT={self.publish_port}", f"PYTHONPATH={ROOT}",
            sys.executable, "-m", "uvicorn", "--port", str(self.port), "--log-level", "warning", "--no-access-log",
            "--backlog", "4096", "tests.bench.peers.starlette_app:app",
        ]  # fmt: skip
