from __future__ import annotations

import shlex
from pathlib import Path

from click.testing import CliRunner

from simulators.command import simulate
from simulators.profile import Clock, Profile, Shape
from simulators.profiles import PROFILES

TEXT = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
SENDS = {
    Shape.OBJECT: "JSON object",
    Shape.NESTED: "nested JSON object",
    Shape.BATCH: "JSON array",
    Shape.PLAIN: "plain values",
}


def row(profile: Profile) -> str:
    metrics = ", ".join(f"{each.name} ({each.unit})" if each.unit else each.name for each in profile.metrics)
    sends = SENDS[profile.shape]
    sends += "" if profile.clock is Clock.NONE else f", {profile.clock.value}"
    sends += f", {profile.batch} reports" if profile.batch > 1 else ""
    return f"| `{profile.name}` | `{profile.device.format(n=1)}` | {sends} | {metrics} |"


def test_the_table_of_profiles_is_the_code() -> None:
    assert "\n".join(row(profile) for profile in PROFILES.values()) in TEXT


def test_what_print_is_shown_to_print_is_what_it_prints() -> None:
    block = next(each for each in TEXT.split("```") if each.startswith("\n$ sensor-gateway simulate"))
    command, _, shown = block.strip().removeprefix("$ sensor-gateway simulate ").partition("\n")
    assert shown == CliRunner().invoke(simulate, shlex.split(command)).output.rstrip()


def test_every_command_of_the_page_has_options_that_exist() -> None:
    used = {word for line in TEXT.splitlines() for word in line.split() if word.startswith("--")} - {"---"}
    known = {name for option in simulate.params for name in option.opts}
    assert set() == {word.strip("`,;:.") for word in used} - known
