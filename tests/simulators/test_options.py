from __future__ import annotations

import click
import pytest

from simulators import options

CONTEXT = click.Context(click.Command("x"))
OPTION = click.Option(["--x"])


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("1.5", 1.5)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert seconds == options.duration(CONTEXT, OPTION, text)


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "1w", "s", "1 s", "nan", "٣s", "9" * 400])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(click.BadParameter, match="must be a time above 0"):
        options.duration(CONTEXT, OPTION, text)


@pytest.mark.parametrize("text", ["2026-11-22T08:22:32Z", "2026-11-22T09:22:32+01:00", "1795335752000"])
def test_a_start_is_iso_8601_with_a_zone_or_unix_ms(text: str) -> None:
    assert 1_795_335_752_000 == options.start(CONTEXT, OPTION, text)


@pytest.mark.parametrize("text", ["yesterday", "2026-11-22T08:22:32", "2026-11-22", ""])
def test_a_start_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="with a zone"):
        options.start(CONTEXT, OPTION, text)


@pytest.mark.parametrize("text", ["1795335752", "2019-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "9" * 40])
def test_a_start_outside_the_devices_life_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="2020"):
        options.start(CONTEXT, OPTION, text)


def test_a_slip_in_a_profiles_name_gets_a_suggestion() -> None:
    with pytest.raises(click.BadParameter, match="'grenhouse' is no profile; did you mean greenhouse"):
        options.profiles(CONTEXT, OPTION, ("door", "grenhouse"))


def test_a_profile_like_no_other_gets_the_list() -> None:
    with pytest.raises(click.BadParameter, match="there are greenhouse, boiler"):
        options.profiles(CONTEXT, OPTION, ("qqq",))


def test_options_that_are_not_given_stay_none() -> None:
    assert (None, None) == (options.duration(CONTEXT, OPTION, None), options.start(CONTEXT, OPTION, None))


@pytest.mark.parametrize("rate", [0.0, -1.0, 1001.0, float("nan")])
def test_a_rate_out_of_bounds_is_refused_with_the_bounds(rate: float) -> None:
    with pytest.raises(click.BadParameter, match=r"must be 0.0001 to 1000 reports per second \(got"):
        options.rate(CONTEXT, OPTION, rate)
