from __future__ import annotations

import inspect
import re

import pytest

from gateway.counters import Exposition
from gateway.http import parameters
from gateway.http.app import make_app
from gateway.http.openapi import PATHS
from gateway.http.streams import ROUTES
from gateway.log import Log
from tests.stream.parts import sources_of


def names(path: str) -> set[str]:
    found = PATHS[path]["get"]["parameters"]
    return {each["name"] for each in found if each["in"] == "query"}


def known_to(function: object) -> set[str]:
    """The names in the tuple of known parameters, and those that the function reads."""
    source = inspect.getsource(function)  # type: ignore[arg-type]
    return set(
        re.findall(r'"([a-z]+)"', re.search(r"known = \((.*?)\)|only_known\(args, \((.*?)\)\)", source, re.DOTALL)[0])
    )  # type: ignore[index]


async def test_the_document_lists_exactly_the_routes(log: Log) -> None:
    sources = sources_of(log)
    app = make_app(sources, Exposition(sources.counters, {}))
    rules = [*ROUTES, *(rule.rule for rule in app.url_map.iter_rules())]
    routes = {rule.replace("<path:", "{").replace(">", "}") for rule in rules}
    assert routes - {"/{name}"} == set(PATHS)


def test_the_document_lists_exactly_the_parameters_of_streams() -> None:
    assert known_to(parameters.stream_parameters) == names("/api/devices/{device}/stream")
    assert names("/api/devices/{device}/stream") | {"device"} == names("/api/stream")


def test_the_document_lists_exactly_the_parameters_of_readings() -> None:
    assert known_to(parameters.history_parameters) == names("/api/devices/{device}/readings")


@pytest.mark.parametrize("path", PATHS)
def test_every_path_parameter_is_described(path: str) -> None:
    wanted = set(re.findall(r"{(\w+)}", path))
    assert wanted == {each["name"] for each in PATHS[path]["get"]["parameters"] if each["in"] == "path"}
