from __future__ import annotations

import ast
from pathlib import Path

import simulators

SOURCES = sorted(Path(simulators.__file__).parent.glob("*.py"))
PURE = {"signals", "profile", "profiles", "device", "address", "counters", "status"}
IMPURE = {"asyncio", "time", "random", "secrets", "uuid", "os", "socket", "threading", "paho", "click", "rich"}


def imported(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_only_one_file_imports_paho() -> None:
    assert ["session"] == [source.stem for source in SOURCES if "paho" in imported(source)]


def test_the_pure_files_know_no_clock_no_chance_and_no_network() -> None:
    assert {} == {s.stem: found for s in SOURCES if s.stem in PURE and (found := imported(s) & IMPURE)}


def test_each_source_file_has_a_test_file() -> None:
    tested = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert set() == {source.stem for source in SOURCES} - tested - {"__init__", "__main__"}
