"""The configuration: one table of settings (`table.py`), strict when read, written out as `config.toml`.

Order, weakest first: defaults, file, environment (``SENSOR_GATEWAY_HTTP_PORT``), command line (``--set http.port=…``).
"""

from gateway.config.broker import Broker, parse_broker
from gateway.config.source import load
from gateway.config.table import Config, DevicesSection, EmbeddedBroker, Http, LimitsSection, LogSection
from gateway.config.toml import to_toml

__all__ = [
    "Broker",
    "Config",
    "DevicesSection",
    "EmbeddedBroker",
    "Http",
    "LimitsSection",
    "LogSection",
    "load",
    "parse_broker",
    "to_toml",
]
