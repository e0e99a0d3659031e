"""A broker's address."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Broker:
    """A broker's address, taken apart."""

    transport: str
    host: str
    port: int
    path: str
    tls: bool
    username: str
    password: str


def parse_broker(address: str) -> Broker:
    """A broker's URL taken apart; raises ValueError with the rule that it breaks."""
    schemes = {"mqtt": ("tcp", 1883), "mqtts": ("tcp", 8883), "ws": ("websockets", 80), "wss": ("websockets", 443)}
    parts = urlsplit(address)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError("must be like mqtt://host:1883, mqtts://host:8883, ws://host/mqtt or wss://host/mqtt")
    transport, default_port = schemes[parts.scheme]
    if transport == "tcp" and parts.path not in ("", "/"):
        raise ValueError("may have a path only with ws:// and wss://")
    return Broker(
        transport,
        parts.hostname,
        parts.port or default_port,
        parts.path or "/mqtt",
        tls=parts.scheme in ("mqtts", "wss"),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
