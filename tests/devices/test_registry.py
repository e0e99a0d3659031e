"""The registry as a fold over entries."""

from __future__ import annotations

import itertools
import json
from math import inf
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import frame
from gateway.config import DevicesSection, LimitsSection
from gateway.decode import Topics
from gateway.devices.cadence import GAP_WEIGHT
from gateway.devices.presence import Presence
from gateway.devices.registry import Registry
from gateway.reading import Draft, Entry, Message, Rejected
from gateway.selection import ALL, select
from gateway.topic import Pattern

NOW = 1_795_335_752_114

METRICS = ("temperature", "humidity", "door")
values = st.dictionaries(
    st.sampled_from(METRICS),
    st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.booleans() | st.text(max_size=3),
    min_size=1,
)
readings = st.fixed_dictionaries({"values": values, "at": st.integers(0, 50)}, optional={"retained": st.just(True)})
statuses = st.fixed_dictionaries(
    {"status": st.sampled_from(["online", "offline", "silent", "unknown"]), "since": st.integers(1, 99)},
    optional={
        "label": st.sampled_from(["A", "B"]),
        "model": st.just("M"),
        "metrics": st.dictionaries(
            st.sampled_from(METRICS), st.fixed_dictionaries({}, optional={"unit": st.sampled_from(["W", "V"])})
        ),
    },
)
logs = st.lists(
    st.tuples(st.sampled_from("abc"), st.one_of(readings, statuses, st.none()), st.integers(0, 1000)), max_size=25
)


def entry(seq: int, kind: str, device: str, received_at: int, said: dict[str, Any]) -> Entry:
    return frame.numbered([Draft(kind, device, received_at, msgspec.json.encode({"device": device, **said}))], seq)[0]


def entries_of(log: list[tuple[str, dict[str, Any] | None, int]]) -> list[Entry]:
    made, now = [], 0
    for seq, (device, said, pause) in enumerate(log, 100):
        now += pause
        kind = "alert" if said is None else "reading" if "values" in said else "device"
        made.append(entry(seq, kind, device, now, said or {}))
    return made


def naive(log: list[tuple[str, dict[str, Any] | None, int]]) -> dict[str, dict[str, Any]]:
    """What the documents say is known of each device, written as plainly as can be."""
    known: dict[str, dict[str, Any]] = {}
    now = 0
    for device, said, pause in log:
        now += pause
        if said is None:
            continue
        state = known.setdefault(device, {"device": device, "status": "unknown", "since": 0, "values": {}, "units": {}})
        if "values" in said:
            for metric, value in said["values"].items():
                before = state["values"].get(metric)
                if before is None or said["at"] >= before["at"] or before.get("retained"):
                    newer = {"value": value, "at": said["at"], "received_at": now}
                    state["values"][metric] = newer | ({"retained": True} if said.get("retained") else {})
        else:
            state |= {key: said[key] for key in ("status", "since", "label", "model") if key in said}
            state["units"].update({metric: about.get("unit", "") for metric, about in said.get("metrics", {}).items()})
    return {device: with_units(state) for device, state in known.items()}


def with_units(state: dict[str, Any]) -> dict[str, Any]:
    units = state.pop("units")
    for metric, latest in state["values"].items():
        if units.get(metric):
            latest["unit"] = units[metric]
    return state


