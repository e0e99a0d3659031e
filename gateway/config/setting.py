"""The mechanism under `table.py`: how a setting is declared, checked, overridden and written out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any

from gateway.config.broker import HIDDEN, without_password

ENVIRONMENT_PREFIX = "SENSOR_GATEWAY_"


def setting(default: Any, meaning: str, **rules: Any) -> Any:
    """A dataclass field with its meaning and rules: ``low`` and ``high`` (inclusive), ``choices``, ``unit``, ``secret``.

    ``address`` marks a URL, which may hold a password. ``default`` gives the type as well: bool, int, float, str, or a
    list of str.
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


def unknown_key(key: str, known: list[str], prefix: str = "") -> str:
    """The problem line for a key that does not exist; ``prefix`` is what all ``known`` begin with, so it proves nothing."""
    near = difflib.get_close_matches(key.removeprefix(prefix), [each.removeprefix(prefix) for each in known], 1)
    return f"{key}: unknown key" + (f"; did you mean {prefix}{near[0]}?" if near else "")


def got(value: Any, *, secret: bool = False) -> str:
    """How a refused value ends its problem line; never with a secret."""
    return f"(got {HIDDEN if secret else without_password(repr(value))[:80]})"


def read_section(name: str, kind: type[Any], given: Mapping[str, Any], problems: list[str]) -> Any:
    """An instance of the dataclass ``kind`` from plain values; what is wrong is appended to ``problems``."""
    known = {entry.name: entry for entry in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            problems.append(unknown_key(f"{name}.{key}", [f"{name}.{each}" for each in known], f"{name}."))
        elif problem := rule_broken(known[key], value):
            problems.append(f"{name}.{key}: {problem} {got(value, secret=known[key].metadata.get('secret', False))}")
        else:
            values[key] = float(value) if known[key].metadata["type"] is float else value
    return kind(**values)


def rule_broken(entry: Field[Any], value: Any) -> str | None:
    """The rule of ``entry`` that ``value`` breaks, or None."""
    rules = entry.metadata
    wanted = rules["type"]
    if wanted is list:
        return None if isinstance(value, list) and all(map(_is_text, value)) else "must be a list of text"
    is_whole_number = wanted is float and type(value) is int
    if type(value) is not wanted and not is_whole_number:
        return f"must be {_TYPE_NAMES[wanted]}"
    if wanted is str and not _is_text(value):
        return "must be text in UTF-8"
    if "choices" in rules and value not in rules["choices"]:
        return "must be one of " + ", ".join(repr(choice) for choice in rules["choices"])
    if wanted in (int, float) and not rules.get("low", value) <= value <= rules.get("high", value):
        return f"must be from {rules['low']} to {rules['high']}"
    return None


def _is_text(value: Any) -> bool:
    """Bytes of the environment or the command line that are no UTF-8 arrive as lone surrogates, which nothing can send."""
    return isinstance(value, str) and value.encode(errors="replace").decode() == value


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
        # JSON's escapes are all TOML's too, but TOML wants DEL escaped as well.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def section_as_toml(name: str, section: Any, *, comments: bool, secret: str = "") -> list[str]:
    """The lines of one section; with ``comments``, each key's meaning, unit and range stand above it."""
    lines = [f"[{name}]"]
    for entry in fields(section):
        value = getattr(section, entry.name)
        if entry.metadata.get("secret") and value:
            value = secret
        elif entry.metadata.get("address"):
            value = without_password(value, secret)
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
