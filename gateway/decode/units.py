"""Units as people write them, as SenML unit codes (RFC 8428, section 12.1, and the registry it set up).

A unit that has no code stays as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping

_CODES: dict[str, tuple[str, ...]] = {
    "Cel": ("°C", "℃", "C", "degC", "celsius", "Celsius"),
    "K": ("kelvin",),
    "%RH": ("%rh", "RH%"),
    "%": ("percent", "pct"),
    "/": ("ratio",),
    "W": ("watt", "watts"),
    "kW": ("kilowatt",),
    "kWh": ("kilowatt hours",),
    "V": ("volt", "volts"),
    "A": ("amp", "ampere", "amps"),
    "Hz": ("hertz",),
    "lx": ("lux",),
    "hPa": ("mbar", "hectopascal"),
    "Pa": ("pascal",),
    "m/s": ("mps",),
    "deg": ("°", "degree", "degrees"),
    "ppm": ("parts per million",),
    "ug/m3": ("µg/m³", "μg/m³", "ug/m³"),
    "m3": ("m³",),
    "l": ("L", "litre", "liter"),
    "m": ("metre", "meter"),
    "s": ("sec", "seconds", "second"),
    "dBm": ("dbm",),
    "1/min": ("rpm", "RPM"),
}
_BY_NAME = {name: code for code, names in _CODES.items() for name in names}


def senml_unit(text: str) -> str:
    """The SenML code for ``text`` where one is known, else ``text`` without surrounding blanks, at most 32 characters."""
    text = text.strip()[:32]
    return _BY_NAME.get(text, text)


def unit_for(metric: str, units: Mapping[str, str]) -> str | None:
    """The unit that the configuration gives a metric: by its full path, else by the last part of it."""
    return units.get(metric) or units.get(metric.rpartition("/")[2])


_WRITTEN = {"Cel": "°C", "%RH": "%", "ug/m3": "µg/m³", "m3": "m³", "deg": "°", "1/min": "rpm", "/": ""}


def written(unit: str) -> str:
    """A SenML code as people write it."""
    return _WRITTEN.get(unit, unit)
