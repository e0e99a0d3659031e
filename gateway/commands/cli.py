"""The commands: demo, run, watch, check, simulate."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import click

from gateway import __version__
from gateway.commands.options import Options, takes_options
from gateway.config import Config, to_toml
from gateway.config.broker import without_password
from gateway.errors import BrokerError, ConfigError, GatewayError
from gateway.service import Gateway

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_UNAVAILABLE = 3
EXIT_CODES = {
    0: "ended as asked, also by Ctrl-C",
    EXIT_FAILED: "could not do it; the message says what and why",
    EXIT_CONFIG: "wrong command line or configuration",
    EXIT_UNAVAILABLE: "no broker: the embedded one is not to be had, its port is in use, or a file for TLS cannot be used",
}
"""What each exit code means; `docs/operate.md` is held to it."""

_EXITS = {ConfigError: EXIT_CONFIG, BrokerError: EXIT_UNAVAILABLE}
"""Other errors of ours end with EXIT_FAILED."""


def set_up_logging(verbose: bool) -> None:
    """Log lines on stderr: coloured on a terminal, plain otherwise (systemd adds the time by itself, we do not rely on it)."""
    handler: logging.Handler
    if sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415 - a service has no terminal
        from rich.logging import RichHandler  # noqa: PLC0415

        console = Console(stderr=True, highlight=False, soft_wrap=True)
        handler = RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S", rich_tracebacks=False)
        form = "%(message)s"
    else:
        handler = logging.StreamHandler()
        form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format=form, handlers=[handler], force=True)
    for noisy in ("hypercorn.error", "gateway.http", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _say(text: str) -> None:
    """A line for the person who started us; click takes the colours out where stderr is no terminal."""
    click.echo(text, err=True)


class _Commands(click.Group):
    """Turns what went wrong into words and an exit code.

    Commands that live elsewhere are imported when they are asked for: `run` needs none of what they need.
    """

    ELSEWHERE: ClassVar = {"watch": "gateway.commands.watch", "simulate": "simulators.command"}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *self.ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.ELSEWHERE:
            command: click.Command = getattr(importlib.import_module(self.ELSEWHERE[cmd_name]), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            for problem in error.problems if isinstance(error, ConfigError) else [str(error)]:
                _say(f"{click.style('error', fg='red', bold=True)} {problem}")
            code = next((code for kind, code in _EXITS.items() if isinstance(error, kind)), EXIT_FAILED)
            raise SystemExit(code) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sensor-gateway")
def main() -> None:
    r"""See your sensors in a browser: MQTT in, a short durable log, Server-Sent Events out.

    \b
    sensor-gateway demo                                    simulated sensors, nothing else needed
    sensor-gateway run --broker mqtt://localhost:1883      your sensors, from your broker
    sensor-gateway watch                                   a stream in the terminal
    """


@main.command()
@takes_options
@click.option("--devices", default=8, show_default=True, type=click.IntRange(1, 10_000), help="Simulated devices.")
@click.option(
    "--rate", default=1.0, show_default=True, type=click.FloatRange(0.01, 100), help="Reports a second of each."
)
@click.option("--seed", default=1, show_default=True, type=int, help="The same seed simulates the same devices.")
def demo(options: Options, devices: int, rate: float, seed: int) -> None:
    """Embedded broker, simulated devices, gateway and page, in one go; keeps nothing unless --data is given."""
    set_up_logging(options.verbose)
    with contextlib.ExitStack() as stack:
        if options.data is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sensor-gateway-demo-"))
            options = options._replace(data=folder)
        asyncio.run(_demo(options.config(), devices, rate, seed))


@main.command()
@takes_options
def run(options: Options) -> None:
    """Run the gateway; starts the embedded broker when no other is named."""
    set_up_logging(options.verbose)
    asyncio.run(_serve(options.config()))


@main.command()
@takes_options
@click.option("--defaults", is_flag=True, help="Print a commented file of all defaults instead.")
def check(options: Options, defaults: bool) -> None:
    """Check the configuration and print what is in effect; all problems at once, exit code 2."""
    if defaults:
        click.echo(to_toml(Config(), comments=True), nl=False)
        return
    config = options.config()
    if options.verbose:
        for topic_filter, qos in config.subscriptions().items():
            _say(f"subscribes to {click.style(topic_filter, bold=True)} at QoS {qos}")
    click.echo(to_toml(config, comments=False), nl=False)
    _say(click.style("ok", fg="green"))


def _stop_on_signals() -> asyncio.Event:
    """Set by the first signal; the second ends the process on the spot, which loses nothing that was acknowledged."""
    asked, stop = False, asyncio.Event()

    def ask() -> None:
        nonlocal asked
        if asked:
            _say("ended at once, as asked twice")
            os._exit(EXIT_FAILED)
        asked = True
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return stop


async def _serve(config: Config) -> None:
    async def tell(gateway: Gateway, ended: asyncio.Event) -> None:
        where = without_password(config.mqtt.broker) or f"{_embedded_url(config)} (embedded)"
        _say(f"\n  Sensor Gateway: {_address(gateway)}   broker: {where}\n")
        await ended.wait()

    await _while_running(config, tell)


async def _demo(config: Config, devices: int, rate: float, seed: int) -> None:
    from simulators.device import line_up  # noqa: PLC0415 - `run` simulates nothing
    from simulators.fleet import Fleet  # noqa: PLC0415

    broker = config.mqtt.broker or _embedded_url(config)

    async def simulate_devices(gateway: Gateway, ended: asyncio.Event) -> None:
        fleet = Fleet(broker, line_up(devices, rate=rate, seed=seed))
        shown = without_password(broker)
        _say(f"\n  Open {_address(gateway)}   {devices} simulated devices, broker on {shown}")
        _say("  Ctrl-C ends it.\n")
        await fleet.run(ended)

    await _while_running(config, simulate_devices)


def _address(gateway: Gateway) -> str:
    return click.style(gateway.address, fg="cyan", bold=True)


def _embedded_url(config: Config) -> str:
    return f"mqtt://{config.broker().host}:{config.broker().port}"


async def _while_running(config: Config, work: Callable[[Gateway, asyncio.Event], Awaitable[None]]) -> None:
    """Do ``work`` once a gateway serves; its event is set at the end: Ctrl-C, SIGTERM, or a fault, which is raised then."""
    stop = _stop_on_signals()
    gateway = Gateway(config)
    running = asyncio.create_task(gateway.run(stop))
    running.add_done_callback(lambda _: stop.set())
    try:
        if await _is_serving(gateway, running):
            # What was imported stays: a full collection would look through it each time, which stops all for 10 to 20 ms.
            gc.freeze()
            await work(gateway, stop)
    finally:
        stop.set()
        await running
    _say_goodbye(gateway)


async def _is_serving(gateway: Gateway, running: asyncio.Task[None]) -> bool:
    serving = asyncio.create_task(gateway.serving.wait())
    await asyncio.wait([serving, running], return_when=asyncio.FIRST_COMPLETED)
    serving.cancel()
    return gateway.serving.is_set()


def _say_goodbye(gateway: Gateway) -> None:
    counters = gateway.counters
    taken = sum(counters.entries_total.values())
    _say(f"stopped: {counters.messages_total:,} messages in, {taken:,} entries logged, all of them committed")
