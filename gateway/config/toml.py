"""The configuration written out as a file."""

from __future__ import annotations

from gateway.config.setting import as_toml, section_as_toml
from gateway.config.table import SECTIONS, Config

SET = "(set)"
"""Stands for a secret, and for the password in the broker's address."""


def to_toml(config: Config, *, comments: bool) -> str:
    """The configuration as a file; ``comments`` adds meaning, unit and range of each key. Secrets are not written."""
    lines: list[str] = []
    if comments:
        lines += [
            "# Sensor Gateway: every setting with its default. Delete what you do not change.",
            "# Each can be overridden: SENSOR_GATEWAY_HTTP_PORT=8081 in the environment,",
            "# --set http.port=8081 on the command line.",
            "# `sensor-gateway check` says what is wrong with a file and prints what is in effect.",
            "",
        ]
    for name in SECTIONS:
        lines += [*section_as_toml(name, getattr(config, name), comments=comments, secret=SET)]
        lines += [] if comments else [""]
    lines += _units_as_toml(config, comments=comments)
    for number, topic in enumerate(config.topics):
        lines += section_as_toml("[topics]", topic, comments=comments and number == 0)
        lines += [] if comments and number == 0 else [""]
    return "\n".join(lines).rstrip() + "\n"


def _units_as_toml(config: Config, *, comments: bool) -> list[str]:
    lines = ["[units]"]
    if comments:
        lines += [
            "# Units of metrics whose payloads name none, by metric, as SenML codes (Cel, %RH, W, lx, hPa…).",
            '# temperature = "Cel"',
            '# "bme280/Humidity" = "%RH"',
        ]
    return [*lines, *(f"{as_toml(metric)} = {as_toml(unit)}" for metric, unit in config.units.items()), ""]
