from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from gateway.config import load
from gateway.config.table import DevicesSection
from gateway.counters import Counters
from gateway.decode import make_decoder
from gateway.devices.presence import Presence
from gateway.devices.registry import Registry
from gateway.intake.floods import Floods
from gateway.intake.intake import Intake
from gateway.intake.rejections import Rejections
from gateway.intake.repeats.receipts import Receipts
from gateway.intake.repeats.repeats import Repeats
from gateway.intake.repeats.retained import Retained
from gateway.log import Log
from gateway.reading import Message
from gateway.selection import ALL
from tests.log.parts import open_log, until
from tests.parts import HandClock

MAX_WAITING = 8


class Stations(NamedTuple):
    log: Log
    counters: Counters
    intake: Intake

    def receive(
        self, *messages: Message, acknowledge: Callable[[], bool] = lambda: True, is_behind: bool = False
    ) -> bool:
        return self.intake.receive(list(messages), acknowledge, is_behind=is_behind)

    async def told(self) -> list[tuple[str, str]]:
        """Kind and device of all entries, once nothing waits any more."""
        await until(lambda: not self.log.commits.waiting)
        found = await self.log.read(self.log.floor, ALL, 1000)
        return [(entry.kind, entry.device) for entry in found.entries]  # type: ignore[union-attr] # no gap here


@pytest.fixture
async def stations(tmp_path: Path) -> AsyncIterator[Stations]:
    counters, registry = Counters(), Registry()
    log = await open_log(tmp_path / "log", max_waiting_messages=MAX_WAITING)
    log.listeners.append(registry.apply)
    decoder = make_decoder(load(None, [], {}))
    repeats = Repeats(decoder.decode, Receipts(), Retained(tmp_path, "localhost:1883", "us"), registry, counters)
    floods = Floods(decoder.payer, registry, counters, MAX_WAITING)
    intake = Intake(log, floods, repeats, Presence(registry, DevicesSection()), Rejections(counters, HandClock()))
    yield Stations(log, counters, intake)
    await log.close()


def message(device: str, value: float, packet_id: int = 0, *, dup: bool = False) -> Message:
    payload = b'{"temperature":%g}' % value
    return Message(f"sensors/{device}", payload, int(packet_id > 0), False, dup, packet_id, 1_795_335_752_000)


async def test_messages_become_entries_and_are_acknowledged_after_their_commit(stations: Stations) -> None:
    seen: list[int] = []

    def acknowledge() -> bool:
        seen.append(stations.log.commits.waiting)
        return True

    assert stations.receive(message("a", 1, 1), message("b", 2, 2), acknowledge=acknowledge)
    assert ([], 2) == (seen, stations.log.commits.waiting)
    assert [("device", "a"), ("reading", "a"), ("device", "b"), ("reading", "b")] == await stations.told()
    await until(lambda: seen)
    assert [0] == seen


async def test_a_message_that_comes_again_is_acknowledged_and_not_logged(stations: Stations) -> None:
    acknowledged: list[str] = []

    def acknowledge(name: str) -> Callable[[], bool]:
        return lambda: acknowledged.append(name) is None

    stations.receive(message("a", 1, 7), acknowledge=acknowledge("first"))
    stations.receive(message("a", 1, 7, dup=True), acknowledge=acknowledge("again"))
    stations.receive(message("a", 2, 7), acknowledge=acknowledge("the same packet id, something new"))
    assert [("device", "a"), ("reading", "a"), ("reading", "a")] == await stations.told()
    await until(lambda: len(acknowledged) == 3)
    assert (["first", "again"], 1) == (acknowledged[:2], stations.counters.redelivered_total)


async def test_what_could_not_be_acknowledged_is_expected_again_on_a_resumed_session(stations: Stations) -> None:
    stations.intake.connection_began(resumed=True)
    stations.receive(message("a", 1, 7), acknowledge=lambda: False)
    await stations.told()
    stations.intake.connection_began(resumed=True)
    stations.receive(message("a", 1, 8), message("a", 1, 9))
    assert [("device", "a"), ("reading", "a"), ("reading", "a")] == await stations.told()
    assert 1 == stations.counters.redelivered_total


async def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(stations: Stations) -> None:
    bad = msgspec.structs.replace(message("a", 1), payload=b"{")
    stations.receive(message("a", 1), bad, message("a", 2))
    assert [("device", "a"), ("reading", "a"), ("reading", "a")] == await stations.told()
    assert {"bad_json": 1} == dict(stations.counters.rejected_total)


async def test_a_fault_of_ours_costs_the_message_that_met_it(
    stations: Stations, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = Presence.drafts
    monkeypatch.setattr(Presence, "drafts", lambda self, decoded: decoded.missing or drafts(self, decoded))
    stations.receive(message("a", 1))
    monkeypatch.undo()
    stations.receive(message("b", 1))
    assert [("device", "b"), ("reading", "b")] == await stations.told()
    assert {"fault": 1} == dict(stations.counters.rejected_total)


async def test_a_full_log_asks_for_no_more(stations: Stations) -> None:
    rooms = [stations.receive(message("a", number, number + 1)) for number in range(MAX_WAITING)]
    assert [True] * (MAX_WAITING - 1) + [False] == rooms
    assert MAX_WAITING + 1 == len(await stations.told()), "nothing at QoS 1 is dropped"


async def test_a_flood_at_qos_0_is_cut_while_the_gateway_is_behind_and_told_once(stations: Stations) -> None:
    stations.receive(message("a", 1))
    await stations.told()
    stations.receive(*[message("a", number) for number in range(20)], message("q", 1, 9), is_behind=True)
    dropped = stations.counters.dropped_total["a"]
    assert 10 < dropped < 20
    stations.intake.tell_overflows(1_795_335_752_000)
    stations.intake.tell_overflows(1_795_335_752_000)
    told = await stations.told()
    counts = [told.count(entry) for entry in (("reading", "a"), ("reading", "q"), ("alert", "a"))]
    assert [21 - dropped, 1, 1] == counts
