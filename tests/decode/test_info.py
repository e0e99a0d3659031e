"""What devices say about themselves."""

from __future__ import annotations

import pytest

from gateway.config import LimitsSection
from gateway.decode.info import availability, device_info
from gateway.reading import DeviceInfo, MetricInfo, Rejected


@pytest.mark.parametrize(
    ("parsed", "word"),
    [
        ("online", "online"),
        (" Online ", "online"),
        ("OFFLINE", "offline"),
        (True, "online"),
        (False, "offline"),
        (1, "online"),
        (0, "offline"),
        ("1", "online"),
        ("ready", "online"),
        ("lost", "offline"),
        ("disconnected", "offline"),
        ({"state": "online"}, "online"),
        ({"state": False}, "offline"),
    ],
)
def test_availability_is_read_in_the_words_of_many_conventions(parsed, word):
    assert DeviceInfo("a", 5, availability=word) == availability("a", parsed, 5)


@pytest.mark.parametrize(
    "parsed",
    [
        None,
        2,
        1.0,
        "maybe",
        "",
        [],
        {},
        {"state": None},
        {"state": {}},
        {"state": ["online"]},
        {"state": 10**5000},
        "x" * 10**6,
        "\ud800",
    ],
)
def test_what_is_no_availability_is_rejected(parsed):
    rejected = availability("a", parsed, 5)
    assert isinstance(rejected, Rejected)
    assert "bad_value" == rejected.reason
    assert len(rejected.detail) < 150
    assert rejected.detail.isprintable()


def test_nesting_as_deep_as_the_parser_takes_is_rejected_and_not_looked_into():
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    assert "availability of a: list" == availability("a", nested, 5).detail


def test_a_device_describes_itself_and_its_metrics():
    said = {"label": " Boiler ", "model": "B1", "metrics": {"x": {"unit": "°C", "label": "Flow"}, "y": {}}, "more": 1}
    expected = DeviceInfo("a", 5, None, "Boiler", "B1", {"x": MetricInfo("Cel", "Flow"), "y": MetricInfo()})
    assert expected == device_info("a", said, 5, LimitsSection())


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"label": 5, "model": None, "metrics": []},
        {"label": "a\nb", "model": "\u202e"},
        {"metrics": {"": {}, "a\nb": {}, "x" * 129: {}, "y": 5, "z": None, "\ud800": {}}},
    ],
)
def test_what_cannot_be_taken_of_a_description_is_left_out(said):
    assert DeviceInfo("a", 5) == device_info("a", said, 5, LimitsSection())


def test_long_labels_are_cut():
    found = device_info(
        "a", {"label": "x" * 10**5, "metrics": {"x": {"label": "y" * 999, "unit": "z" * 999}}}, 5, LimitsSection()
    )
    assert (200, 200, 32) == (len(found.label), len(found.metrics["x"].label), len(found.metrics["x"].unit))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("text", "bad_value"),
        ([], "bad_value"),
        (None, "bad_value"),
        ({"metrics": {str(n): {} for n in range(11)}}, "too_many_metrics"),
    ],
)
def test_what_is_no_description_is_rejected(said, reason):
    assert reason == device_info("a", said, 5, LimitsSection(max_metrics=10)).reason
