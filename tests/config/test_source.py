"""Settings from file, environment and command line."""

from __future__ import annotations

from dataclasses import fields

import pytest

from gateway.config import Config, load
from gateway.config.table import SECTIONS
from gateway.errors import ConfigError


def problems(path=None, overrides=None, environment=None) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(path, overrides, environment or {})
    assert "\n".join(refused.value.problems) == str(refused.value)
    return refused.value.problems


@pytest.fixture
def write(tmp_path):
    """A configuration file with the given text."""

    def write_(text: str | bytes):
        path = tmp_path / "config.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_


def test_without_any_source_the_defaults_hold():
    assert Config() == load(None, [], {})


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(write):
    path = write("[http]\nport = 1\nheartbeat_s = 5\nmax_streams = 7\n")
    environment = {"SENSOR_GATEWAY_HTTP_PORT": "2", "SENSOR_GATEWAY_HTTP_HEARTBEAT_S": "6"}
    config = load(path, [("http.port", "3")], environment)
    assert (3, 6.0, 7) == (config.http.port, config.http.heartbeat_s, config.http.max_streams)


def test_the_last_of_two_overrides_wins():
    assert 3 == load(None, [("http.port", "2"), ("http.port", "3")], {}).http.port


def test_the_environment_of_the_process_is_used_unless_another_is_given(monkeypatch):
    monkeypatch.setenv("SENSOR_GATEWAY_HTTP_PORT", "4711")
    assert 4711 == load().http.port


def test_every_setting_has_a_variable_and_a_key():
    for section, kind in SECTIONS.items():
        for entry in fields(kind):
            variable = f"SENSOR_GATEWAY_{section}_{entry.name}".upper()
            for given in (
                {"environment": {variable: "\udcff"}},
                {"overrides": [(f"{section}.{entry.name}", "\udcff")]},
            ):
                (problem,) = problems(**given)
                assert problem.startswith(f"{section}.{entry.name}: must be ")


def test_lists_are_given_with_commas():
    assert ["a", "b"] == load(None, [("http.allowed_hosts", "a, b")], {}).http.allowed_hosts


def test_units_and_topics_come_from_the_file(write):
    text = '[units]\ntemperature = "Cel"\n"bme/Humidity" = "%RH"\n[[topics]]\npattern = "a/{device}"\nqos = 0\n'
    config = load(write(text), [], {})
    assert {"temperature": "Cel", "bme/Humidity": "%RH"} == config.units
    assert [("a/{device}", "readings", 0)] == [(topic.pattern, topic.kind, topic.qos) for topic in config.topics]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[htpp]\n", "htpp: unknown key; did you mean http?"),
        ("[zzzzz]\n", "zzzzz: unknown key"),
        ("port = 1\n", "port: unknown key"),
        ("[http]\nprot = 1\n", "http.prot: unknown key; did you mean http.port?"),
        ("[embedded_broker]\nxyz = 1\n", "embedded_broker.xyz: unknown key"),
        (
            '[[topics]]\npattern = "{device}"\nfliter = "+"\n',
            "topics[0].fliter: unknown key; did you mean topics[0].filter?",
        ),
        ("http = 5\n", "http: must be a [http] table (got 5)"),
        ("[[http]]\nport = 1\n", "http: must be a [http] table (got [{'port': 1}])"),
        ("units = 5\n", "units: must be a [units] table (got 5)"),
        ("[units]\nx = 5\n", "units.x: must be printable text of 1 to 32 characters (got 5)"),
        ('[units]\nx = ""\n', "units.x: must be printable text of 1 to 32 characters (got '')"),
        ('[units.bme]\nx = "W"\n', "units.bme: must be printable text of 1 to 32 characters (got {'x': 'W'})"),
        ("topics = []\n", "topics: must be one or more [[topics]] tables (got [])"),
        (
            '[topics]\npattern = "{device}"\n',
            "topics: must be one or more [[topics]] tables (got {'pattern': '{device}'})",
        ),
        ('[[topics]]\nqos = 2\npattern = "{device}"\n', "topics[0].qos: must be from 0 to 1 (got 2)"),
        ('[[topics]]\nkind = "info"\n', "topics[0].pattern: must hold {device} once, as a whole level (got '')"),
        ("[http]\nport = 70000\n", "http.port: must be from 0 to 65535 (got 70000)"),
        ('[http]\nport = "80"\n', "http.port: must be a whole number (got '80')"),
        ("[http]\nport = 2026-11-22\n", "http.port: must be a whole number (got datetime.date(2026, 11, 22))"),
        ('[log]\ndurability = "none"\n', "log.durability: must be one of 'process', 'power' (got 'none')"),
        (
            f"[devices]\nsilent_after_s = {'9' * 400}\n",
            f"devices.silent_after_s: must be from 1 to 2592000 (got {'9' * 80})",
        ),
        ('[mqtt]\nbroker = ["mqtt://user:hunter2@host"]\n', "mqtt.broker: must be text (got ['mqtt://user:…@host'])"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_by_its_key(write, text, problem):
    assert [problem] == problems(write(text))


@pytest.mark.parametrize("text", ["[http", "port", b"\xff", f"x = {'9' * 5000}", "x = " + "[" * 5000])
def test_a_file_that_is_no_toml_is_told_by_its_path(write, text):
    path = write(text)
    (problem,) = problems(path)
    assert problem.startswith(f"{path}: is no TOML: ")


def test_a_file_that_cannot_be_read_is_told_by_its_path(tmp_path):
    missing = tmp_path / "missing.toml"
    assert [f"{missing}: cannot be read: No such file or directory"] == problems(missing)
    assert [f"{tmp_path}: cannot be read: Is a directory"] == problems(tmp_path)


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("SENSOR_GATEWAY_HTTP_PROT", "SENSOR_GATEWAY_HTTP_PROT: unknown key; did you mean SENSOR_GATEWAY_HTTP_PORT?"),
        ("SENSOR_GATEWAY_XYZ", "SENSOR_GATEWAY_XYZ: unknown key"),
        ("SENSOR_GATEWAY_", "SENSOR_GATEWAY_: unknown key"),
    ],
)
def test_an_unknown_variable_is_refused_without_its_value(variable, problem):
    assert [problem] == problems(environment={variable: "hunter2"})


