"""The command: ``sensor-gateway simulate``, also ``python -m simulators``."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulators import options
from simulators.address import FORM, Broker
from simulators.counters import Counters
from simulators.device import Device, Publication, line_up, schedule
from simulators.fleet import Fleet, FleetError
from simulators.profile import Shape
from simulators.profiles import PROFILES
from simulators.session import PROTOCOLS, now_ms
from simulators.status import complaints, farewell, plural, progress

PASSWORD_VARIABLE = "SENSOR_GATEWAY_PASSWORD"  # noqa: S105  the name of the variable, not a password
DEVICES_MAX = 10_000
"""A process carries a few thousand busy devices; this bound only catches slips of the keyboard."""

PRINTED_S = 10.0
"""How much ``--print`` prints unless ``--duration`` says otherwise: a screen or two, and it ends."""

SENDS = {Shape.OBJECT: "JSON", Shape.NESTED: "nested JSON", Shape.BATCH: "JSON array", Shape.PLAIN: "plain values"}
LOG_EVERY_S, LOOK_EVERY_S = 10.0, 1.0


def _list_profiles(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in ("profile", "device", "sends", "metrics"):
        table.add_column(column, no_wrap=column != "metrics")
    for profile in PROFILES.values():
        units = ", ".join(f"{m.name} ({m.unit})" if m.unit else m.name for m in profile.metrics)
        table.add_row(profile.name, profile.device.format(n=1), SENDS[profile.shape], units)
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
    context.exit()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100})
@click.option("--broker", "url", default="mqtt://127.0.0.1:1883", metavar="URL", help=f"Where to publish: {FORM}.")
@click.option("--devices", type=click.IntRange(1, DEVICES_MAX), default=8, help="How many devices.", metavar="N")
@click.option(
    "--rate", type=float, default=1.0, callback=options.rate, metavar="HZ", help="Reports per second and device."
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    callback=options.profiles,
    metavar="NAME",
    help="What kind of device; may be repeated.  [default: all kinds in turn]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=1, metavar="N", help="Same seed and same --start: same bytes."
)
@click.option(
    "--start",
    callback=options.start,
    metavar="TIME",
    help="Where the simulated clock starts: ISO 8601 with a zone, or Unix ms.  [default: now]",
)
@click.option(
    "--duration",
    callback=options.duration,
    metavar="TIME",
    help=f"How long: 90s, 5m, 2h.  [default: until Ctrl-C; with --print {PRINTED_S:g}s]",
)
@click.option("--qos", type=click.IntRange(0, 2), default=1, metavar="0|1|2", help="MQTT quality of service.")
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="3.1.1", help="MQTT version.")
@click.option("--username", metavar="NAME", help="For the broker; wins over the one in the URL.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"First line is the password; else {PASSWORD_VARIABLE} or the URL has it.",
)
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Certificates to trust for mqtts:// and wss://.  [default: the system's]",
)
@click.option(
    "--connect-timeout",
    "connect_timeout_s",
    callback=options.duration,
    default="10s",
    metavar="TIME",
    help="Give up when no device is connected by then.",
)
@click.option(
    "--print",
    "--dry-run",
    "printed",
    is_flag=True,
    show_default=False,
    help="Print `topic payload` lines instead, with no broker and no waiting.",
)
@click.option(
    "--list-profiles",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_profiles,
    show_default=False,
    help="Show the kinds of device and exit.",
)
def simulate(  # noqa: PLR0913, PLR0917  one parameter for each option
    url: str, devices: int, rate: float, profiles: tuple[str, ...], seed: int, start: int | None,
    duration: float | None, qos: int, protocol: str, username: str | None, password_file: Path | None,
    ca: str | None, connect_timeout_s: float, printed: bool,
) -> None:  # fmt: skip
    """Publish believable readings over MQTT, as many different devices would.

    \b
    sensor-gateway simulate                                8 devices, to a broker on this machine
    sensor-gateway simulate --devices 200 --rate 5         1,000 reports a second
    sensor-gateway simulate --profile boiler --print       what a boiler sends, without a broker
    """  # noqa: D301  \b keeps click from joining the lines
    fleet = line_up(devices, rate=rate, seed=seed, profiles=profiles, qos=qos)
    if printed:
        _print(fleet, now_ms() if start is None else start, duration or PRINTED_S)
        return
    try:
        broker = Broker.parse(url, username=username, password=_password(password_file), ca=ca)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--broker'") from None
    try:
        asyncio.run(_run(Fleet(broker, fleet, start_ms=start, protocol=protocol), duration, connect_timeout_s))
    except FleetError as error:
        raise click.ClickException(str(error)) from None


def _password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE) or None
    lines = file.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0]:
        raise click.BadParameter(f"{file} has no password in its first line", param_hint="'--password-file'")
    return lines[0]


def _print(devices: Sequence[Device], start_ms: int, duration_s: float) -> None:
    end_ms = start_ms + math.ceil(duration_s * 1000)
    announced = itertools.chain.from_iterable(device.announcement(start_ms) for device in devices)
    reports = itertools.takewhile(lambda publication: publication.due_ms < end_ms, schedule(devices, start_ms))
    try:
        for publication in itertools.chain(announced, reports):
            sys.stdout.buffer.write(_line(publication))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # `| head` has seen enough. What is still buffered must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(publication: Publication) -> bytes:
    """As ``mosquitto_sub -v`` prints it."""
    return publication.topic.encode() + b" " + publication.payload + b"\n"


async def _run(fleet: Fleet, duration_s: float | None, connect_timeout_s: float) -> None:
    stop = _stop_on_signals()
    running = asyncio.create_task(fleet.run(stop))
    try:
        if await _connected(fleet, stop, running, connect_timeout_s):
            end = asyncio.get_running_loop().call_later(duration_s, stop.set) if duration_s else None
            await _report(fleet, stop, running)
            if end:
                end.cancel()
    finally:
        stop.set()
        await running
    click.echo(farewell(fleet.counters), err=True)


def _stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C or SIGTERM sets; the second one of either kind ends the process the hard way."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    return stop


async def _connected(fleet: Fleet, stop: asyncio.Event, running: asyncio.Task[None], timeout_s: float) -> bool:
    """Whether a device connected before ``stop`` or a failure; raises UnreachableError after ``timeout_s``."""
    connected = asyncio.create_task(fleet.connected(timeout_s))
    stopped = asyncio.create_task(stop.wait())
    ends = [connected, stopped, running]
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=LOOK_EVERY_S)
    if not done:
        click.echo(f"waiting for {fleet.broker}: {fleet.reason()}", err=True)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not connected.done():
        connected.cancel()
        return False
    await connected
    click.echo(f"{plural(len(fleet.devices), 'device')} to {fleet.broker}; Ctrl-C stops", err=True)
    return True


async def _report(fleet: Fleet, stop: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Say how it goes until ``stop`` is set or the fleet fails: a live line on a terminal, else a line now and then."""
    console = Console(stderr=True)
    span_s = LOOK_EVERY_S if console.is_terminal else LOG_EVERY_S
    stopped = asyncio.create_task(stop.wait())
    before, looked_s = dataclasses.replace(fleet.counters), time.monotonic()
    with Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else _Lines() as shown:
        while not (await asyncio.wait([stopped, running], timeout=span_s, return_when=asyncio.FIRST_COMPLETED))[0]:
            now, now_s = dataclasses.replace(fleet.counters), time.monotonic()
            shown.update(_shown(before, now, now_s - looked_s, fleet.reason()), refresh=True)
            before, looked_s = now, now_s
    stopped.cancel()


class _Lines:
    """Stands in for ``Live`` where there is no terminal: each update is a line of its own."""

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, text: Text, *, refresh: bool) -> None:  # noqa: ARG002  the signature of Live.update
        click.echo(text.plain, err=True)


def _shown(before: Counters, now: Counters, span_s: float, reason: str) -> Text:
    text = Text(progress(before, now, span_s))
    for complaint in complaints(before, now, reason):
        text.append(f"\n{complaint}", style="yellow")
    return text
