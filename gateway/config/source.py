"""Where settings come from: file, environment, command line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from gateway.config.rules import relations_broken, topic_problems
from gateway.config.setting import ENVIRONMENT_PREFIX, from_text, got, read_section, unknown_key
from gateway.config.table import DEFAULT_TOPICS, SECTIONS, Config, Topic
from gateway.errors import ConfigError

OTHER_VARIABLES = frozenset({"SENSOR_GATEWAY_CONFIG", "SENSOR_GATEWAY_PASSWORD"})
"""Variables with our prefix that are no settings: the config's path, and the simulator's password."""

MAX_UNIT_CHARACTERS = 32


def load(
    path: Path | None = None,
    overrides: list[tuple[str, str]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """The effective configuration; raises ConfigError with every problem at once.

    ``overrides`` are (``section.key``, text) pairs of the command line; ``environment`` is ``os.environ`` unless given.
    """
    problems: list[str] = []
    tree = _read_file(path, problems) if path is not None else {}
    _apply_environment(tree, os.environ if environment is None else environment, problems)
    for key, text in overrides or []:
        _override(tree, key, text, problems)
    config = _build(tree, problems)
    if problems:
        raise ConfigError(problems)
    return config


def _read_file(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:
        # Plain ValueError: bytes that are no UTF-8, and integers of more than 4,300 digits.
        problems.append(f"{path}: is no TOML: {error}")
    return {}


def _apply_environment(tree: dict[str, Any], environment: Mapping[str, str], problems: list[str]) -> None:
    names = {f"{ENVIRONMENT_PREFIX}{key.replace('.', '_')}".upper(): key for key in _keys()}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in OTHER_VARIABLES:
            continue
        if variable in names:
            _override(tree, names[variable], text, problems)
        else:
            problems.append(unknown_key(variable, sorted(names), ENVIRONMENT_PREFIX))


def _keys() -> list[str]:
    return [f"{section}.{entry.name}" for section, kind in SECTIONS.items() for entry in fields(kind)]


def _override(tree: dict[str, Any], key: str, text: str, problems: list[str]) -> None:
    section, _, name = key.partition(".")
    kind = SECTIONS.get(section)
    entry = next((entry for entry in fields(kind) if entry.name == name), None) if kind else None
    if entry is None:
        problems.append(unknown_key(key, _keys()))
    elif isinstance(tree.setdefault(section, {}), dict):
        tree[section][name] = from_text(entry, text)


def _build(tree: dict[str, Any], problems: list[str]) -> Config:
    sections: dict[str, Any] = {}
    for name, value in tree.items():
        if name in SECTIONS and not isinstance(value, dict):
            problems.append(f"{name}: must be a [{name}] table {got(value)}")
        elif name in SECTIONS:
            sections[name] = read_section(name, SECTIONS[name], value, problems)
        elif name == "units":
            sections["units"] = _units(value, problems)
        elif name == "topics":
            sections["topics"] = _topics(value, problems)
        else:
            problems.append(unknown_key(name, [*SECTIONS, "topics", "units"]))
    config = Config(**sections)
    # A key that was refused has its default now, which says nothing about the keys beside it.
    refused = {problem.partition(":")[0] for problem in problems}.intersection(_keys())
    problems.extend(broken for broken in relations_broken(config) if not any(key in broken for key in refused))
    return config


def _units(value: Any, problems: list[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        problems.append(f"units: must be a [units] table {got(value)}")
        return {}
    for metric, unit in value.items():
        if not (isinstance(unit, str) and 0 < len(unit) <= MAX_UNIT_CHARACTERS and unit.isprintable()):
            problems.append(
                f"units.{metric}: must be printable text of 1 to {MAX_UNIT_CHARACTERS} characters {got(unit)}"
            )
    return value


def _topics(value: Any, problems: list[str]) -> tuple[Topic, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        problems.append(f"topics: must be one or more [[topics]] tables {got(value)}")
        return DEFAULT_TOPICS
    wrong: list[str] = []
    topics = tuple(read_section(f"topics[{at}]", Topic, each, wrong) for at, each in enumerate(value))
    for at, topic in enumerate(topics):
        wrong.extend(topic_problems(f"topics[{at}]", topic))
    problems.extend(wrong)
    return DEFAULT_TOPICS if wrong else topics
