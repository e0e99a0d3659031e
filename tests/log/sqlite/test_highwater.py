from pathlib import Path

import pytest

from gateway.log import Deposit
from gateway.log.sqlite.highwater import HighWater
from gateway.log.sqlite.spent import Spent
from gateway.reading import Draft, Gap, Page
from gateway.selection import ALL
from tests.conftest import settled
from tests.log.parts import open_log


def unfinished(path: Path, *, is_synced: bool = False) -> HighWater:
    opening = HighWater(path, Spent())
    opening.begin(100, is_synced=is_synced)
    opening.move(105)
    return opening


def of_another_boot(path: Path) -> None:
    text = path.read_text()
    boot = text.split('"')[3]
    path.write_text(text.replace(boot, "0" * len(boot)))


def test_a_killed_opening_that_is_all_there_has_lost_nothing(tmp_path: Path) -> None:
    unfinished(tmp_path / "newest")
    assert not HighWater(tmp_path / "newest", Spent()).has_lost(105)


def test_a_log_that_ends_before_the_high_water_has_lost_entries(tmp_path: Path) -> None:
    unfinished(tmp_path / "newest")
    assert HighWater(tmp_path / "newest", Spent()).has_lost(104)


@pytest.mark.parametrize(("is_synced", "told"), [(False, True), (True, False)])
def test_an_unfinished_opening_of_another_boot_may_have_lost_what_was_not_synced(
    tmp_path: Path, is_synced: bool, told: bool
) -> None:
    unfinished(tmp_path / "newest", is_synced=is_synced)
    of_another_boot(tmp_path / "newest")
    assert told == HighWater(tmp_path / "newest", Spent()).has_lost(105)


def test_an_opening_that_ended_in_order_has_lost_nothing(tmp_path: Path) -> None:
    unfinished(tmp_path / "newest").end()
    of_another_boot(tmp_path / "newest")
    assert not HighWater(tmp_path / "newest", Spent()).has_lost(105)


def test_garbage_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "newest").write_bytes(b"\xff garbage")
    assert not HighWater(tmp_path / "newest", Spent()).has_lost(1)


@pytest.mark.parametrize(("durability", "told"), [("process", True), ("power", False)])
async def test_whoever_crosses_a_power_cut_is_told_when_entries_may_be_missing(
    tmp_path: Path, durability: str, told: bool
) -> None:
    log = await open_log(tmp_path, durability=durability)
    log.append(Deposit([Draft("reading", "a", 1, b'{"device":"a","at":1,"values":{"t":1}}')]))
    await settled(log)
    position = log.head
    as_it_was = (tmp_path / "newest").read_bytes()
    await log.close()
    (tmp_path / "newest").write_bytes(as_it_was)
    of_another_boot(tmp_path / "newest")
    log = await open_log(tmp_path, durability=durability)
    found = await log.read(position, ALL, 10)
    assert isinstance(found, Gap if told else Page)
    await log.close()
