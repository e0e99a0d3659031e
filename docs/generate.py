"""Writes the generated parts of the docs and `config.toml` from the code; `tests/test_docs.py` holds them equal.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import click

from gateway.commands.cli import EXIT_CODES, main
from gateway.config import Config, to_toml
from gateway.counters import GAUGES, PREFIX, Counters

ROOT = Path(__file__).parent.parent
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def options() -> Iterator[str]:
    """Every command with its options."""
    context = click.Context(main)
    for name in sorted(main.list_commands(context)):
        if (command := main.get_command(context, name)) is None:
            continue
        yield f"`sensor-gateway {name}`: {(command.help or '').strip().splitlines()[0]}"
        yield ""
        yield "| option | meaning |"
        yield "| --- | --- |"
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                names = ", ".join(f"`{each}`" for each in parameter.opts)
                yield f"| {names} | {(parameter.help or '').strip()} |"
        yield ""


def exit_codes() -> Iterator[str]:
    """Every exit code."""
    yield "| exit code | meaning |"
    yield "| --- | --- |"
    for code, meaning in EXIT_CODES.items():
        yield f"| {code} | {meaning} |"


def counters() -> Iterator[str]:
    """Every counter and gauge of `/metrics`."""
    yield "| metric | meaning |"
    yield "| --- | --- |"
    for entry in fields(Counters):
        label = f"{{{entry.metadata['label']}}}" if "label" in entry.metadata else ""
        yield f"| `{PREFIX}{entry.name}{label}` | {entry.metadata['meaning']} |"
    for name, meaning in GAUGES.items():
        yield f"| `{PREFIX}{name}` | {meaning} (now) |"


PARTS: dict[str, Callable[[], Iterator[str]]] = {"options": options, "exit_codes": exit_codes, "counters": counters}


def filled(text: str) -> str:
    """``text`` with its generated parts as they should be."""
    return MARKED.sub(lambda found: found[1] + "\n".join(PARTS[found[2]]()).rstrip() + "\n" + found[3], text)


def pages() -> list[Path]:
    """The pages that may hold generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text()))
    (ROOT / "config.toml").write_text(to_toml(Config(), comments=True))
