from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.log.watch import Watch, Watches
from gateway.selection import Selection, select

DEVICES = ["a", "b", "ab", "k/x", "k/y"]
PATTERNS = ["a", "b", "a*", "k/*", "*", "*y", "nobody"]


class ExactWakes(RuleBasedStateMachine):
    """Against a model that asks each selection about each device."""

    watches = Bundle("watches")

    def __init__(self) -> None:
        super().__init__()
        self.real = Watches()
        self.open: dict[Watch, list[str]] = {}
        self.woken: list[Watch] = []

    @rule(target=watches, patterns=st.lists(st.sampled_from(PATTERNS), max_size=3))
    def open_one(self, patterns: list[str]) -> Watch:
        watch = self.real.open(select(patterns), lambda: self.woken.append(watch))
        self.open[watch] = patterns
        return watch

    @rule(watch=consumes(watches), twice=st.booleans())
    def close_one(self, watch: Watch, twice: bool) -> None:
        for _ in range(1 + twice):
            watch.close()
        del self.open[watch]

    @rule(devices=st.sets(st.sampled_from(DEVICES)))
    def wake(self, devices: set[str]) -> None:
        self.woken.clear()
        self.real.wake(devices)
        expected = [w for w, patterns in self.open.items() if any(d in select(patterns) for d in devices)]
        assert len(expected) == len(self.woken)
        assert set(expected) == set(self.woken)

    @invariant()
    def nothing_is_kept_for_those_who_left(self) -> None:
        assert {select(patterns) for patterns in self.open.values()} == set(self.real._groups)
        assert set().union(*self.real._by_device.values()) <= set(self.real._groups.values())
        if not self.open:
            assert {} == self.real._by_device


TestExactWakes = ExactWakes.TestCase
TestExactWakes.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_closed_watch_is_not_woken() -> None:
    watches, woken = Watches(), []
    gone = watches.open(select(["a"]), lambda: woken.append("gone"))
    watches.open(select(["a"]), lambda: woken.append("stays"))
    gone.close()
    watches.wake(["a"])
    assert ["stays"] == woken


chosen = st.frozensets(st.sampled_from([*PATTERNS, "k/x", "*x"]), max_size=3)
sets_of_devices = st.sets(st.sampled_from(DEVICES))


@given(a=chosen, b=chosen, seen=sets_of_devices, wakes=sets_of_devices)
def test_what_two_selections_have_in_common_is_woken_by_devices_of_both(a, b, seen, wakes) -> None:
    watches, woken = Watches(), []
    watches.open(select(["a"]), lambda: None)
    watches.wake(seen)
    watches.open(Selection(a) & Selection(b), lambda: woken.append(1))
    watches.wake(wakes)
    assert any(device in Selection(a) and device in Selection(b) for device in wakes) == bool(woken)
