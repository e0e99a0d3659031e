"""Start: base memory, time to the first answer; and what a reading costs the disk."""

from __future__ import annotations

import contextlib
import socket
import time

from tests.bench import load
from tests.bench.machine import rss_kb, written_bytes
from tests.bench.peers.gateway import Gateway
from tests.bench.report import Report, median, short
from tests.bench.runs import Extent, folder, tell_load

A_COMMIT = 100
READINGS = 50_000
SETTLED_S = 3.0
DEADLINE_S = 30.0


def start(extent: Extent) -> Report:
    """Base RSS, seconds from exec to the first answer, and bytes written per reading at 100 a commit."""
    report = Report("start")
    begun = [_begin(extent) for _ in range(extent.runs)]
    written = [_written(extent) for _ in range(extent.runs)]
    seconds, megabytes = median(each[0] for each in begun), median(each[1] for each in begun)
    pages, arguments, commit = (median(each[which] for each in written) for which in range(3))
    report.figures |= {"start s": seconds, "start rss": megabytes, "start bytes": max(pages, arguments)}
    rows = [
        ["from exec to the first answer, s", short(seconds)],
        ["RSS when idle, MB", short(megabytes)],
        ["readings a commit", short(commit)],
        ["bytes given to files per reading", short(arguments)],
        ["bytes of pages written to disk per reading", short(pages)],
    ]
    report.say(f"An empty log, a broker that is there, {extent.runs} runs; {READINGS:,} readings of 20 devices.")
    report.table(("start and disk", "measured"), rows)
    return report


def _begin(extent: Extent) -> tuple[float, float]:
    tell_load("start", extent.wait)
    with folder() as place:
        gateway = Gateway(place)
        assert gateway.broker is not None
        gateway.broker.start()
        began = time.monotonic()
        gateway.start_alone()
        try:
            while not _answers(gateway.port):
                assert time.monotonic() < began + DEADLINE_S, "the gateway did not answer"
                time.sleep(0.005)
            took = time.monotonic() - began
            time.sleep(SETTLED_S)
            return took, rss_kb(gateway.pid) / 1000
        finally:
            gateway.stop()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
        asked.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return asked.recv(64).startswith(b"HTTP/1.1 200")
    return False


def _written(extent: Extent) -> tuple[float, float, float]:
    """Bytes per reading, as pages and as arguments of writes, and readings a commit: half a window is a commit."""
    tell_load("bytes written", extent.wait)
    settings = {"mqtt.window": 2 * A_COMMIT, "log.commit_interval_ms": 1000, "mqtt.reconnect_max_s": 1}
    with folder() as place, Gateway(place, is_fed=True, **settings) as gateway:
        pages, arguments = written_bytes(gateway.pid)
        flood = {"streams": 0, "devices": 20, "messages": READINGS, "rate": 0, "warm": 0.5, "seconds": 0.1}
        load.run(**{**gateway.options(), **flood, "window": A_COMMIT})
        pages_after, arguments_after = written_bytes(gateway.pid)
        commits = gateway.counter("commits_total")
    return (pages_after - pages) / READINGS, (arguments_after - arguments) / READINGS, READINGS / commits