def shown(registry: Registry, *patterns: str, metrics: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    return list(map(json.loads, registry.shown(select(list(patterns)), metrics)))


@settings(max_examples=80, deadline=None)
@given(logs)
def test_the_registry_is_the_fold_that_the_documents_describe(log):
    registry = Registry()
    registry.apply(entries_of(log))
    assert naive(log) == {state["device"]: state for state in shown(registry)}


@settings(max_examples=50, deadline=None)
@given(logs, st.lists(st.integers(0, 25)), st.booleans())
def test_entries_give_the_same_state_in_any_pages(log, cuts, look_in_between):
    entries, whole, paged = entries_of(log), Registry(), Registry()
    whole.apply(entries)
    edges = sorted({0, *cuts, len(entries)})
    for start, end in itertools.pairwise(edges):
        paged.apply(entries[start:end])
        if look_in_between:
            paged.shown(ALL)
    assert list(whole) == list(paged)
    assert whole.shown(ALL) == paged.shown(ALL)
    assert (entries[-1].seq if entries else 0) == whole.position == paged.position


@settings(max_examples=50, deadline=None)
@given(logs, st.integers(0, 25))
def test_stored_changes_load_as_the_same_state_and_go_on_alike(log, cut):
    entries, kept, loaded = entries_of(log), Registry(), Registry()
    stored: dict[str, bytes] = {}
    for part in (entries[:cut], entries[cut:]):
        kept.apply(part)
        changed, position, _ = kept.checkpoint(is_whole=False)
        stored.update(changed)
    loaded.load(stored, position)
    assert {state.device: state for state in kept} == {state.device: state for state in loaded}
    assert kept.position == loaded.position
    more = entry(10_000, "reading", "a", 10**6, {"at": 60, "values": {"temperature": 1}})
    kept.apply([more])
    loaded.apply([more])
    assert kept.get("a") == loaded.get("a")


def exactly(registry: Registry) -> bytes:
    """All that is known, in the order in which it is held."""
    return msgspec.json.encode([list(registry), registry.position, len(registry)])


@settings(max_examples=200, deadline=None)
@given(logs, st.integers(1, 3), st.lists(st.booleans(), min_size=25, max_size=25))
def test_it_does_not_matter_when_somebody_looks(log, max_metrics, looks):
    looked, left = Registry(LimitsSection(max_metrics=max_metrics)), Registry(LimitsSection(max_metrics=max_metrics))
    for each, look in zip(entries_of(log), looks, strict=False):
        looked.apply([each])
        left.apply([each])
        assert set("abc") & {state.device for state in looked} == {name for name in "abc" if name in left}
        if look:
            assert looked.get(each.device) == left.get(each.device)
    assert exactly(looked) == exactly(left)


same_names = st.lists(
    st.tuples(
        st.just("a"), st.fixed_dictionaries({"values": st.just({"x": 1, "y": 2}), "at": st.integers(0, 9)}), st.just(1)
    )
)


@settings(max_examples=100, deadline=None)
@given(st.tuples(logs, same_names, logs).map(lambda parts: [*parts[0], *parts[1], *parts[2]]), st.integers(1, 4))
def test_a_reading_that_replaces_another_leaves_the_same_behind(log, max_metrics):
    folded, left = Registry(LimitsSection(max_metrics=max_metrics)), Registry(LimitsSection(max_metrics=max_metrics))
    for each in entries_of(log):
        folded.apply([each])
        folded.get(each.device)
    left.apply(entries_of(log))
    assert exactly(folded) == exactly(left)


messages = st.lists(
    st.tuples(
        st.sampled_from(["s/a", "s/b", "s/a/m/x", "s/a/availability", "s/b/info"]),
        st.one_of(
            st.dictionaries(st.sampled_from([*METRICS, "time"]), st.floats() | st.integers() | st.text(max_size=3)).map(
                json.dumps
            ),
            st.sampled_from(["1", "-0.0", "1e22", "online", "offline", '{"x":{"value":1.0,"unit":"W"}}', "[1,[2]]"]),
            st.just('{"label":"L","model":"M","metrics":{"x":{"unit":"V"}}}'),
        ),
        st.booleans(),
    ),
    max_size=15,
)
PATTERNS = [
    Pattern("availability", "s/{device}/availability"),
    Pattern("info", "s/{device}/info"),
    Pattern("readings", "s/{device}/m/{metric}"),
    Pattern("readings", "s/{device}"),
]


@settings(max_examples=150, deadline=None)
@given(messages)
def test_drafts_give_the_same_state_as_the_frames_that_they_become(sent):
    decoder, presence = Topics(PATTERNS, LimitsSection()), Presence(Registry(), DevicesSection())
    decoded = [
        each
        for at, (topic, payload, retain) in enumerate(sent)
        for each in decoder.decode(Message(topic, payload.encode(), 1, retain, False, 1, NOW + at))
    ]
    drafts = [draft for each in decoded if not isinstance(each, Rejected) for draft in presence.drafts(each)]
    entries = frame.numbered(drafts, 100)
    assert all(draft.content is not None for draft in drafts)
    live, replayed = Registry(), Registry()
    live.apply(entries, drafts)
    replayed.apply(entries)
    assert exactly(replayed) == exactly(live)


def test_changes_are_those_since_the_last_call():
    registry = Registry()
    registry.apply([entry(1, "reading", "a", 1, {"at": 1, "values": {"x": 1}})])
    changed = registry.checkpoint(is_whole=False)
    assert (["a"], 1, False) == (list(changed.states), changed.position, changed.is_whole)
    assert ({}, 1, False) == registry.checkpoint(is_whole=False)


def test_what_is_given_back_is_in_the_next_checkpoint_with_what_is_known_by_then():
    registry = Registry()
    registry.apply([entry(n, "reading", device, 1, {"at": 1, "values": {"x": 1}}) for n, device in enumerate("ab", 1)])
    failed = registry.checkpoint(is_whole=False)
    registry.apply([entry(3, "reading", "b", 2, {"at": 2, "values": {"x": 2}})])
    registry.give_back(failed)
    again = registry.checkpoint(is_whole=False)
    assert (failed.states["a"], 3) == (again.states["a"], again.position)
    assert failed.states["b"] != again.states["b"]


def test_a_whole_checkpoint_holds_what_did_not_change_too():
    registry = Registry()
    registry.apply([entry(1, "reading", "a", 1, {"at": 1, "values": {"x": 1}})])
    changed = registry.checkpoint(is_whole=False)
    assert changed._replace(is_whole=True) == registry.checkpoint(is_whole=True)


def test_a_registry_that_catches_up_says_so_and_hears_nobody():
    registry = Registry()
    is_current = [registry.is_current]
    registry.begin_catch_up()
    is_current.append(registry.is_current)
    registry.apply([entry(1, "reading", "a", 1, {"at": 1, "values": {"x": 1}})])
    assert [-inf] == [device.heard_s for device in registry.records()]
    registry.end_catch_up()
    is_current.append(registry.is_current)
    registry.apply([entry(2, "reading", "a", 2, {"at": 2, "values": {"x": 1}})])
    assert [True, False, True] == is_current
    assert all(device.heard_s > 0 for device in registry.records())


def test_only_max_devices_are_admitted_and_those_of_the_log_always():
    registry = Registry(LimitsSection(max_devices=1))
    assert registry.admit("a") is registry.admit("a") is not None
    assert registry.admit("b") is None
    registry.apply([entry(1, "reading", "b", 1, {"at": 1, "values": {"x": 1}})])
    assert (["b"], 1) == ([state.device for state in registry], len(registry))
    assert registry.admit("b") is not None


def test_a_stored_state_that_cannot_be_read_is_left_out():
    registry = Registry()
    good = b'{"device":"a","status":"online"}'
    registry.load({"a": good, "b": b"{", "c": b'{"device":1}', "d": b"\xff", "e": b'{"device":"e","status":"?"}'}, 7)
    assert (["a"], 7) == ([state.device for state in registry], registry.position)


def test_an_alert_moves_the_position_and_nothing_else():
    registry = Registry()
    registry.apply([entry(5, "alert", "nobody", 1, {})])
    assert ({}, 5, False) == registry.checkpoint(is_whole=False)
    assert "nobody" not in registry


def test_only_the_first_metrics_up_to_the_limit_are_remembered():
    registry = Registry(LimitsSection(max_metrics=2))
    registry.apply(
        [
            entry(1, "device", "a", 1, {"status": "online", "since": 1, "metrics": {n: {"unit": "W"} for n in "xyz"}}),
            entry(2, "reading", "a", 1, {"at": 1, "values": {"x": 1, "y": 1, "z": 1}}),
            entry(3, "reading", "a", 1, {"at": 1, "values": {"z": 2, "x": 2}}),
        ]
    )
    state = registry.get("a")
    assert {"x": 2, "y": 1} == {metric: latest.value for metric, latest in state.values.items()}
    assert ["x", "y"] == list(state.metrics)


def test_a_delayed_report_does_not_replace_a_newer_one():
    registry = Registry()
    registry.apply([entry(1, "reading", "a", 100, {"at": 90, "values": {"x": 1}})])
    registry.apply([entry(2, "reading", "a", 110, {"at": 50, "values": {"x": 2, "y": 2}, "received_at": 110})])
    assert {"x": 1, "y": 2} == {metric: latest.value for metric, latest in registry.get("a").values.items()}


def test_a_live_value_replaces_a_retained_one_whatever_its_time():
    registry = Registry()
    registry.apply([entry(1, "reading", "a", 100, {"at": 100, "values": {"x": 1}, "retained": True})])
    registry.apply([entry(2, "reading", "a", 110, {"at": 50, "values": {"x": 2}})])
    assert (2, False) == (registry.get("a").values["x"].value, registry.get("a").values["x"].retained)


def test_a_unit_that_comes_after_the_value_is_shown_with_it():
    registry = Registry()
    registry.apply([entry(1, "reading", "a", 1, {"at": 1, "values": {"x": 1}})])
    assert "unit" not in shown(registry)[0]["values"]["x"]
    about = {"status": "online", "since": 1, "metrics": {"x": {"unit": "W", "label": "Power"}}}
    registry.apply([entry(2, "device", "a", 1, about)])
    assert {"unit": "W", "label": "Power"}.items() <= shown(registry)[0]["values"]["x"].items()


def test_the_usual_pause_is_learned_from_live_readings():
    registry = Registry()
    for seq, (received_at, more) in enumerate([(1000, {}), (3000, {}), (3500, {"retained": True}), (9000, {})]):
        registry.apply([entry(seq, "reading", "a", received_at, {"at": 1, "values": {"x": 1}, **more})])
    assert 2000 + (6000 - 2000) * GAP_WEIGHT == registry.get("a").usual_gap_ms


def test_states_are_shown_by_name_for_names_globs_and_all():
    registry = Registry()
    for seq, device in enumerate(("b/2", "a", "b/1", "__proto__")):
        registry.apply([entry(seq, "reading", device, 1, {"at": 1, "values": {"x": 1}})])
    assert ["__proto__", "a", "b/1", "b/2"] == [state["device"] for state in shown(registry)]
    assert ["a", "b/2"] == [state["device"] for state in shown(registry, "b/2", "a", "nobody")]
    assert ["a", "b/1", "b/2"] == [state["device"] for state in shown(registry, "b/*", "a")]


def test_with_metrics_only_those_are_shown_and_only_where_any_is():
    registry = Registry()
    registry.apply([entry(1, "reading", "a", 1, {"at": 1, "values": {"x": 1, "y": 1}})])
    registry.apply([entry(2, "reading", "b", 1, {"at": 1, "values": {"y": 1}})])
    assert [("a", ["x"])] == [
        (state["device"], list(state["values"])) for state in shown(registry, metrics=frozenset("x"))
    ]


def test_what_is_stored_but_not_for_browsers_is_not_shown():
    registry = Registry()
    registry.apply([entry(n, "reading", "a", n * 9, {"at": 1, "values": {"x": 1}}) for n in (1, 2)])
    assert {"device", "status", "since", "values"} == shown(registry)[0].keys()
    assert {"last_reading_at_ms", "usual_gap_ms"} <= json.loads(registry.checkpoint(is_whole=False).states["a"]).keys()
    assert (1, True, None) == (len(registry), "a" in registry, registry.get("b"))
