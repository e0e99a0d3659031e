"""The docs hold: what they show runs, what they list exists, and nothing that exists is missing from them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Config, to_toml
from gateway.config.source import _build
from gateway.http.app import make_app
from gateway.http.streams import ROUTES
from gateway.log import Log
from gateway.reading import GapReason
from tests.conftest import ROOT, GatewayProcess, Mosquitto, need
from tests.stream.parts import sources_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WIRE = (ROOT / "docs/wire.md").read_text()


def blocks(language: str) -> list[object]:
    """Every fenced block of a language, named by its page and place."""
    found = []
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text())):
            if match[1] == language:
                found.append(pytest.param(match[2], id=f"{page.relative_to(ROOT)}-{number}"))
    return found


def test_every_fenced_block_says_what_it_is() -> None:
    known = {"sh", "console", "json", "toml", "js", "text", ""}
    assert set() == {match[1] for page in PAGES for match in BLOCK.finditer(page.read_text())} - known


@pytest.mark.parametrize("block", blocks("json"))
def test_json_in_the_docs_is_json(block: str) -> None:
    assert json.loads(block)


@pytest.mark.parametrize("block", blocks("toml"))
def test_toml_in_the_docs_is_a_configuration(block: str) -> None:
    problems: list[str] = []
    _build(tomllib.loads(block), problems)
    assert [] == problems


@pytest.mark.parametrize("block", blocks("js"))
def test_javascript_in_the_docs_parses(block: str, tmp_path: Path) -> None:
    script = tmp_path / "block.mjs"
    script.write_text(block)
    subprocess.run([need("node", "nodejs"), "--check", str(script)], check=True)


COMMAND = re.compile(r"(\w+=\S+ )*(sensor-gateway|make) ")


def commands(program: str) -> list[str]:
    """Every command line of ours in the docs' shell blocks."""
    lines = [
        re.sub(r"\s+#.*", "", line).removeprefix("$ ").strip()
        for page in PAGES
        for match in BLOCK.finditer(page.read_text())
        if match[1] in ("sh", "console")
        for line in match[2].splitlines()
    ]
    return sorted({line for line in lines if COMMAND.match(line) and program in line.split()})


@pytest.mark.parametrize("command", commands("make"))
def test_a_make_target_in_the_docs_exists(command: str) -> None:
    target = shlex.split(command)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", commands("sensor-gateway"))
def test_a_command_line_in_the_docs_is_taken(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    variables = {}
    while "=" in words[0]:
        name, _, variables[name] = words.pop(0).partition("=")
    # `run`, `watch` and their like would not end: with --help every option before it is parsed, and nothing started.
    ends = words[1] == "check"
    result = subprocess.run(
        [sys.executable, "-m", "gateway", *words[1:], *([] if ends else ["--help"])],
        capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **variables},
        check=False,
    )  # fmt: skip
    assert result.returncode == (2 if "http.prt" in command else 0), result.stderr


def test_the_check_example_prints_what_the_docs_show(tmp_path: Path) -> None:
    page = (ROOT / "docs/operate.md").read_text()
    example = next(block for language, block in BLOCK.findall(page) if language == "console")
    command, *shown = example.strip().splitlines()
    result = subprocess.run(
        [sys.executable, "-m", "gateway", *shlex.split(command)[2:]],
        capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert shown == result.stderr.strip().splitlines()


@pytest.mark.broker
def test_the_readme_example_shows_the_reading_on_the_stream(
    mosquitto: Mosquitto, make_gateway: Callable[..., GatewayProcess]
) -> None:
    gateway = make_gateway("--broker", mosquitto.url).start()
    example = next(
        block for language, block in BLOCK.findall((ROOT / "README.md").read_text()) if language == "console"
    )
    publish, follow, *shown = example.strip().splitlines()
    follow = follow.removeprefix("$ ").replace("localhost:8080", f"127.0.0.1:{gateway.port}")
    with subprocess.Popen([need("curl", "curl"), *shlex.split(follow)[1:], "--silent"], stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        lines = iter(curl.stdout.readline, b"")
        next(line for line in lines if line == b"event: live\n")
        need("mosquitto_pub", "mosquitto-clients")
        subprocess.run([*shlex.split(publish.removeprefix("$ ")), "-p", str(mosquitto.port)], check=True)
        device_seen = next(line for line in lines if line.startswith(b'data: {"device":"boiler","status":"online"'))
        answer = [line.decode().strip() for line in (next(lines), next(lines), next(lines)) if line.strip()]
        curl.kill()
    assert device_seen
    assert [re.sub(r"\d{13,}", "N", line) for line in shown] == [re.sub(r"\d{13,}", "N", line) for line in answer]


def test_generated_parts_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    stale = [page.name for page in generate.pages() if generate.filled(page.read_text()) != page.read_text()]
    assert [] == stale, "run `make docs`"


def test_config_toml_is_what_the_code_says() -> None:
    assert to_toml(Config(), comments=True) == (ROOT / "config.toml").read_text(), "run `make docs`"


async def test_the_wire_lists_exactly_the_routes_of_the_app(log: Log) -> None:
    app = make_app(sources_of(log), _NoMetrics())  # type: ignore[arg-type] # not asked
    rules = [*ROUTES, *(rule.rule for rule in app.url_map.iter_rules())]
    routes = {re.sub(r"<path:(\w+)>", r"<\1>", rule) for rule in rules} - {"/<name>"}
    shown = set(re.findall(r"`?GET (/[\w/.<>]*)", WIRE))
    assert routes == shown
    await asyncio.sleep(0)


class _NoMetrics:
    def collect(self) -> list[object]:
        return []


@pytest.mark.parametrize("reason", GapReason.__args__)  # type: ignore[attr-defined] # a Literal
def test_the_wire_explains_each_reason_of_a_gap(reason: str) -> None:
    assert f"`{reason}` (" in WIRE


@pytest.mark.parametrize("event", ["hello", "latest", "live", "device", "alert", "heartbeat", "gap", "gateway", "bye"])
def test_the_wire_explains_each_event(event: str) -> None:
    assert f"| `{event}` |" in WIRE
    assert f"event: {event}\n" in WIRE


def test_the_recommended_broker_configuration_is_shown_as_it_is_shipped() -> None:
    lines = (ROOT / "docs/mosquitto.conf").read_text().splitlines()
    settings = "\n".join(line for line in lines if line and not line.startswith("#"))
    assert f"```text\n{settings}\n```" in (ROOT / "docs/operate.md").read_text()


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert [] == broken


def test_every_guarantee_in_the_readme_names_a_test_that_exists() -> None:
    guarantees = (ROOT / "README.md").read_text().partition("## Guarantees")[2].partition("## Limits")[0]
    for guarantee in guarantees.split("\n* ")[1:]:
        named = re.findall(r"`(tests/[\w/]+\.py)`", guarantee)
        assert named, guarantee
        assert [] == [name for name in named if not (ROOT / name).is_file()]
