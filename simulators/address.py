"""Where a broker is and how to get in, written as a URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
"""Schemes, with the port each means when none is written: IANA's for MQTT, HTTP's for WebSocket."""

FORM = "mqtt://[user:password@]host[:1883], mqtts://host[:8883], ws://host[:80]/path or wss://host[:443]/path"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's address and, perhaps, a name and password for it.

    ``ca``: a file with the certificates to trust in place of the system's; only for ``mqtts`` and ``wss``.
    ``str()`` never shows the password.
    """

    scheme: str
    host: str
    port: int
    path: str = "/mqtt"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in {"mqtts", "wss"}

    @property
    def websocket(self) -> bool:
        """Whether MQTT goes inside WebSocket."""
        return self.scheme in {"ws", "wss"}

    def __str__(self) -> str:
        """The URL, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path if self.websocket else ''}"

    @classmethod
    def parse(
        cls, url: str, *, username: str | None = None, password: str | None = None, ca: str | None = None
    ) -> Broker:
        """The broker at ``url``; ``username`` and ``password`` win over those in it.

        Raises ValueError that says what is wrong, never with the password in it.
        """
        parts = _split(url)
        host, port = parts.hostname, parts.port or PORTS[parts.scheme]
        assert host is not None  # noqa: S101  _split refuses a URL without one; this is for the type checker
        if ca and parts.scheme not in {"mqtts", "wss"}:
            raise ValueError(f"a CA file needs mqtts:// or wss:// (got {parts.scheme}://)")
        username = username or (unquote(parts.username) if parts.username else None)
        password = password or (unquote(parts.password) if parts.password else None)
        if password and not username:
            raise ValueError("a password needs a username")
        return cls(parts.scheme, host, port, parts.path or "/mqtt", username, password, ca)


def _without_userinfo(url: str) -> str:
    start, at, rest = url.rpartition("@")
    return f"…@{rest}" if at and start else url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not an address of a broker: {error}") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"must be {FORM} (got {_without_userinfo(url)!r})")
    if port == 0:
        raise ValueError("port must be 1 to 65535 (got 0)")
    if parts.query or parts.fragment:
        raise ValueError("an address of a broker has no ? and no #")
    if parts.scheme in {"mqtt", "mqtts"} and parts.path not in {"", "/"}:
        raise ValueError(f"only ws:// and wss:// have a path (got {parts.path})")
    return parts
