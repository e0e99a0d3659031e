"""The mechanism under `config.py`: how a setting is declared, checked, overridden and written out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any

ENVIRONMENT_PREFIX = "SENSOR_GATEWAY_"


def setting(default: Any, meaning: str, **rules: Any) -> Any:
    """A dataclass field with its meaning and rules: ``low`` and ``high`` (inclusive), ``choices``, ``unit``, ``secret``.

    ``default`` gives the type as well: bool, int, float, str, or a list of str.
    """
    metadata = {"meaning": meaning, "type": type(default), **rules}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def default_of(entry: Field[Any]) -> Any:
    """The default value of a setting."""
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return entry.default


def unknown_key(key: str, known: list[str]) -> str:
    """The problem line for a key that does not exist."""
    near = difflib.get_close_matches(key, known, 1)
    return f"{key}: unknown key" + (f"; did you mean {near[0]}?" if near else "")


def read_section(name: str, kind: type[Any], given: Mapping[str, Any], problems: list[str]) -> Any:
    """An instance of the dataclass ``kind`` from plain values; what is wrong is appended to ``problems``."""
    known = {entry.name: entry for entry in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            problems.append(unknown_key(f"{name}.{key}", [f"{name}.{each}" for each in known]))
        elif problem := rule_broken(known[key], value):
            shown = "…" if known[key].metadata.get("secret") else repr(value)[:80]
            problems.append(f"{name}.{key}: {problem} (got {shown})")
        else:
            values[key] = float(value) if known[key].metadata["type"] is float else value
    return kind(**values)


def rule_broken(entry: Field[Any], value: Any) -> str | None:
    """The rule of ``entry`` that ``value`` breaks, or None."""
    rules = entry.metadata
    wanted = rules["type"]
    if wanted is list:
        return None if isinstance(value, list) and all(isinstance(v, str) for v in value) else "must be a list of text"
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not wanted:
        return f"must be {_TYPE_NAMES[wanted]}"
    if "choices" in rules and value not in rules["choices"]:
        return "must be one of " + ", ".join(repr(choice) for choice in rules["choices"])
    if wanted in (int, float) and not rules.get("low", value) <= value <= rules.get("high", value):
        return f"must be from {rules['low']} to {rules['high']}"
    return None


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def from_text(entry: Field[Any], text: str) -> Any:
    """The value that ``text`` (of the environment or the command line) means; unfit text comes back for the rules to refuse."""
    wanted = entry.metadata["type"]
    if wanted is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if wanted is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower(), text)
    try:
        return wanted(text)
    except ValueError:
        return text


def as_toml(value: Any) -> str:
    """``value`` as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def section_as_toml(name: str, section: Any, *, comments: bool, secret: str = "") -> list[str]:
    """The lines of one section; with ``comments``, each key's meaning, unit and range stand above it."""
    lines = [f"[{name}]"]
    for entry in fields(section):
        value = getattr(section, entry.name)
        if entry.metadata.get("secret") and value:
            value = secret
        if comments:
            lines += [f"# {line}" for line in _comment(entry)]
        lines.append(f"{entry.name} = {as_toml(value)}")
        if comments:
            lines.append("")
    return lines


def _comment(entry: Field[Any]) -> list[str]:
    rules = entry.metadata
    facts = []
    if "unit" in rules:
        facts.append(f"unit: {rules['unit']}")
    if "low" in rules:
        facts.append(f"range: {as_toml(rules['low'])} to {as_toml(rules['high'])}")
    if "choices" in rules:
        facts.append("one of: " + ", ".join(map(as_toml, rules["choices"])))
    text: list[str] = rules["meaning"].split("\n")
    return [*text, f"({'; '.join(facts)})"] if facts else text
