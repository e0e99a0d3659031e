"""What the laboratory works in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.run import working_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is such a thing; it goes with the test."""
    made = working_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)
