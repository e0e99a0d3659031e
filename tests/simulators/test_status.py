from __future__ import annotations

from simulators.counters import Counters
from simulators.status import complaints, farewell, plural, progress, totals

QUIET = Counters(devices=8, connected=8)


def test_progress_tells_who_is_connected_how_fast_it_goes_and_the_totals() -> None:
    before = Counters(devices=8, connected=8, published_total=100, readings_total=90, acknowledged_total=100)
    now = Counters(devices=8, connected=8, published_total=1300, readings_total=2090, acknowledged_total=1299)
    expected = "8 of 8 devices connected, 600 messages/s with 1,000 readings/s, 1,300 published, 1,299 acknowledged"
    assert expected == progress(before, now, 2.0)


def test_at_qos_0_nothing_is_called_acknowledged() -> None:
    assert "5 published" == totals(Counters(confirmed=False, published_total=5, acknowledged_total=5))


def test_skipped_and_refused_are_told_when_there_are_any() -> None:
    now = Counters(published_total=5, acknowledged_total=4, refused_total=1, skipped_unacknowledged_total=2)
    assert "5 published, 4 acknowledged, 1 refused, 2 skipped" == totals(now)


def test_a_fleet_that_does_well_has_no_complaint() -> None:
    assert [] == complaints(QUIET, QUIET, "")


def test_a_missing_connection_is_told_with_its_reason() -> None:
    now = Counters(devices=8, connected=7)
    assert ["1 device not connected: connection refused"] == complaints(QUIET, now, "connection refused")


def test_a_slow_broker_is_told() -> None:
    now = Counters(devices=8, connected=8, skipped_unacknowledged_total=12)
    assert ["the broker is slow to acknowledge: 12 messages skipped"] == complaints(QUIET, now, "")


def test_a_slow_broker_that_has_recovered_is_not_told_again() -> None:
    now = Counters(devices=8, connected=8, skipped_unacknowledged_total=12)
    assert [] == complaints(now, now, "")


def test_a_broker_that_refuses_is_told() -> None:
    now = Counters(devices=8, connected=8, refused_total=1)
    assert ["the broker refused 1 message: may these devices publish there?"] == complaints(QUIET, now, "")


def test_a_rate_that_cannot_be_kept_is_told() -> None:
    (complaint,) = complaints(QUIET, Counters(devices=8, connected=8, behind_s=3.21), "")
    assert complaint.startswith("cannot keep the asked rate: 3.2 s behind")


def test_the_last_line_has_the_totals() -> None:
    now = Counters(devices=8, published_total=1234, acknowledged_total=1234)
    assert "stopped: 8 devices, 1,234 published, 1,234 acknowledged" == farewell(now)


def test_the_last_line_tells_what_was_never_acknowledged() -> None:
    now = Counters(devices=1, published_total=10, acknowledged_total=7)
    assert "stopped: 1 device, 10 published, 7 acknowledged, 3 never acknowledged" == farewell(now)


def test_one_is_singular_and_thousands_have_a_comma() -> None:
    assert ("1 device", "1,000 devices") == (plural(1, "device"), plural(1000, "device"))
