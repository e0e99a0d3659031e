"""Sizes and times of the log."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gateway.log.sqlite.segment import Durability


class LogSettings(NamedTuple):
    """The defaults and their reasons are in `config.toml`, sections `log` and `mqtt`."""

    folder: Path
    durability: Durability = "process"
    commit_interval_ms: int = 20
    commit_interval_max_ms: int = 10_000
    write_budget_bytes_per_day: int = 0
    commit_messages: int = 500
    segment_bytes: int = 64 * 2**20
    segment_age_s: float = 3600
    retention_bytes: int = 2**30
    retention_age_s: float = 86_400
    tail_bytes: int = 32 * 2**20
    max_waiting_messages: int = 20_000
    packet_window: int = 1000
