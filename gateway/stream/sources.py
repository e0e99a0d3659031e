"""The stations that streams read from."""

from __future__ import annotations

from typing import NamedTuple

from gateway.clock import Clock
from gateway.counters import Counters
from gateway.devices.registry import Registry
from gateway.log import Log
from gateway.stream.readiness import Readiness


class Sources(NamedTuple):
    """One for the whole gateway, shared by all that shows what it holds: streams and other answers."""

    log: Log
    registry: Registry
    readiness: Readiness
    counters: Counters
    clock: Clock
