"""What demo, run and check can be told alike: which settings are in effect, and how much is logged."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from gateway.config import Config, load

USUAL_PATH = Path("config.toml")


class Options(NamedTuple):
    """As they stand on the command line; None is what it leaves to the file, the environment or the default."""

    path: Path | None = None
    broker: str | None = None
    host: str | None = None
    port: int | None = None
    data: str | None = None
    settings: tuple[str, ...] = ()
    verbose: bool = False

    def config(self) -> Config:
        """What is in effect; raises ConfigError, and click.UsageError for a ``--set`` that sets nothing."""
        path = self.path or (USUAL_PATH if USUAL_PATH.is_file() else None)
        shortcuts = {
            "mqtt.broker": self.broker,
            "http.host": self.host,
            "http.port": self.port,
            "log.folder": self.data,
        }
        overrides = [(key, str(value)) for key, value in shortcuts.items() if value is not None]
        return load(path, overrides + [_setting(text) for text in self.settings])


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text!r}: must be KEY=VALUE")
    return key.strip(), value.strip()


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets them as one `Options`, before its own."""

    @wraps(command)
    def gathering(**given: Any) -> None:
        options = Options(**{name: given.pop(name) for name in Options._fields})
        command(options, **given)

    taking: Callable[..., None] = gathering
    for option in (
        click.option("--verbose", is_flag=True, help="Log more."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override one setting, such as log.retention_age_s=3600.",
        ),
        click.option("--data", metavar="FOLDER", help="Where the log is kept (log.folder)."),
        click.option("--port", type=int, help="Port of the page and the streams (http.port)."),
        click.option("--host", help="Address to listen on (http.host); 0.0.0.0 lets others connect."),
        click.option("--broker", metavar="URL", help="The MQTT broker (mqtt.broker), such as mqtt://localhost:1883."),
        click.option(
            "--config",
            "path",
            type=click.Path(path_type=Path),
            envvar="SENSOR_GATEWAY_CONFIG",
            help="Configuration file; ./config.toml when it is there.",
        ),
    ):
        taking = option(taking)
    return taking
