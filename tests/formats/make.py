"""Makes a data folder as the gateway of a source tree leaves it, to be kept for the test of formats.

``python -m tests.formats.make TREE FOLDER``: a real gateway of that tree takes readings of several kinds from a real
mosquitto, in three openings: two that end in order, with segments that rolled, and one that is killed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import httpx

from tests.conftest import Mosquitto, free_port

SETTINGS = {"log.segment_bytes": 65_536, "log.retention_bytes": 1_000_000, "mqtt.client_id": "formats"}


def main(tree: Path, folder: Path) -> None:
    """Make ``folder`` anew."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        broker = Mosquitto(Path(scratch))
        try:
            for opening in range(3):
                _live(tree, folder, broker, opening)
        finally:
            broker.stop()
    (folder / "log" / "lock").unlink()
    newest = folder / "log" / "newest"
    newest.write_text(re.sub(r'"boot":"[^"]*"', f'"boot":"{uuid.UUID(int=0)}"', newest.read_text()))


def _live(tree: Path, folder: Path, broker: Mosquitto, opening: int) -> None:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gateway",
        "run",
        "--broker",
        broker.url,
        "--port",
        str(port),
        "--data",
        str(folder),
    ]
    for key, value in SETTINGS.items():
        command += ["--set", f"{key}={value}"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(tree)}, cwd=tree) as gateway:
        _until(f"http://127.0.0.1:{port}/readyz")
        readings = [json.dumps({"temperature": 20 + n / 10, "count": opening * 1000 + n}) for n in range(400)]
        broker.publish_lines("sensors/boiler", readings)
        broker.publish("sensors/kitchen/fridge/temperature", "4.5", "-r")
        broker.publish("sensors/boiler/info", '{"label":"Boiler","metrics":{"temperature":{"unit":"Cel"}}}', "-r")
        broker.publish("sensors/boiler/availability", "offline" if opening == 1 else "online", "-r")
        time.sleep(1)
        if opening == 2:
            gateway.kill()
        else:
            gateway.terminate()


def _until(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise TimeoutError(url)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
