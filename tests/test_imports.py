"""The house holds: a file imports only from lower floors, without circles, and foreign parts only where they belong."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = [
    {
        "gateway",
        "gateway.errors",
        "gateway.reading",
        "gateway.topic",
        "gateway.selection",
        "gateway.counters",
        "gateway.clock",
        "gateway.backoff",
        "gateway.remembered",
        "gateway.state_file",
        "gateway.file_version",
        "gateway.stream.bit",
    },
    {"gateway.frame", "gateway.config", "gateway.decode", "gateway.history.buckets", "gateway.stream.plan"},
    {
        "gateway.stream.conflate",
        "gateway.devices.wire",
        "gateway.devices.cadence",
        "gateway.devices.device",
        "gateway.devices.registry",
        "gateway.devices.store",
        "gateway.log",
        "gateway.intake.repeats.receipts",
        "gateway.stream.readiness",
    },
    {"gateway.devices", "gateway.stream", "gateway.history", "gateway.mqtt", "gateway.intake"},
    {"gateway.http"},
    {"gateway.http.hypercorn"},
    {"gateway.stations"},
    {"gateway.service"},
    {"simulators", "gateway.commands"},
    {"gateway.__main__"},
]
"""From the ground up; what stands on one floor may import its neighbours there, but circles are found below."""

SIMULATORS_MAY_USE = {"gateway", "gateway.errors", "gateway.mqtt"}

ONLY_IN = {
    "paho": {
        "gateway.mqtt.bulk",
        "gateway.mqtt.client",
        "gateway.mqtt.drive",
        "gateway.mqtt.session",
        "gateway.mqtt.subscriptions",
        "simulators.session",
        "simulators.fleet",
    },
    "sqlite3": {
        "gateway.log.sqlite.schema",
        "gateway.log.sqlite.segment",
        "gateway.log.sqlite.query",
        "gateway.log.sqlite.faults",
        "gateway.devices.store",
    },
    "sqlite_utils": {"gateway.log.sqlite.schema", "gateway.devices.store"},
    "iotcore": {"gateway.mqtt.embedded"},
    "quart": {"gateway.http"},
    "hypercorn": {"gateway.http.hypercorn"},
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PATHS = {name_of(path): path for path in [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("simulators/**/*.py")]}


def imported_names(node: ast.AST) -> list[str]:
    """What an import statement names; `from gateway.log import segment` names the module `gateway.log.sqlite.segment`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in PATHS else str(node.module) for name in inner]
    return []


IMPORTS = {
    name: {each for node in ast.walk(ast.parse(path.read_text())) for each in imported_names(node)}
    for name, path in PATHS.items()
}


def is_in(module: str, places: set[str]) -> bool:
    return any(module == place or (module.startswith(place + ".") and place != "gateway") for place in places)


def floor(module: str) -> int:
    """That of the longest name that the module is in: a folder may stand above the rest of the folder around it."""
    fitting = [
        (len(place), number) for number, places in enumerate(FLOORS) for place in places if is_in(module, {place})
    ]
    return max(fitting)[1]


def test_every_import_points_downward_or_to_a_neighbour() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, imports in IMPORTS.items()
        for imported in imports
        if imported in IMPORTS and floor(imported) > floor(module)
    ]
    assert [] == wrong


def test_the_simulators_know_nothing_of_the_gateway_but_its_mqtt_drive() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, imports in IMPORTS.items()
        for imported in imports
        if module.startswith("simulators")
        and imported.startswith("gateway")
        and not is_in(imported, SIMULATORS_MAY_USE)
    ]
    assert [] == wrong


def test_foreign_parts_are_imported_only_where_they_belong() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, imports in IMPORTS.items()
        for imported in imports
        if (places := ONLY_IN.get(imported.split(".")[0])) and not is_in(module, places)
    ]
    assert [] == wrong


def test_there_are_no_circles() -> None:
    graph = {module: {each for each in imports if each in IMPORTS} for module, imports in IMPORTS.items()}
    done: set[str] = set()
    while ready := {module for module, needs in graph.items() if module not in done and needs <= done | {module}}:
        done |= ready
    assert set() == set(graph) - done


def test_streams_and_histories_know_nothing_of_http() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, imports in IMPORTS.items()
        for imported in imports
        if is_in(module, {"gateway.stream", "gateway.history"}) and imported.startswith("gateway.http")
    ]
    assert [] == wrong


@pytest.mark.parametrize("replaceable", ["gateway.http.hypercorn", "gateway.log.sqlite"])
def test_what_can_be_replaced_is_known_to_those_alone_who_join_the_stations(replaceable: str) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, imports in IMPORTS.items()
        for imported in imports
        if is_in(imported, {replaceable}) and not is_in(module, {replaceable, "gateway.service", "gateway.stations"})
    ]
    assert [] == wrong


CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "clock_gettime"}
MEASURES = {"simulators", "gateway.clock", "gateway.commands"}
"""Who may ask the system for the time: the clock, and programs that are no part of the gateway."""


def test_only_the_clock_asks_the_system_for_the_time() -> None:
    """``perf_counter`` measures how long our own work took, and loop time is for timers: neither tells or judges."""
    wrong = [
        f"{module}: time.{node.attr}"
        for module, path in PATHS.items()
        if not is_in(module, MEASURES)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in CLOCKS
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    ]
    assert [] == wrong
