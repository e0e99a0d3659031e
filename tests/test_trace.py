"""The ways in `docs/design.md` are those that the gateway goes: `python -m tests.trace --write` brings them up to date."""

from pathlib import Path

import pytest

from tests.conftest import Mosquitto
from tests.trace import files_in_page, traced


@pytest.mark.broker
async def test_the_ways_in_the_design_are_those_of_a_real_message_and_a_real_request(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    ways = await traced(mosquitto, tmp_path / "gateway")
    for name, way in ways.items():
        assert files_in_page(name) == set(way.files), "run `python -m tests.trace --write`"
