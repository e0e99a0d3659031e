"""A broker's address."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

HIDDEN = "…"
"""Stands for what is not shown."""

_SCHEMES = {"mqtt": ("tcp", 1883), "mqtts": ("tcp", 8883), "ws": ("websockets", 80), "wss": ("websockets", 443)}


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

    @property
    def address(self) -> str:
        """Host and port, without secrets."""
        return f"{self.host}:{self.port}"


def parse_broker(address: str) -> Broker:
    """A broker's URL taken apart; raises ValueError with the rule that it breaks, and with nothing of the address."""
    parts, port = _split(address)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("must be like mqtt://host:1883, mqtts://host:8883, ws://host/mqtt or wss://host/mqtt")
    transport, default_port = _SCHEMES[parts.scheme]
    if transport == "tcp" and (parts.path not in ("", "/") or parts.query):
        raise ValueError("may have a path only with ws:// and wss://")
    return Broker(
        transport,
        parts.hostname,
        default_port if port is None else port,
        (parts.path or "/mqtt") + (f"?{parts.query}" if parts.query else ""),
        tls=parts.scheme in ("mqtts", "wss"),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _split(address: str) -> tuple[SplitResult, int | None]:
    """Stricter than `urlsplit`, which drops some characters, and takes what is behind a `#` in a password for no host."""
    if not address.isprintable() or " " in address or "#" in address:
        raise ValueError("must hold no blank and no '#'; in a password write %20 and %23")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        # Its own message may quote the password.
        raise ValueError("must have a host, and a port from 1 to 65535") from None
    if port == 0:
        raise ValueError("must have a port from 1 to 65535")
    return parts, port


def without_password(text: str, stand_in: str = HIDDEN) -> str:
    """``text`` with ``stand_in`` for what stands where an address has its password; the address may be a wrong one."""
    before, at, after = text.rpartition("@")
    scheme, slashes, user = before.partition("://") if "://" in before else ("", "", before)
    name, colon, _ = user.partition(":")
    return f"{scheme}{slashes}{name}:{stand_in}{at}{after}" if colon else text
