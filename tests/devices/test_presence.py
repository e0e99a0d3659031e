"""What readings and infos mean for a device's status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import Instant
from gateway.config.table import DevicesSection, LimitsSection
from gateway.devices.cadence import SILENT_AFTER_GAPS
from gateway.devices.presence import Presence
from gateway.devices.registry import Registry
from gateway.frame import numbered
from gateway.reading import DeviceInfo, Draft, MetricInfo, Reading, Rejected
from gateway.selection import ALL
from tests.devices.parts import FakeClock

SILENT_AFTER_MS = 300_000


class Station:
    """A presence whose drafts are appended at once, as with an infinitely fast log.

    Its clocks agree: what is said at a time is said at that many elapsed milliseconds too.
    """

    def __init__(self, max_devices: int = 100, units: dict[str, str] | None = None, max_metrics: int = 200) -> None:
        self.clock = FakeClock(0, 0)
        self.registry = Registry(LimitsSection(max_devices=max_devices, max_metrics=max_metrics), self.clock)
        self.presence = Presence(self.registry, DevicesSection(silent_after_s=SILENT_AFTER_MS / 1000), units)
        self.seq = 0

    def take(self, said: Reading | DeviceInfo) -> list[dict[str, Any]]:
        self.clock.is_at(said.received_at_ms)
        drafts = self.presence.drafts(said)
        assert isinstance(drafts, list), drafts
        return self._append(drafts)

    def silent(self, now_ms: int, since_ms: int = 0) -> list[str]:
        drafts = self.presence.silent(Instant(now_ms / 1000, now_ms), since_ms / 1000)
        return [draft["device"] for draft in self._append(drafts)]

    def _append(self, drafts: list[Draft]) -> list[dict[str, Any]]:
        for draft in drafts:
            self.seq += 1
            self.registry.apply(numbered([draft], self.seq))
        return [{"kind": draft.kind, **json.loads(draft.data)} for draft in drafts]

    def status(self, device: str = "a") -> tuple[str, int]:
        state = self.registry.get(device)
        return state.status, state.since


def reading(now_ms: int, device: str = "a", retained: bool = False, **values: Any) -> Reading:
    return Reading(device, values or {"x": 1}, now_ms, retained=retained)


def info(now_ms: int, device: str = "a", **said: Any) -> DeviceInfo:
    return DeviceInfo(device, now_ms, **said)


def test_the_first_reading_announces_the_device_before_it():
    drafts = Station().take(reading(1000))
    assert [
        {"kind": "device", "device": "a", "status": "online", "since": 1000},
        {"kind": "reading", "device": "a", "at": 1000, "values": {"x": 1}},
    ] == drafts


def test_further_readings_are_readings_only():
    station = Station()
    station.take(reading(1000))
    assert ["reading"] == [draft["kind"] for draft in station.take(reading(2000))]


def test_a_reading_with_its_own_time_says_both_times():
    (_, draft) = Station().take(Reading("a", {"x": 1}, 1000, measured_at_ms=0))
    assert (0, 1000) == (draft["at"], draft["received_at"])


def test_a_device_known_only_by_retained_messages_has_an_unknown_status():
    station = Station()
    first, second = station.take(reading(1000, retained=True))
    assert ("unknown", True) == (first["status"], second["retained"])
    assert ["device", "reading"] == [draft["kind"] for draft in station.take(reading(2000))]
    assert ("online", 2000) == station.status()


def test_a_retained_reading_wakes_nobody_up():
    station = Station()
    station.take(info(1000, availability="offline"))
    assert ["reading"] == [draft["kind"] for draft in station.take(reading(2000, retained=True))]
    assert ("offline", 1000) == station.status()


def test_availability_makes_and_ends_presence():
    station = Station()
    station.take(reading(1000))
    assert ["offline"] == [draft["status"] for draft in station.take(info(2000, availability="offline"))]
    assert [] == station.take(info(3000, availability="offline"))
    assert ("offline", 2000) == station.status()
    station.take(reading(4000))
    assert ("online", 4000) == station.status()
    assert [] == station.take(info(5000, availability="online"))


def test_a_device_is_silent_after_the_configured_time_and_once():
    station = Station()
    station.take(reading(1000))
    assert [] == station.silent(1000 + SILENT_AFTER_MS)
    assert ["a"] == station.silent(1001 + SILENT_AFTER_MS)
    assert ("silent", 1001 + SILENT_AFTER_MS) == station.status()
    assert [] == station.silent(10**9)
    station.take(reading(10**9))
    assert ("online", 10**9) == station.status()


def test_a_device_that_usually_pauses_longer_is_given_ten_of_its_pauses():
    station = Station()
    for now in (0, 600_000, 1_200_000):
        station.take(reading(now + 1))
    due = 1_200_001 + SILENT_AFTER_GAPS * 600_000
    assert [] == station.silent(due)
    assert ["a"] == station.silent(due + 1)


def test_silence_before_the_broker_was_reached_was_ours():
    station = Station()
    station.take(reading(1000))
    assert [] == station.silent(10**9, since_ms=10**9 - SILENT_AFTER_MS)
    assert ["a"] == station.silent(10**9 + 1, since_ms=10**9 - SILENT_AFTER_MS)


def test_what_is_offline_or_unknown_does_not_become_silent():
    station = Station()
    station.take(info(1, "a", availability="offline"))
    station.take(reading(1, "b", retained=True))
    assert [] == station.silent(10**12)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reading", "retained", "online", "offline", "tick"]),
            st.sampled_from("ab"),
            st.integers(0, 2 * SILENT_AFTER_MS),
        ),
        max_size=25,
    )
)
def test_a_status_entry_is_drafted_exactly_when_the_status_changes(steps):
    station, now, expected, told = Station(), 1, {}, {}
    heard: dict[str, int] = {}
    for what, device, pause in steps:
        now += pause
        if what == "tick":
            # A usual pause that is longer would put silence off; these are decided by the registry, and tested above.
            drafts = station._append(station.presence.silent(Instant(now / 1000, now), 0))
            for each in drafts:
                assert ("online", True) == (expected[each["device"]], now - heard[each["device"]] > SILENT_AFTER_MS)
                expected[each["device"]] = "silent"
        elif what in ("online", "offline"):
            drafts = station.take(info(now, device, availability=what))
            heard[device] = now if expected.get(device) != what else heard[device]
            expected[device] = what
        else:
            drafts = station.take(reading(now, device, retained=what == "retained"))
            if what == "reading":
                heard[device] = now
                expected[device] = "online"
            else:
                expected.setdefault(device, "unknown")
        for each in drafts:
            if each["kind"] == "device":
                assert told.get(each["device"]) != each["status"]
                told[each["device"]] = each["status"]
        assert expected == told == {state.device: state.status for state in station.registry}


def test_units_of_the_configuration_are_announced_once():
    station = Station(units={"temperature": "Cel", "bme/humidity": "%RH"})
    said = {"temperature": 1, "in/temperature": 2, "bme/humidity": 3, "other/humidity": 4}
    first, _ = station.take(reading(1, **said))
    assert {
        "temperature": {"unit": "Cel"},
        "in/temperature": {"unit": "Cel"},
        "bme/humidity": {"unit": "%RH"},
    } == first["metrics"]
    assert ["reading"] == [draft["kind"] for draft in station.take(reading(2, **said))]
    more, _ = station.take(reading(3, **{"out/temperature": 1}, **said))
    assert (["out/temperature"], "online", 1) == (list(more["metrics"]), more["status"], more["since"])


def test_a_configured_unit_on_a_retained_reading_does_not_change_the_status():
    station = Station(units={"x": "W"})
    station.take(info(1, availability="offline"))
    first, _ = station.take(reading(2, retained=True))
    assert ("offline", 1, {"x": {"unit": "W"}}) == (first["status"], first["since"], first["metrics"])


def test_a_devices_own_unit_goes_before_the_configured_one():
    station = Station(units={"x": "W"})
    station.take(info(1, metrics={"x": MetricInfo(unit="kW")}))
    station.take(reading(2))
    station.take(reading(3))
    assert "kW" == station.registry.get("a").metrics["x"].unit
    later = Station(units={"x": "W"})
    later.take(reading(1))
    later.take(info(2, metrics={"x": MetricInfo(unit="kW")}))
    later.take(reading(3))
    assert "kW" == later.registry.get("a").metrics["x"].unit


def test_a_label_without_a_unit_leaves_room_for_the_configured_unit():
    station = Station(units={"x": "W"})
    station.take(info(1, metrics={"x": MetricInfo(label="Power")}))
    station.take(reading(2))
    assert MetricInfo("W", "Power") == station.registry.get("a").metrics["x"]


def test_an_empty_unit_or_label_says_nothing_new():
    station = Station()
    station.take(info(1, label="Boiler", model="B1", metrics={"x": MetricInfo(unit="W", label="Power")}))
    assert [] == station.take(info(2, metrics={"x": MetricInfo(unit="W")}))
    assert [] == station.take(info(3, metrics={"x": MetricInfo(label="Power")}))
    assert [] == station.take(info(4))
    (draft,) = station.take(info(5, metrics={"x": MetricInfo(unit="kW")}))
    assert {"x": {"unit": "kW", "label": "Power"}} == draft["metrics"]
    state = station.registry.get("a")
    assert ("Boiler", "B1", MetricInfo("kW", "Power")) == (state.label, state.model, state.metrics["x"])


def test_only_what_is_new_of_a_description_is_said():
    station = Station()
    station.take(info(1, label="Boiler", metrics={"x": MetricInfo(unit="W")}))
    (draft,) = station.take(
        info(2, label="Boiler", model="B2", metrics={"x": MetricInfo(unit="W"), "y": MetricInfo("V")})
    )
    assert {"kind", "device", "status", "since", "model", "metrics"} == draft.keys()
    assert {"y": {"unit": "V"}} == draft["metrics"]


@pytest.mark.parametrize("units", [{}, {"x": "W"}])
def test_metrics_whose_names_never_end_are_not_described_without_end(units):
    station = Station(units=units, max_metrics=5)
    for number in range(50):
        station.take(info(1, metrics={f"{number}/y": MetricInfo(unit="W")}))
        station.take(reading(1, **{f"{number}/x": 1}))
    assert 5 == len(station.registry.admit("a").newest.metrics) == len(station.registry.get("a").metrics)
    assert ["reading"] == [draft["kind"] for draft in station.take(reading(1, **{"new/x": 1}))]


def test_devices_above_the_limit_are_rejected_and_known_ones_are_not():
    station = Station(max_devices=2)
    station.take(reading(1, "a"))
    station.take(info(1, "b", availability="online"))
    for said in (reading(1, "c"), info(1, "d")):
        rejected = station.presence.drafts(said)
        assert isinstance(rejected, Rejected)
        assert "too_many_devices" == rejected.reason
    assert ["reading"] == [draft["kind"] for draft in station.take(reading(2, "a"))]


def test_what_was_stored_counts_as_announced():
    before = Station()
    before.take(info(1, label="Boiler", metrics={"x": MetricInfo(unit="W")}))
    before.take(reading(2))
    after = Station(max_devices=1)
    after.registry.load(*before.registry.checkpoint(is_whole=True)[:2])
    assert ["reading"] == [draft["kind"] for draft in after.take(reading(3))]
    assert [] == after.take(info(4, label="Boiler", metrics={"x": MetricInfo(unit="W")}))
    assert isinstance(after.presence.drafts(reading(5, "b")), Rejected)


def test_a_rejection_is_handed_back():
    rejected = Rejected("empty", "")
    assert rejected is Station().presence.drafts(rejected)


class Slow(Station):
    """A station whose log commits only when it is told to."""

    def __init__(self) -> None:
        super().__init__(max_devices=2, max_metrics=3)
        self.waiting: list[Draft] = []

    def _append(self, drafts: list[Draft]) -> list[dict[str, Any]]:
        self.waiting += drafts
        return [{"kind": draft.kind, **json.loads(draft.data)} for draft in drafts]

    def commit(self, count: int) -> None:
        for draft in self.waiting[:count]:
            self.seq += 1
            self.registry.apply(numbered([draft], self.seq), [draft])
        del self.waiting[:count]


def test_a_device_that_is_on_its_way_is_announced_once_and_not_visible() -> None:
    station = Slow()
    assert ["device", "reading"] == [draft["kind"] for draft in station.take(reading(1))]
    assert ["reading"] == [draft["kind"] for draft in station.take(reading(2))]
    assert (0, False, None, []) == (
        len(station.registry),
        "a" in station.registry,
        station.registry.get("a"),
        station.registry.shown(ALL),
    )
    station.commit(3)
    assert (1, True, "online") == (len(station.registry), "a" in station.registry, station.status()[0])


def test_devices_on_their_way_count_for_the_limit() -> None:
    station = Slow()
    station.take(reading(1, "a"))
    station.take(reading(1, "b"))
    assert isinstance(station.presence.drafts(reading(1, "c")), Rejected)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reading", "retained", "online", "offline", "label", "metric", "commit", "commit"]),
        st.sampled_from("ab"),
        st.integers(0, 5),
    ),
    max_size=30,
)


def said_of(what: str, device: str, now: int, number: int) -> Reading | DeviceInfo:
    if what in ("online", "offline"):
        return info(now, device, availability=what)
    if what == "label":
        return info(now, device, label=f"L{number % 2}", model=f"M{number % 3}")
    if what == "metric":
        return info(now, device, metrics={f"m{number}": MetricInfo(unit=f"u{now % 2}")})
    # Whether a retained value is known is asked of what was committed, so this one is always news.
    return reading(now, device, retained=what == "retained", x=now)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_drafts_are_the_same_however_late_they_are_committed(steps: list[tuple[str, str, int]]) -> None:
    """What was drafted is known until it is applied, and nothing of it is kept after that."""
    at_once, late = Station(max_devices=2, max_metrics=3), Slow()
    for now, (what, device, number) in enumerate(steps, 1):
        if what == "commit":
            late.commit(number)
            continue
        said = said_of(what, device, now, number)
        assert at_once.take(said) == late.take(said)
    late.commit(len(late.waiting))
    assert at_once.registry.shown(ALL) == late.registry.shown(ALL)
    assert [None] * len(late.registry) == [device.drafted for device in late.registry.records()]


# --- the wall clock steps ----------------------------------------------------------------------------------------------

DAY_S = 86_400
LISTENING_S = 1.0
steps_of_the_clock = st.dictionaries(st.integers(0, 60), st.integers(-20 * DAY_S, 20 * DAY_S), max_size=5)


class House:
    """One device on virtual time, and a gateway that may be started again; ``wall_steps`` by reading number."""

    def __init__(self, pause_s: float, wall_steps: dict[int, int], restarts: set[int]) -> None:
        self.clock = FakeClock()
        self.pause_s, self.wall_steps, self.restarts = pause_s, wall_steps, restarts
        self.seq, self.told = 0, []
        self.start({}, 0)

    def start(self, states: dict[str, bytes], position: int) -> None:
        self.registry = Registry(LimitsSection(), self.clock)
        self.registry.load(states, position)
        self.presence = Presence(self.registry, DevicesSection(silent_after_s=SILENT_AFTER_MS / 1000))
        self.connected_s = self.clock.elapsed_s()
        self.look()

    def look(self) -> None:
        now = self.clock.now()
        for draft in self.presence.silent(now, self.connected_s):
            self.told.append(now.elapsed_s)
            self.append([draft])

    def append(self, drafts: list[Draft]) -> None:
        entries = numbered(drafts, self.seq + 1)
        self.seq += len(entries)
        self.registry.apply(entries, drafts)

    def report(self, count: int) -> None:
        for number in range(count):
            self.clock.steps(self.wall_steps.get(number, 0))
            if number in self.restarts:
                self.start(*self.registry.checkpoint(is_whole=True)[:2])
            self.append(self.presence.drafts(reading(self.clock.wall_ms(), "a", x=number)))
            self.look()
            self.clock.passes(self.pause_s)
            self.look()

    def silent_after_s(self) -> float:
        """Elapsed seconds from the last reading until the device is called silent."""
        last_s = self.clock.elapsed_s() - self.pause_s
        while not self.told:
            self.clock.passes(1)
            self.look()
        return self.told[0] - last_s


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 20, 300]), steps_of_the_clock, st.integers(3, 70))
def test_no_step_of_the_clock_makes_a_device_silent_or_keeps_it_from_it(
    pause_s: int, wall_steps: dict[int, int], count: int
) -> None:
    stepped, steady = House(pause_s, wall_steps, set()), House(pause_s, {}, set())
    for house in (stepped, steady):
        house.report(count)
        assert [] == house.told
    assert steady.silent_after_s() == stepped.silent_after_s()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 20]), st.integers(0, 60), st.integers(-20 * DAY_S, 20 * DAY_S), st.sets(st.integers(1, 60)))
def test_a_step_does_not_outlive_a_restart_either(pause_s: int, at: int, step_s: int, restarts: set[int]) -> None:
    """A start knows only the pauses in the log, with the step among them: the device is judged by those of before."""
    restarts.add(70)  # it is heard once more after the last start
    stepped, steady = House(pause_s, {at: step_s}, restarts), House(pause_s, {}, restarts)
    for house in (stepped, steady):
        house.report(72)
        assert [] == house.told
    assert steady.silent_after_s() == stepped.silent_after_s()


def test_a_clock_ten_days_ahead_and_back_again_changes_nothing() -> None:
    house = House(10, {20: 10 * DAY_S, 40: -10 * DAY_S}, {25, 45})
    house.report(60)
    assert [] == house.told
    assert SILENT_AFTER_MS / 1000 + 1 == house.silent_after_s()
