"""Ports of loopback for parts that are stopped and started again."""

from __future__ import annotations

import random
import socket

RANGE = range(20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: one of those could sit on a stopped gateway's port."""

_given: set[int] = set()


def free_port() -> int:
    """A port that is free now and that nothing takes by chance later."""
    while True:
        port = random.SystemRandom().choice(RANGE)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
