from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Mosquitto
from tests.trace import files_on_page, trace


@pytest.mark.broker
async def test_the_ways_in_the_design_are_those_of_the_real_thing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """What a timer calls meanwhile may be among them in one run and not in another, so each way is held to the page."""
    published, asked = await trace(mosquitto, tmp_path / "data")
    by_timers = {"stream/streams.py", "stream/readiness.py", "stations.py", "mqtt/drive.py", "devices/presence.py"}
    for name, way in (("publish", published), ("stream", asked)):
        differing = set(way.files) ^ files_on_page(name)
        assert set() == differing - by_timers, name
