from __future__ import annotations

from gateway.counters import Counters
from gateway.devices.registry import Registry
from gateway.intake.floods import Floods
from gateway.reading import Message


def message(device: str, *, qos: int = 0, retain: bool = False) -> Message:
    return Message(f"s/{device}", b"1", qos, retain, False, qos, 0)


def floods(counters: Counters) -> Floods:
    return Floods(lambda topic: topic.removeprefix("s/"), Registry(), counters, 10)


def test_all_is_admitted_while_the_gateway_keeps_up() -> None:
    sent = [message("a")] * 100
    assert sent == floods(Counters()).admitted(sent, 0, is_behind=False)


def test_only_qos_0_that_is_not_retained_is_cut() -> None:
    counters = Counters()
    kept = [message("a", qos=1), message("a", retain=True)] * 50
    admitted = floods(counters).admitted([message("a")] * 100 + kept, 10, is_behind=False)
    assert kept == admitted[-100:]
    assert (len(admitted) - 100, 200 - len(admitted)) == (1, counters.dropped_total[""]), "a device nobody knows"


def test_devices_that_are_not_known_have_no_alert() -> None:
    cut = floods(Counters())
    cut.admitted([message("a")] * 100, 10, is_behind=False)
    assert [] == cut.alerts(5)
