from pathlib import Path

import pytest

from gateway.counters import Counters
from gateway.log import Deposit, Log, LogSettings, boot
from gateway.reading import Draft, Gap, Page
from gateway.selection import ALL
from tests.conftest import settled


def test_the_name_of_this_boot_is_no_news(tmp_path: Path) -> None:
    boot.begin(tmp_path)
    assert not boot.begin(tmp_path)


def test_the_name_of_another_boot_tells_that_the_machine_went_down(tmp_path: Path) -> None:
    (tmp_path / boot.NAME).write_text("another boot\n")
    assert boot.begin(tmp_path)
    assert not boot.begin(tmp_path)


def test_a_log_that_was_closed_leaves_no_name(tmp_path: Path) -> None:
    boot.begin(tmp_path)
    boot.end(tmp_path)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("durability", "told"), [("process", True), ("power", False)])
async def test_whoever_crosses_a_power_cut_is_told_when_entries_may_be_missing(
    tmp_path: Path, durability: str, told: bool
) -> None:
    settings = LogSettings(tmp_path, durability)  # type: ignore[arg-type] # one of its two literals
    log = await Log.open(settings, Counters())
    log.append(Deposit([Draft("reading", "a", log.now_ms(), b'{"device":"a","at":1,"values":{"t":1}}')]))
    await settled(log)
    position = log.head
    await log.close()
    (tmp_path / boot.NAME).write_text("another boot\n")
    log = await Log.open(settings, Counters())
    found = await log.read(position, ALL, 10)
    assert isinstance(found, Gap if told else Page)
    await log.close()
