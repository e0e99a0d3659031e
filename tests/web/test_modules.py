"""Runs the page's module tests, `tests/web/*.test.mjs`, with Node's own runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _node() -> str:
    node = shutil.which("node")
    if node:
        return node
    if os.environ.get("CI"):
        pytest.fail("node is missing: in CI the page's module tests must run")
    pytest.skip("node is missing: install Node.js 20 or newer to run the page's module tests")


def test_the_modules_of_the_page_keep_their_promises() -> None:
    files = [str(path) for path in sorted(HERE.glob("*.test.mjs"))]
    done = subprocess.run([_node(), "--test", *files], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
