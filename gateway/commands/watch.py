"""``sensor-gateway watch``: a stream in the terminal. It resumes by itself, from where it was."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import datetime
from typing import Any

import click
import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError
from rich.console import Console
from rich.text import Text

from gateway.backoff import Backoff
from gateway.decode.units import written

SILENT_S = 60
"""A stream that sends nothing for this time, not even a heartbeat, is opened anew."""

RECONNECT_FIRST_S, RECONNECT_LONGEST_S = 1.0, 15.0
"""The first and the longest pause between two attempts. An attempt that brought entries is followed by the first pause."""


@click.command()
@click.argument("devices", nargs=-1)
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The gateway.")
@click.option("--metric", "metrics", multiple=True, help="Only this metric; may repeat.")
@click.option("--since", help="Start earlier, such as 15m.")
@click.option("--last", type=click.IntRange(1, 100_000), help="Start this number of entries back.")
@click.option("--mode", type=click.Choice(["every", "latest"]), default="every", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for other programs.")
@click.option("--insecure", is_flag=True, help="Accept any certificate (HTTPS with one of your own making).")
def watch(  # noqa: PLR0913, PLR0917 - the options
    devices: tuple[str, ...],
    url: str,
    metrics: tuple[str, ...],
    since: str | None,
    last: int | None,
    mode: str,
    as_json: bool,
    insecure: bool,
) -> None:
    """Show readings as they come: of DEVICES (names and globs such as 'kitchen/*'), or of all.

    Comes back by itself after a break, from where it was, and says what was missed if anything was.
    """
    _check_address(url)
    query: list[tuple[str, Any]] = [("device", device) for device in devices] + [
        ("metric", metric) for metric in metrics
    ]
    query += [(name, value) for name, value in (("since", since), ("last", last)) if value is not None]
    watcher = Watcher(f"{url.rstrip('/')}/api/stream", [*query, ("mode", mode)], as_json)
    raise SystemExit(asyncio.run(_until_interrupted(watcher, verify=not insecure)))


def _check_address(url: str) -> None:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise click.BadParameter(f"{error} (got {url!r})", param_hint="--url") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise click.BadParameter(f"must be like http://127.0.0.1:8080 (got {url!r})", param_hint="--url")


async def _until_interrupted(watcher: Watcher, *, verify: bool) -> int:
    watching = asyncio.create_task(watcher.run(verify=verify))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, watching.cancel)
    try:
        return await watching
    except asyncio.CancelledError:
        watcher.say(f"stopped: {watcher.readings:,} readings", "dim")
        return 0


class Watcher:
    """Follows one stream; ``position`` is the id to come back with."""

    def __init__(self, address: str, query: list[tuple[str, Any]], as_json: bool) -> None:
        self._address, self._query, self._as_json = address, query, as_json
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._units: dict[tuple[str, str], str] = {}
        self._was_lost = False
        self.position = ""
        self.readings = 0

    def say(self, text: str, style: str = "") -> None:
        """A word about the stream itself, on stderr."""
        self._err.print(Text(text, style=style))

    async def run(self, *, verify: bool) -> int:
        """Follow until cancelled; returns an exit code when the gateway says that the request is wrong."""
        backoff = Backoff(RECONNECT_FIRST_S, RECONNECT_LONGEST_S)
        timeout = httpx.Timeout(10, read=SILENT_S)
        async with httpx.AsyncClient(timeout=timeout, verify=verify, trust_env=False) as client:
            while True:
                before = self.position
                try:
                    problem = await self._follow(client)
                except (httpx.HTTPError, SSEError) as error:
                    problem = None
                    if not self._was_lost:
                        self.say(
                            f"no connection to {self._address}: {error or type(error).__name__}; trying again", "yellow"
                        )
                    self._was_lost = True
                if problem:
                    self.say(problem, "bold red")
                    return 2
                if self.position != before:
                    backoff.reset()
                await asyncio.sleep(backoff.pause_s())

    async def _follow(self, client: httpx.AsyncClient) -> str | None:
        """Follow until the stream ends; returns what is wrong with the request, if that is why."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.position:
            headers["Last-Event-ID"] = self.position
        async with client.stream("GET", self._address, params=self._query, headers=headers) as response:
            if 400 <= response.status_code < 500:
                body = (await response.aread()).decode(errors="replace")
                return f"the gateway refused the request ({response.status_code}): {_detail(body)}"
            response.raise_for_status()
            async for event in EventSource(response).aiter_sse():
                self._take(event)
        return None

    def _take(self, event: ServerSentEvent) -> None:
        self.position = event.id or self.position
        if not event.data:
            return  # httpx-sse hands out blocks without data too: `retry` alone, heartbeats
        data = json.loads(event.data)
        if self._as_json:
            if event.event in ("message", "device", "alert", "gap", "gateway"):
                print(json.dumps({"event": event.event, "id": event.id, **data}), flush=True)  # noqa: T201 - the output
            return
        show = {
            "message": self._reading,
            "device": self._device,
            "latest": self._latest,
            "alert": self._alert,
            "gap": self._gap,
            "gateway": self._gateway,
        }.get(event.event)
        if show:
            show(data)
        elif event.event == "hello" and self._was_lost:
            self._was_lost = False
            self.say("connected again", "green")
        elif event.event == "bye":
            self.say(f"the gateway says bye: {data.get('reason')}", "yellow")

    def _reading(self, data: dict[str, Any]) -> None:
        self.readings += 1
        moment = datetime.fromtimestamp(data["at"] / 1000).astimezone()
        line = Text(f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d} ", style="dim")
        line.append(f"{_printable(data['device'])} ", style="bold cyan")
        for metric, value in data["values"].items():
            unit = written(self._units.get((data["device"], metric), ""))
            line.append(f" {_printable(metric)} ", style="dim")
            line.append(_printable(str(value)), style=_style(value))
            line.append(f" {unit}" if unit else "", style="dim")
        if data.get("retained"):
            line.append("  kept by the broker, age unknown", style="yellow")
        self._out.print(line)

    def _latest(self, data: dict[str, Any]) -> None:
        for metric, latest in data["values"].items():
            self._learn(data["device"], metric, latest)

    def _device(self, data: dict[str, Any]) -> None:
        for metric, info in data.get("metrics", {}).items():
            self._learn(data["device"], metric, info)
        style = {"online": "green", "offline": "red", "silent": "yellow"}.get(data["status"], "dim")
        self._out.print(Text(f"{_printable(data['device'])} is {data['status']}", style=style))

    def _learn(self, device: str, metric: str, info: dict[str, Any]) -> None:
        if info.get("unit") and len(self._units) < 100_000:
            self._units[device, metric] = _printable(info["unit"])

    def _alert(self, data: dict[str, Any]) -> None:
        text = f"{_printable(data['device'])} sends too fast: {data['dropped']:,} readings at QoS 0 were dropped"
        self.say(text, "bold yellow")

    def _gateway(self, data: dict[str, Any]) -> None:
        said = [(text, "red") for text in data["faults"].values()]
        said += [(text, "yellow") for text in data["warnings"].values()]
        for text, style in said or [("nothing stands in the way of readings any more", "green")]:
            self.say(f"the gateway says: {_printable(text)}", style)

    def _gap(self, data: dict[str, Any]) -> None:
        self.say(
            f"gap ({data['reason']}): what came after {data['asked']} up to {data['floor']} is gone", "bold yellow"
        )


def _style(value: object) -> str:
    if isinstance(value, bool):
        return "green" if value else "red"
    return "magenta" if isinstance(value, str) else "bold"


def _printable(text: str) -> str:
    """Device text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _detail(body: str) -> str:
    try:
        answer = json.loads(body)
        return f"{answer['parameter']}: {answer['detail']}"
    except (ValueError, KeyError, TypeError):
        return _printable(body[:200])
