"""The kinds of set-up: how the gateway is configured, and which faults make sense there."""

from __future__ import annotations

from typing import NamedTuple

MIB = 2**20

COMMON = {
    "http.heartbeat_s": "1",
    "http.retry_min_ms": "100",
    "http.retry_max_ms": "400",
    "http.send_timeout_s": "3",
    "mqtt.keepalive_s": "5",
    "mqtt.reconnect_max_s": "1",
    "mqtt.connect_timeout_s": "2",
}
"""Shorter times than the defaults, so that what takes a minute in a house takes seconds here; nothing else differs."""

SMALL_LOG = {"log.tail_bytes": "262144", "log.segment_bytes": "262144"}
"""Streams that lag half a second read from disk, and segments roll every second."""


class SetUp(NamedTuple):
    """One kind: ``settings`` of the gateway, gaps that may be told there, and what the machine must have.

    ``disk_bytes`` puts the data folder on a file system of that size; ``journaled`` has a power cut simulated.
    """

    name: str
    settings: dict[str, str]
    gaps: frozenset[str] = frozenset()
    disk_bytes: int = 0
    journaled: bool = False


SET_UPS = {
    kind.name: kind
    for kind in (
        SetUp("plain", {}),
        SetUp("small", {**SMALL_LOG, "http.page_entries": "50"}),
        SetUp(
            "retention",
            {
                "log.tail_bytes": "65536",
                "log.segment_bytes": "65536",
                "log.retention_bytes": str(MIB // 4),
                "http.send_buffer_bytes": "8192",
                "http.send_timeout_s": "15",
            },
            frozenset({"expired"}),
        ),
        SetUp("damage", SMALL_LOG, frozenset({"corrupt", "lost", "expired"})),
        SetUp("disk", {**SMALL_LOG, "log.retention_bytes": str(3 * MIB)}, frozenset({"expired"}), disk_bytes=5 * MIB),
        SetUp("power", {**SMALL_LOG, "log.durability": "power"}, journaled=True),
        SetUp(
            "process", {"log.segment_bytes": str(8 * MIB)}, frozenset({"lost", "expired", "corrupt"}), journaled=True
        ),
    )
}
