from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.commands import watch as watch_module
from gateway.commands.cli import main
from tests.conftest import ROOT, GatewayProcess, Mosquitto, free_port, wait_until

BOILER = "sensors/boiler/temperature"


class Watching:
    """`sensor-gateway watch` as a process."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.out, self.err = folder / "out", folder / "err"
        command = [sys.executable, "-m", "gateway", "watch", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, cwd=folder)

    def wait(self, text: str) -> None:
        wait_until(lambda: text in self.out.read_text(), 15, f"{text!r} in:\n{self.out.read_text()}")

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watching]]:
    made: list[Watching] = []

    def make(*words: str) -> Watching:
        folder = tmp_path / f"watch{len(made)}"
        folder.mkdir()
        made.append(Watching(folder, *words))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.wait(5)


Watch = Callable[..., Watching]


@pytest.mark.broker
def test_it_shows_readings_with_their_units(mosquitto: Mosquitto, gateway: GatewayProcess, watch: Watch) -> None:
    mosquitto.publish("sensors/boiler/info", '{"metrics": {"temperature": {"unit": "Cel"}}}')
    mosquitto.publish(BOILER, "60")
    wait_until(lambda: gateway.counter('entries_total{kind="reading"}') == 1)
    watching = watch("--url", gateway.url, "boiler", "--last", "1")
    watching.wait("60")
    mosquitto.publish(BOILER, "61.5")
    mosquitto.publish("sensors/other/temperature", "7")
    watching.wait("61.5")
    last = watching.out.read_text().splitlines()[-1]
    assert " boiler  temperature 61.5" in last
    assert "other" not in watching.out.read_text()


@pytest.mark.broker
def test_it_comes_back_after_a_kill_of_the_gateway_and_misses_nothing(
    mosquitto: Mosquitto, gateway: GatewayProcess, watch: Watch
) -> None:
    watching = watch("--url", gateway.url, "--json", "--last", "10")
    wait_until(lambda: gateway.counter("streams") == 1)
    mosquitto.publish_lines(BOILER, range(20))
    watching.wait('"temperature": 19}')
    gateway.kill()
    mosquitto.publish_lines(BOILER, range(20, 40))
    gateway.start()
    watching.wait('"temperature": 39}')
    readings = [line["values"]["temperature"] for line in watching.lines() if line["event"] == "message"]  # type: ignore[index]
    assert list(range(40)) == readings
    assert "trying again" in watching.err.read_text()


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked(gateway: GatewayProcess, watch: Watch, number: signal.Signals) -> None:
    watching = watch("--url", gateway.url, "--last", "10")
    wait_until(lambda: gateway.counter("streams") == 1)
    watching.process.send_signal(number)
    assert 0 == watching.process.wait(5)
    assert "stopped: 0 readings" in watching.err.read_text()
    assert "Traceback" not in watching.err.read_text()


@pytest.mark.broker
def test_text_of_a_device_cannot_steer_the_terminal(
    mosquitto: Mosquitto, gateway: GatewayProcess, watch: Watch
) -> None:
    watching = watch("--url", gateway.url, "--last", "10")
    wait_until(lambda: gateway.counter("streams") == 1)
    mosquitto.publish("sensors/boiler", json.dumps({"mode": "\x1b[2Jx [bold]y[/] \u2028z\x85", "end": 1}))
    watching.wait("end")
    shown = watching.out.read_text()
    assert "\x1b" not in shown
    assert "[bold]y[/]" in shown


@pytest.mark.broker
def test_a_reader_of_its_output_that_leaves_is_no_accident(
    mosquitto: Mosquitto, gateway: GatewayProcess, tmp_path: Path
) -> None:
    errors = tmp_path / "errors"
    command = f"{sys.executable} -m gateway watch --url {gateway.url} --json | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with errors.open("wb") as file:
        process = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=file, env=environment)
    wait_until(lambda: gateway.counter("streams") == 1)

    def has_ended() -> bool:
        mosquitto.publish(BOILER, "1")
        return process.poll() is not None

    wait_until(has_ended, what="the end of the pipeline")
    output, _ = process.communicate()
    assert 1 == len(output.splitlines())
    wait_until(lambda: gateway.counter("streams") == 0)
    assert "Traceback" not in errors.read_text(), errors.read_text()


@pytest.mark.broker
@pytest.mark.parametrize("words", [["--metric", "x" * 600], ["--since", "yesterday"], ["--since", "5m", "--last", "3"]])
def test_what_the_gateway_refuses_is_told_with_exit_code_2(gateway: GatewayProcess, words: list[str]) -> None:
    command = [sys.executable, "-m", "gateway", "watch", "--url", gateway.url, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False, cwd=ROOT)
    assert 2 == done.returncode
    assert "the gateway refused the request (400)" in done.stderr


@pytest.mark.parametrize(
    "words", [["--url", "nowhere"], ["--url", "ftp://a"], ["--url", "http://a:b"], ["--mode", "x"], ["--last", "0"]]
)
def test_a_wrong_command_line_is_exit_code_2(words: list[str]) -> None:
    result = CliRunner().invoke(main, ["watch", *words])
    assert (2, True) == (result.exit_code, result.output.startswith("Usage:"))


def test_a_gateway_that_is_not_there_is_told_once_and_tried_again(watch: Watch) -> None:
    watching = watch("--url", f"http://127.0.0.1:{free_port()}")
    wait_until(lambda: "trying again" in watching.err.read_text(), what="word of it")
    assert None is watching.process.poll()
    assert 1 == watching.err.read_text().count("no connection to")


@pytest.mark.broker
def test_it_says_what_stands_in_the_way_of_readings(
    mosquitto: Mosquitto, gateway: GatewayProcess, watch: Watch
) -> None:
    watching = watch("--url", gateway.url, "--last", "10")
    mosquitto.publish(BOILER, "60")
    watching.wait("temperature")
    mosquitto.stop()
    wait_until(lambda: f"127.0.0.1:{mosquitto.port}" in watching.err.read_text(), 15)
    mosquitto.start()
    wait_until(lambda: "nothing stands in the way of readings any more" in watching.err.read_text(), 15)


async def test_pauses_grow_until_an_attempt_brings_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module.Backoff, "pause_s", lambda backoff: pauses.append(backoff._next_s) or 0)
    monkeypatch.setattr(watch_module.Backoff, "reset", lambda _: pauses.append("reset"))
    pauses: list[object] = []
    watcher = watch_module.Watcher("http://127.0.0.1:1/api/stream", [], as_json=True)
    attempts = iter([None, "7", None])

    async def follow(_client: object) -> str | None:
        try:
            watcher.position = next(attempts) or watcher.position
        except StopIteration:
            return "enough"
        return None

    monkeypatch.setattr(watcher, "_follow", follow)
    assert 2 == await watcher.run(verify=False)
    first = watch_module.RECONNECT_FIRST_S
    assert [first, "reset", first, first] == pauses
