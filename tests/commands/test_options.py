from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.commands.options import Options, takes_options
from gateway.errors import ConfigError


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Options, bool]]:
    """What a command with an option of its own is called with, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SENSOR_GATEWAY_CONFIG", raising=False)

    def given_(*words: str) -> tuple[Options, bool]:
        called: list[tuple[Options, bool]] = []

        @click.command()
        @takes_options
        @click.option("--own", is_flag=True)
        def command(options: Options, own: bool) -> None:
            """Says what it is for."""
            called.append((options, own))

        assert "Says what it is for." == command.help
        CliRunner().invoke(command, words, catch_exceptions=False)
        return called[0]

    return given_


Given = Callable[..., tuple[Options, bool]]


def test_what_is_not_said_is_left_open(given: Given) -> None:
    assert (Options(), False) == given()


def test_a_command_gets_them_as_one_beside_its_own(given: Given) -> None:
    words = ["--broker", "mqtt://b", "--host", "::1", "--port", "9", "--data", "d", "--set", "a=1", "--set", "b=2"]
    expected = Options(Path("x.toml"), "mqtt://b", "::1", 9, "d", ("a=1", "b=2"), True)
    assert (expected, True) == given(*words, "--verbose", "--own", "--config", "x.toml")


def test_the_environment_may_name_the_file(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSOR_GATEWAY_CONFIG", "y.toml")
    assert Options(Path("y.toml")) == given()[0]


def test_the_file_of_the_folder_is_used_unless_another_is_named(given: Given) -> None:
    Path("config.toml").write_text("[http]\nport = 1234\n")
    Path("other.toml").write_text("[http]\nport = 5678\n")
    assert (1234, 5678) == (Options().config().http.port, Options(path=Path("other.toml")).config().http.port)


def test_each_shortcut_is_a_setting_and_set_has_the_last_word(given: Given) -> None:
    config = Options(None, "mqtt://b", "::1", 9, "d", (" http.port = 10 ",)).config()
    assert ("mqtt://b", "::1", 10, "d") == (config.mqtt.broker, config.http.host, config.http.port, config.log.folder)


def test_a_set_that_sets_nothing_is_a_wrong_command_line(given: Given) -> None:
    with pytest.raises(click.UsageError, match="must be KEY=VALUE"):
        Options(settings=("http.port",)).config()


def test_what_cannot_be_is_a_wrong_configuration(given: Given) -> None:
    with pytest.raises(ConfigError, match=r"http\.port: must be"):
        Options(port=-1).config()
