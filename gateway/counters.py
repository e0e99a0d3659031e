"""Every counter and gauge of the gateway, in one table, by the words of the docs.

The hot path adds to plain attributes, which costs a tenth of a prometheus-client counter; `/metrics` reads them when asked.
Only the event loop's thread writes here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX = "sensor_gateway_"


def _count(meaning: str) -> Any:
    return field(default=0, metadata={"meaning": meaning})


def _count_by(label: str, meaning: str) -> Any:
    return field(default_factory=Counter, metadata={"meaning": meaning, "label": label})


@dataclass
class Counters:
    """Counts since the start of the process; each name is that of `/metrics` without the prefix ``sensor_gateway_``."""

    messages_total: int = _count("MQTT messages received from the broker")
    message_bytes_total: int = _count("payload bytes of these messages")
    redelivered_total: int = _count(
        "messages that the broker sent again and that were in the log already: acknowledged only"
    )
    retained_repeats_total: int = _count("retained messages that said nothing new when we subscribed: left out")
    dropped_total: Counter[str] = _count_by(
        "device", "messages at QoS 0 dropped because they came faster than their device's share of what can be kept"
    )
    rejected_total: Counter[str] = _count_by("reason", "readings, or parts of them, that were not taken")
    broker_connects_total: int = _count("connections to the broker that were accepted")
    broker_disconnects_total: int = _count("connections to the broker that were lost or refused")
    sessions_lost_total: int = _count("times that the broker had forgotten our session, and what it held for us")
    broker_dropped_total: int = _count(
        "messages that the broker says it dropped, for all its clients (mosquitto's $SYS)"
    )
    subscriptions_refused_total: int = _count("topic filters that the broker refused (SUBACK 0x80 and above)")
    ingest_pauses_total: int = _count("times that reading from the broker paused because the log was behind")
    entries_total: Counter[str] = _count_by("kind", "entries appended to the log")
    commits_total: int = _count("batches committed")
    commit_seconds_total: float = _count("seconds spent in commits, by the writer thread")
    commit_failures_total: int = _count("commits that failed and were tried again")
    checkpoint_failures_total: int = _count(
        "times that a segment's write-ahead log could not be copied into it, and was tried again"
    )
    log_written_bytes_total: int = _count(
        "bytes that the log gave to the operating system: write-ahead log, checkpoints and small files; Linux only"
    )
    log_fsyncs_total: int = _count("times that the log forced a file to the disk")
    segments_removed_total: int = _count("segments removed by retention")
    segments_corrupt_total: int = _count("segments found damaged and set aside")
    reads_total: Counter[str] = _count_by(
        "source", "pages read by streams, from the tail in memory or from segments on disk"
    )
    unknown_entries_total: int = _count(
        "entries that a newer gateway wrote, of a kind that this one does not know: left out each time they were read"
    )
    read_failures_total: int = _count("reads of segments that failed and were tried again")
    streams_opened_total: int = _count("streams opened")
    streams_refused_total: int = _count("streams answered with `bye` because too many were open")
    streams_cut_total: int = _count("streams ended because their reader took nothing for `http.send_timeout_s`")
    sent_entries_total: int = _count("entries sent to streams")
    sent_bytes_total: int = _count("bytes sent to streams")
    shared_writes_total: int = _count("writes straight to a connection of what was made once for several streams")
    conflated_total: int = _count("entries that streams with `mode=latest` left out because newer ones stood for them")
    gaps_total: Counter[str] = _count_by("reason", "gaps told to streams")
    bad_requests_total: int = _count("requests answered with 400 or 403")


GAUGES = {
    "streams": "streams that are open",
    "stream_lag_max": "how far the slowest stream is behind the head, in numbers",
    "devices": "devices known",
    "broker_connected": "1 while the broker accepts us",
    "ready": "1 while readings can come in and be kept",
    "log_head": "position of the newest entry",
    "log_floor": "position after which everything is held",
    "log_bytes": "bytes of all segments on disk",
    "log_segments": "segments held",
    "log_written_bytes_per_day": "`log_written_bytes_total` of the last 10 minutes, projected to a day",
    "log_written_bytes_per_reading": "bytes that the log wrote for each reading in the last 10 minutes",
    "log_fsyncs_per_day": "`log_fsyncs_total` of the last 10 minutes, projected to a day",
    "commit_interval_ms": "how far apart commits are: `log.commit_interval_ms`, or longer to keep the budget",
    "tail_bytes": "bytes of the newest entries in memory",
    "waiting_messages": "messages that wait to be committed",
}
"""What is read when asked, by its name without the prefix."""


class Exposition:
    """The counters, and gauges that are read when asked, as a collector of prometheus-client.

    That is imported with the first `collect`: a start need not wait for it, nor a gateway that nobody asks hold it.
    """

    def __init__(self, counters: Counters, gauges: dict[str, Callable[[], float]]) -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """All families, in the order of the table."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

        for entry in fields(self._counters):
            yield _family(entry.name, entry.metadata, getattr(self._counters, entry.name))
        for name, meaning in GAUGES.items():
            yield GaugeMetricFamily(PREFIX + name, meaning, self._gauges[name]())


def _family(name: str, metadata: Any, value: Any) -> Metric:
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

    if "label" not in metadata:
        return CounterMetricFamily(PREFIX + name, metadata["meaning"], value)
    family = CounterMetricFamily(PREFIX + name, metadata["meaning"], labels=[metadata["label"]])
    for label, count in sorted(value.items()):
        family.add_metric([label], count)
    return family
