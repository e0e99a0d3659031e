from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from simulators.command import simulate
from simulators.profiles import PROFILES
from tests.conftest import Mosquitto

START = "2026-11-22T08:22:32Z"
MakeBroker = Callable[..., Mosquitto]
broker = pytest.mark.broker


def ran(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(simulate, arguments, env=env)


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "simulators", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(mosquitto: Mosquitto, states: list[str]) -> None:
    deadline_s = time.monotonic() + 15
    kept: dict[str, str] = {}
    while time.monotonic() < deadline_s:
        kept = mosquitto.retained("sensors/+/availability")
        if states == list(kept.values()):
            return
    assert states == list(kept.values())


def test_print_shows_topic_and_payload_of_each_message() -> None:
    result = ran("--print", "--profile", "greenhouse", "--devices", "1", "--start", START, "--duration", "2s")
    online, info, *reports = result.output.splitlines()
    assert "sensors/greenhouse-1/availability online" == online
    assert info.startswith('sensors/greenhouse-1/info {"label":"Greenhouse 1"')
    assert 2 == len(reports)
    values = '{"temperature":22.1,"humidity":72.5,"soil_moisture":42.0,"illuminance":14005}'
    assert f"sensors/greenhouse-1 {values}" == reports[0]
    assert 0 == result.exit_code


def test_print_ends_by_itself() -> None:
    result = ran("--print", "--devices", "1", "--start", START)
    assert 2 + 10 == len(result.output.splitlines())


def test_print_into_a_pipe_that_closes_early_is_no_error() -> None:
    command = f"{sys.executable} -m simulators --print --duration 1h | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ("sensors/greenhouse-1/availability online\n0\n", "") == (done.stdout, done.stderr)


def test_list_profiles_shows_all_with_their_units() -> None:
    result = ran("--list-profiles")
    assert [*PROFILES] == [line.split()[0] for line in result.output.splitlines()[1:]]
    assert "temperature (Cel)" in result.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--profile", "grenhouse"], "did you mean greenhouse?"),
        (["--devices", "0"], "'--devices'"),
        (["--devices", "1000000"], "'--devices'"),
        (["--rate", "0"], "'--rate'"),
        (["--qos", "3"], "'--qos'"),
        (["--seed", "-1"], "'--seed'"),
        (["--start", "yesterday"], "'--start'"),
        (["--duration", "soon"], "'--duration'"),
        (["--protocol", "4"], "'--protocol'"),
        (["--broker", "localhost"], "'--broker': must be mqtt://"),
        (["--ca", "/nowhere"], "'--ca'"),
        (["--password-file", "/nowhere"], "'--password-file'"),
        (["--connect-timeout", "0"], "'--connect-timeout'"),
        (["--speed", "9"], "--speed"),
    ],
)
def test_bad_input_is_named_and_ends_with_2(arguments: list[str], named: str) -> None:
    result = ran(*arguments)
    assert named in result.output
    assert 2 == result.exit_code


def test_an_empty_password_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    result = ran("--username", "ann", "--password-file", str(tmp_path / "password"))
    assert "has no password in its first line" in result.output
    assert 2 == result.exit_code


def test_a_password_without_a_user_is_named() -> None:
    result = ran(env={"SENSOR_GATEWAY_PASSWORD": "secret"})
    assert "a password needs a username" in result.output
    assert "secret" not in result.output
    assert 2 == result.exit_code


def test_a_broker_that_is_not_there_ends_with_1_and_its_address() -> None:
    simulator = started("--broker", "mqtt://127.0.0.1:1", "--connect-timeout", "1500ms")
    output, errors = simulator.communicate(timeout=10)
    expected = (
        "waiting for mqtt://127.0.0.1:1: connection refused\n"
        "Error: cannot reach the broker at mqtt://127.0.0.1:1 within 1.5 s: connection refused\n"
    )
    assert ("", expected, 1) == (output, errors, simulator.returncode)


def test_a_ca_file_of_no_use_ends_it_at_once_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    simulator = started("--broker", "mqtts://127.0.0.1:1", "--ca", str(tmp_path / "ca.pem"), "--connect-timeout", "60s")
    _, errors = simulator.communicate(timeout=10)
    assert errors.startswith(f"Error: cannot use the CA file {tmp_path / 'ca.pem'}: ")
    assert 1 == simulator.returncode


def test_ctrl_c_while_it_waits_for_the_broker_ends_it_cleanly() -> None:
    simulator = started("--broker", "mqtt://127.0.0.1:1", "--connect-timeout", "60s")
    assert simulator.stderr is not None
    assert "waiting for mqtt://127.0.0.1:1: connection refused\n" == simulator.stderr.readline()
    simulator.send_signal(signal.SIGINT)
    _, errors = simulator.communicate(timeout=10)
    assert ("stopped: 8 devices, 0 published, 0 acknowledged\n", 0) == (errors, simulator.returncode)


@broker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_it_says_so(mosquitto: Mosquitto, number: signal.Signals) -> None:
    simulator = started("--broker", mosquitto.url, "--devices", "3")
    wait_for(mosquitto, ["online"] * 2)
    simulator.send_signal(number)
    _, errors = simulator.communicate(timeout=10)
    last = errors.splitlines()[-1]
    found = re.fullmatch(r"stopped: 3 devices, (\d+) published, (\d+) acknowledged", last)
    assert found, last
    assert found[1] == found[2]
    assert 0 == simulator.returncode
    wait_for(mosquitto, ["offline"] * 2)


@broker
def test_after_kill_9_the_last_wills_say_offline(mosquitto: Mosquitto) -> None:
    simulator = started("--broker", mosquitto.url, "--devices", "2")
    wait_for(mosquitto, ["online"] * 2)
    simulator.kill()
    simulator.communicate(timeout=10)
    wait_for(mosquitto, ["offline"] * 2)


@broker
def test_a_duration_ends_it(mosquitto: Mosquitto) -> None:
    simulator = started("--broker", mosquitto.url, "--duration", "1s", "--rate", "5", "--qos", "0")
    output, errors = simulator.communicate(timeout=15)
    assert "" == output
    assert re.search(r"stopped: 8 devices, \d+ published$", errors.strip())
    assert 0 == simulator.returncode


@broker
def test_a_user_and_a_password_from_the_environment_or_a_file_are_used(
    make_mosquitto: MakeBroker, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "ann", "secret"], check=True, capture_output=True)
    mosquitto = make_mosquitto(f"allow_anonymous false\npassword_file {users}")
    password = tmp_path / "password"
    password.write_text("secret\n")
    common = [sys.executable, "-m", "simulators", "--broker", mosquitto.url, "--duration", "200ms", "--devices", "1"]

    def begun(*arguments: str, **env: str) -> subprocess.Popen[bytes]:
        command = [*common, "--connect-timeout", "3s", *arguments]
        return subprocess.Popen(command, env=os.environ | env, stderr=subprocess.DEVNULL)

    simulators = [
        begun("--username", "ann", "--password-file", str(password)),
        begun("--username", "ann", SENSOR_GATEWAY_PASSWORD="secret"),
        begun("--username", "ann", SENSOR_GATEWAY_PASSWORD="wrong"),
        begun(),
    ]
    assert [0, 0, 1, 1] == [simulator.wait(20) for simulator in simulators]