def test_variables_of_others_are_left_alone():
    environment = {"SENSOR_GATEWAY_CONFIG": "x", "SENSOR_GATEWAY_PASSWORD": "y", "SENSORGATEWAY_X": "z", "PATH": ""}
    assert Config() == load(None, [], environment)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("http.prot", "; did you mean http.port?"),
        ("htp.port", "; did you mean http.port?"),
        ("qqq", ""),
        ("", ""),
        ("http.", ""),
    ],
)
def test_an_unknown_key_of_the_command_line_is_refused(key, hint):
    (problem,) = problems(overrides=[(key, "1")])
    assert problem.startswith(f"{key}: unknown key")
    assert hint in problem


def test_all_problems_are_told_at_once(write):
    path = write(
        '[http]\nport = -1\nprot = 1\nretry_min_ms = 6000\n[log]\nretention_bytes = 300000\n[htpp]\n[mqtt]\nbroker = "x"\n'
        '[units]\nx = 1\n[[topics]]\npattern = "a"\n'
    )
    found = problems(path, [("nope.nope", "1")], {"SENSOR_GATEWAY_NOPE": "", "SENSOR_GATEWAY_MQTT_WINDOW": "x"})
    assert {
        "SENSOR_GATEWAY_NOPE",
        "nope.nope",
        "http.port",
        "http.prot",
        "htpp",
        "mqtt.window",
        "mqtt.broker",
        "units.x",
        "topics[0].pattern",
        "http.retry_max_ms",
        "log.retention_bytes",
    } == {problem.partition(":")[0] for problem in found}
    assert 11 == len(found)


def test_a_refused_key_that_is_no_setting_hides_no_relation(write):
    path = write("port = 1\n[http]\nretry_min_ms = 6000\n")
    assert 3 == len(problems(path, [("", "1")]))


def test_a_relation_to_a_refused_value_is_not_judged(write):
    assert ["log.segment_bytes"] == [
        problem.partition(":")[0] for problem in problems(write("[log]\nsegment_bytes = 1\nretention_bytes = 262144\n"))
    ]


@pytest.mark.parametrize("where", ["file", "environment", "command line"])
def test_a_secret_is_never_shown(write, where):
    broken = "[http]\nport = -1\n"
    if where == "file":
        found = problems(write(broken + '[mqtt]\npassword = ["hunter2"]\nbroker = "mqtt://u:hunter2@h:0"\n'))
    elif where == "environment":
        environment = {
            "SENSOR_GATEWAY_MQTT_PASSWORD": "hunter2\udcff",
            "SENSOR_GATEWAY_MQTT_BROKER": "mqtt:u:hunter2@h",
        }
        found = problems(write(broken), [], environment)
    else:
        found = problems(write(broken), [("mqtt.password", "hunter2\udcff"), ("mqtt.broker", "mqtt://u:hun/ter2@h")])
    assert 3 == len(found)
    assert [] == [problem for problem in found if "hun" in problem or "ter2" in problem]
