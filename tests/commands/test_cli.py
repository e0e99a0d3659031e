from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.commands.cli import EXIT_CODES, main
from tests.conftest import GatewayProcess, Mosquitto, free_port, patient, wait_until

Make = Callable[..., GatewayProcess]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a command in this process, in an empty folder; its exit code and all it said, on one line."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SENSOR_GATEWAY_")]:
        monkeypatch.delenv(name)

    def run_(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, words)
        return result.exit_code, " ".join(result.output.split())

    return run_


Run = Callable[..., tuple[int, str]]


@pytest.mark.parametrize("command", [(), ("run",), ("demo",), ("watch",), ("check",), ("simulate",)])
def test_every_command_explains_itself(run: Run, command: tuple[str, ...]) -> None:
    code, said = run(*command, "--help")
    assert 0 == code
    assert said.startswith("Usage:")
    assert (0, said) == run(*command, "-h")


def test_check_prints_what_is_in_effect(run: Run) -> None:
    code, said = run("check", "--set", "http.port=9000", "--broker", "mqtt://me:secret@example.org")
    assert 0 == code
    assert "port = 9000" in said
    assert "ok" == said.split()[-1]


def test_check_tells_all_problems_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[http]\nprot = 1\nport = "x"\n[lgo]\nfolder = ""\n[mqtt]\nkeepalive_s = 1\n')
    code, said = run("check")
    assert 2 == code
    for problem in (
        "http.prot: unknown key; did you mean http.port?",
        "http.port: must be",
        "lgo: unknown key",
        "mqtt.keepalive_s: must be",
    ):
        assert problem in said, said


@pytest.mark.parametrize(
    "words",
    [("--set", "http.port"), ("--set", "http.prot=1"), ("--port", "x"), ("--config", "missing.toml"), ("--nothing",)],
)
def test_a_wrong_command_line_is_exit_code_2(run: Run, words: tuple[str, ...]) -> None:
    assert 2 == run("check", *words)[0]
    assert 2 == run("run", *words)[0]


def test_the_defaults_can_be_printed_as_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CliRunner().invoke(main, ["check", "--defaults"]).output)
    assert 0 == run("check")[0]


def test_every_exit_code_is_explained() -> None:
    assert {0, 1, 2, 3} == set(EXIT_CODES)


# --- processes -------------------------------------------------------------------------------------------------------


def ended(gateway: GatewayProcess, number: signal.Signals) -> tuple[int, float]:
    assert gateway.process is not None
    began = time.monotonic()
    gateway.process.send_signal(number)
    return gateway.process.wait(10), time.monotonic() - began


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_when_asked_and_says_so(mosquitto: Mosquitto, make_gateway: Make, number: signal.Signals) -> None:
    gateway = make_gateway("--broker", mosquitto.url).start()
    mosquitto.publish_lines("sensors/boiler/temperature", range(10))
    wait_until(lambda: gateway.counter('entries_total{kind="reading"}') == 10)
    code, took_s = ended(gateway, number)
    assert 0 == code
    assert took_s < patient(2)
    assert "stopped: 10 messages in, 11 entries logged, all of them committed" in gateway.output()
    assert gateway.url in gateway.output()
    assert "Traceback" not in gateway.output()


@pytest.mark.broker
def test_run_does_not_show_the_password(mosquitto: Mosquitto, make_gateway: Make) -> None:
    gateway = make_gateway("--broker", f"mqtt://me:secret@127.0.0.1:{mosquitto.port}").start()
    assert "secret" not in gateway.output()
    assert f"mqtt://me:…@127.0.0.1:{mosquitto.port}" in gateway.output()


@pytest.mark.broker
def test_demo_prints_where_to_look_and_ends_by_ctrl_c(make_gateway: Make) -> None:
    pytest.importorskip("iotcore", reason="there is no embedded broker for this platform")
    gateway = make_gateway("--set", f"embedded_broker.port={free_port()}", "--devices", "5", command="demo").start()
    wait_until(lambda: len(gateway.get("/api/devices").json()["devices"]) == 5, what="the devices")
    assert f"Open {gateway.url}/" in gateway.output()
    code, took_s = ended(gateway, signal.SIGINT)
    assert (0, True) == (code, took_s < patient(2)), gateway.output()
    assert "stopped:" in gateway.output()
    assert "Traceback" not in gateway.output()


@pytest.mark.broker
def test_demo_ends_by_a_ctrl_c_that_the_broker_gets_too(make_gateway: Make, tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to the whole process group."""
    pytest.importorskip("iotcore", reason="there is no embedded broker for this platform")
    gateway = make_gateway("--set", f"embedded_broker.port={free_port()}", command="demo", own_group=True).start()
    assert gateway.process is not None
    began = time.monotonic()
    os.killpg(gateway.process.pid, signal.SIGINT)
    assert 0 == gateway.process.wait(10)
    assert time.monotonic() - began < patient(2)
    assert "Traceback" not in gateway.output()


def test_a_port_in_use_is_told_with_exit_code_1(make_gateway: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = make_gateway("--broker", "mqtt://127.0.0.1:1", port=port).start(wait_ready=False)
        assert gateway.process is not None
        assert 1 == gateway.process.wait(10)
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in gateway.output()
    assert "Traceback" not in gateway.output()


def test_a_folder_that_cannot_be_used_is_told_with_exit_code_1(make_gateway: Make) -> None:
    gateway = make_gateway("--broker", "mqtt://127.0.0.1:1")
    (gateway.folder / "data").write_text("a file")
    gateway.start(wait_ready=False)
    assert gateway.process is not None
    assert 1 == gateway.process.wait(10)
    assert re.search(r"log\.folder .*/data cannot be used: File exists", gateway.output().replace("\n", " "))
    assert "Traceback" not in gateway.output()


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.5, 0.7, 0.9])
def test_sigterm_at_any_moment_of_the_start_ends_it(make_gateway: Make, after_s: float) -> None:
    gateway = make_gateway("--broker", "mqtt://127.0.0.1:1").start(wait_ready=False)
    time.sleep(after_s)
    code, took_s = ended(gateway, signal.SIGTERM)
    assert code in (0, -signal.SIGTERM)
    assert took_s < patient(2)
    assert "Traceback" not in gateway.output()


def test_a_second_ctrl_c_does_not_wait(make_gateway: Make) -> None:
    gateway = make_gateway("--broker", "mqtt://127.0.0.1:1").start(wait_ready=False)
    gateway.wait_serving()
    assert gateway.process is not None
    with socket.create_connection(("127.0.0.1", gateway.port)):
        gateway.process.send_signal(signal.SIGINT)
        time.sleep(0.01)
        gateway.process.send_signal(signal.SIGINT)
        # By the signal itself when the first one had done all there was to do.
        assert gateway.process.wait(10) in (0, 1, -signal.SIGINT)
    assert "Traceback" not in gateway.output()


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.startswith("sensor-gateway, version ")


NOT_FOR_RUN = {"httpx", "httpx_sse", "prometheus_client", "rich", "simulators"}
"""What other commands need, a terminal, or the first `/metrics`: a third of what a start would take."""


def test_a_start_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    program = (
        "import sys, gateway.commands.cli, gateway.mqtt.embedded; print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set() == NOT_FOR_RUN & set(done.stdout.split())
