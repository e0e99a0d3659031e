"""Our own faults, raised; the other side's are `reading.Rejected` values, counted."""

from __future__ import annotations


class GatewayError(Exception):
    """Base of everything the gateway raises; its text says what was being done and what to do about it."""


class ConfigError(GatewayError):
    """The configuration breaks its rules; ``problems`` has one line for each, as ``key: rule (got value)``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LogError(GatewayError):
    """The log cannot be opened or written."""


class DataError(GatewayError):
    """A file in the data folder cannot be used by this gateway."""


class BrokerError(GatewayError):
    """The embedded broker cannot be started, or the broker's address makes no sense."""


class ServeError(GatewayError):
    """The HTTP server cannot listen, or its certificate cannot be used."""
