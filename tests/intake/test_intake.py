from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from gateway.config import load
from gateway.config.table import DevicesSection
from gateway.counters import Counters
from gateway.decode import Decoder, Limits
from gateway.devices.presence import Presence
from gateway.devices.registry import Registry
from gateway.intake.intake import Intake
from gateway.log import Log, LogSettings
from gateway.reading import Message
from gateway.selection import ALL
from tests.log.parts import until

MAX_WAITING = 8


class Broker:
    """Where messages come from, as far as the intake knows it."""

    is_behind = False
    pauses = 0

    def pause(self) -> None:
        self.pauses += 1


class Stations(NamedTuple):
    log: Log
    counters: Counters
    intake: Intake
    broker: Broker

    async def told(self) -> list[tuple[str, str]]:
        """Kind and device of all entries, once nothing waits any more."""
        await until(lambda: not self.log.waiting)
        found = await self.log.read(self.log.floor, ALL, 1000)
        return [(entry.kind, entry.device) for entry in found.entries]  # type: ignore[union-attr] # no gap here


@pytest.fixture
async def stations(tmp_path: Path) -> AsyncIterator[Stations]:
    counters, registry, broker = Counters(), Registry(), Broker()
    log = await Log.open(LogSettings(tmp_path, max_waiting_messages=MAX_WAITING), counters)
    log.listeners.append(registry.apply)
    decoder = Decoder(load(None, [], {}).patterns(), Limits())
    intake = Intake(log, decoder, Presence(registry, DevicesSection()), registry, counters, MAX_WAITING)
    intake.source = broker
    yield Stations(log, counters, intake, broker)
    await log.close()


def message(device: str, value: float, packet_id: int = 0, *, dup: bool = False) -> Message:
    payload = b'{"temperature":%g}' % value
    return Message(f"sensors/{device}", payload, int(packet_id > 0), False, dup, packet_id, 1_795_335_752_000)


def nothing() -> None:
    """What a message at QoS 0 is acknowledged with."""


async def test_messages_become_entries_and_are_acknowledged_after_their_commit(stations: Stations) -> None:
    seen: list[int] = []
    stations.intake.take([message("a", 1, 1), message("b", 2, 2)], lambda: seen.append(stations.log.waiting))
    assert ([], 2) == (seen, stations.log.waiting)
    assert [("device", "a"), ("reading", "a"), ("device", "b"), ("reading", "b")] == await stations.told()
    await until(lambda: seen)
    assert [0] == seen


async def test_a_message_that_comes_again_is_acknowledged_and_not_logged(stations: Stations) -> None:
    acknowledged: list[str] = []
    stations.intake.take([message("a", 1, 7)], lambda: acknowledged.append("first"))
    stations.intake.take([message("a", 1, 7, dup=True)], lambda: acknowledged.append("again"))
    stations.intake.take([message("a", 2, 7)], lambda: acknowledged.append("the same packet id, something new"))
    assert [("device", "a"), ("reading", "a"), ("reading", "a")] == await stations.told()
    await until(lambda: len(acknowledged) == 3)
    assert (["first", "again"], 1) == (acknowledged[:2], stations.counters.redelivered_total)


async def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(stations: Stations) -> None:
    bad = msgspec.structs.replace(message("a", 1), payload=b"{")
    stations.intake.take([message("a", 1), bad, message("a", 2)], nothing)
    assert [("device", "a"), ("reading", "a"), ("reading", "a")] == await stations.told()
    assert {"bad_json": 1} == dict(stations.counters.rejected_total)


async def test_a_fault_of_ours_costs_the_message_that_met_it(
    stations: Stations, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = Presence.drafts
    monkeypatch.setattr(Presence, "drafts", lambda self, decoded: decoded.missing or drafts(self, decoded))
    stations.intake.take([message("a", 1)], nothing)
    monkeypatch.undo()
    stations.intake.take([message("b", 1)], nothing)
    assert [("device", "b"), ("reading", "b")] == await stations.told()
    assert {"fault": 1} == dict(stations.counters.rejected_total)


async def test_a_full_log_pauses_the_source(stations: Stations) -> None:
    for number in range(MAX_WAITING):
        assert 0 == stations.broker.pauses
        stations.intake.take([message("a", number, number + 1)], nothing)
    assert 1 == stations.broker.pauses
    assert MAX_WAITING + 1 == len(await stations.told()), "nothing at QoS 1 is dropped"


async def test_a_flood_at_qos_0_is_cut_while_the_gateway_is_behind_and_told_once(stations: Stations) -> None:
    stations.intake.take([message("a", 1)], nothing)
    await stations.told()
    stations.broker.is_behind = True
    stations.intake.take([message("a", number) for number in range(20)] + [message("q", 1, 9)], nothing)
    dropped = stations.counters.dropped_total["a"]
    assert 10 < dropped < 20
    stations.intake.tell_overflows()
    stations.intake.tell_overflows()
    told = await stations.told()
    counts = [told.count(entry) for entry in (("reading", "a"), ("reading", "q"), ("alert", "a"))]
    assert [21 - dropped, 1, 1] == counts
