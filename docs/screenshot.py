"""Takes the pictures of the documentation from a demo that it starts itself: ``python docs/screenshot.py``.

Needs Chromium and the ``test`` extra (Playwright). Prints the names of the files it wrote.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
START_TIMEOUT_S = 30
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


class Shot(NamedTuple):
    """One picture: its file, what of the page, how it is lit, and the size of the screen in CSS pixels."""

    file: str
    view: str
    scheme: str
    width: int
    height: int
    scale: int = 1


DEVICE = "#/device/air-quality-1"
SHOTS = [
    Shot("screenshot-light.png", "", "light", 1280, 800),
    Shot("screenshot-dark.png", "", "dark", 1280, 800),
    Shot("screenshot-device-light.png", DEVICE, "light", 1280, 800),
    Shot("screenshot-device-dark.png", DEVICE, "dark", 1280, 800),
    Shot("screenshot-phone-light.png", "", "light", 390, 844, 2),
    Shot("screenshot-phone-dark.png", DEVICE, "dark", 390, 844, 2),
]


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def demo() -> Iterator[str]:
    """A demo of its own; yields the address of its page."""
    port = free_port()
    command = [sys.executable, "-m", "gateway", "demo", "--devices", "8", "--seed", "1", "--rate", "2"]
    command += ["--port", str(port), "--set", f"embedded_broker.port={free_port()}"]
    process = subprocess.Popen(command, cwd=HERE.parent, stderr=subprocess.DEVNULL)  # noqa: S603 - fixed arguments
    try:
        address = f"http://127.0.0.1:{port}/"
        wait_for(f"{address}readyz")
        yield address
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)


def wait_for(address: str) -> None:
    """Return when the gateway is ready."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310 - an address of loopback
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def take(browser: Browser, address: str, shot: Shot, folder: Path) -> Path:
    """Open the view as a new visitor, let it settle, and write its picture."""
    page = browser.new_page(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.scheme == "dark" else "light",
        device_scale_factor=shot.scale,
    )
    page.goto(address + shot.view)
    page.wait_for_selector("#status[data-phase=live]")
    page.wait_for_selector(".panel .u-wrap" if shot.view else ".card")
    time.sleep(2)
    file = folder / shot.file
    page.screenshot(path=file)
    page.close()
    return file


def main() -> None:
    """Start a demo, let it gather readings, take all pictures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--gather", type=int, default=150, metavar="SECONDS", help="let the demo run for this time before"
    )
    options.add_argument("--into", type=Path, default=HERE, metavar="FOLDER")
    asked = options.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with demo() as address, sync_playwright() as playwright:
        time.sleep(asked.gather)
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        for shot in SHOTS:
            print(take(browser, address, shot, asked.into))  # noqa: T201 - the answer of this program
        browser.close()


if __name__ == "__main__":
    main()
