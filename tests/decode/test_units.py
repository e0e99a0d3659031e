"""Units as people write them."""

from __future__ import annotations

import pytest

from gateway.decode import units
from gateway.decode.units import senml_unit, unit_for, written


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("°C", "Cel"),
        ("C", "Cel"),
        (" °C ", "Cel"),
        ("Cel", "Cel"),
        ("%", "%"),
        ("%RH", "%RH"),
        ("lux", "lx"),
        ("µg/m³", "ug/m3"),
        ("μg/m³", "ug/m3"),
        ("rpm", "1/min"),
        ("furlongs", "furlongs"),
        ("", ""),
        ("x" * 40, "x" * 32),
    ],
)
def test_a_unit_becomes_its_senml_code_where_one_exists(text, code):
    assert code == senml_unit(text)


def test_a_code_stays_itself_and_no_spelling_means_two_codes():
    assert list(units._CODES) == list(map(senml_unit, units._CODES))
    assert sum(map(len, units._CODES.values())) == len(units._BY_NAME)


@pytest.mark.parametrize(
    ("metric", "unit"),
    [("temperature", "Cel"), ("bme/temperature", "Cel"), ("oven/temperature", "K"), ("humidity", None), ("", None)],
)
def test_a_configured_unit_is_found_by_the_full_path_or_its_last_part(metric, unit):
    assert unit == unit_for(metric, {"temperature": "Cel", "oven/temperature": "K"})


@pytest.mark.parametrize(("code", "text"), [("Cel", "°C"), ("%RH", "%"), ("/", ""), ("W", "W"), ("", "")])
def test_a_code_is_written_as_people_write_it(code, text):
    assert text == written(code)
