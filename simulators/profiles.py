"""The kinds of device there are, in the order in which a mixed fleet takes them in turn.

The courses share names on purpose: ``clouds`` dims, cools and moistens at once, because it is one course.
Ranges are those of common sensors: SHT4x, BMP280, SCD4x, PMS5003, DS18B20, a DIN-rail meter.
"""

from __future__ import annotations

import math

from simulators.profile import Clock, Metric, Profile, Shape
from simulators.signals import DAY_S, HOUR_S, Cycle, battery, between, daily, daylight, jitter, spikes, visits, wander

INSTALLED_S = 1_577_836_800.0
"""2020-01-01: counters count from here, so they stand where a meter of some years stands."""


def _clouds(seed: int, t: float) -> float:
    return wander(seed, "clouds", t, 1.0, 1200)


def _outdoors(seed: int, t: float) -> float:
    return daily(t, 11, 5, 15) + wander(seed, "front", t, 3, 0.8 * DAY_S) - 0.6 * _clouds(seed, t)


def _under_glass(seed: int, t: float) -> float:
    return daily(t, 21, 5, 14) - 0.8 * _clouds(seed, t) + wander(seed, "vent", t, 0.35, 90)


GREENHOUSE = Profile(
    "greenhouse", "greenhouse-{n}", "Greenhouse {n}", "simulated greenhouse", Shape.OBJECT,
    (
        Metric("temperature", "Air temperature", lambda s, t: _under_glass(s, t) + jitter(s, "tn", t, 0.04),
               "Cel", 0.1, -40, 85),
        Metric("humidity", "Air humidity",
               lambda s, t: 78 - 1.8 * (_under_glass(s, t) - 18) + wander(s, "air", t, 2, 300), "%RH", 0.5),
        Metric("soil_moisture", "Soil moisture",
               lambda s, t: 30 + 24 * Cycle("watering", 9 * HOUR_S, 0.06, 0.02).climb(s, t) + jitter(s, "soil", t, 0.2),
               "%", 0.1),
        Metric("illuminance", "Light",
               lambda s, t: 3 + 42_000 * daylight(t) * max(0.1, 1 - 0.35 * abs(_clouds(s, t))) + jitter(s, "lx", t, 2),
               "lx", 1, 0, 120_000),
    ),
)  # fmt: skip

BURNER = Cycle("burner", 210, 0.42, 0.18)


def _boiler_mode(seed: int, t: float) -> str:
    if BURNER.on(seed, t):
        return "hot water" if visits(seed, "tap", t, 900, 300) else "heating"
    return "standby"


BOILER = Profile(
    "boiler", "boiler-{n}", "Boiler {n}", "simulated gas boiler", Shape.OBJECT,
    (
        Metric("flow_temperature", "Flow temperature",
               lambda s, t: 48 + 17 * BURNER.climb(s, t) + wander(s, "flow", t, 0.3, 20), "Cel", 0.5, 0, 110),
        Metric("return_temperature", "Return temperature",
               lambda s, t: 40 + 9 * BURNER.climb(s, t - 25) + wander(s, "return", t, 0.2, 40), "Cel", 0.5, 0, 110),
        Metric("pressure", "Water pressure",
               lambda s, t: 1480 + 120 * BURNER.climb(s, t) + wander(s, "leak", t, 25, DAY_S) + jitter(s, "p", t, 6),
               "hPa", 10, 0, 4000),
        Metric("burner", "Burner", BURNER.on),
        Metric("mode", "Mode", _boiler_mode),
    ),
    clock=Clock.ISO,
)  # fmt: skip

COOLING = Cycle("compressor", 600, 0.35, 0.1)
FREEZING = Cycle("compressor", 840, 0.5, 0.12)

FRIDGE = Profile(
    "fridge", "kitchen/fridge-{n}", "Fridge {n}", "simulated fridge", Shape.PLAIN,
    (
        Metric("temperature", "Temperature",
               lambda s, t: 6.4 - 2.8 * COOLING.climb(s, t) + 3 * spikes(s, "opened", t, HOUR_S, 120)
               + jitter(s, "tn", t, 0.06), "Cel", 0.0625, -55, 125),
        Metric("compressor", "Compressor", COOLING.on, every=5, on_change=True),
    ),
)  # fmt: skip

DOOR = Profile(
    "door", "door-{n}", "Door {n}", "simulated door contact", Shape.PLAIN,
    (
        Metric("open", "Open", lambda s, t: visits(s, "door", t, 60, 20), every=60, on_change=True),
        Metric("battery", "Battery", lambda s, t: battery(s, "cell", t, 700 * DAY_S), "%EL", every=600),
    ),
)  # fmt: skip


def _wind(seed: int, t: float) -> float:
    gust = 4 * between(seed, "exposed", 0.4, 1) * spikes(seed, "gust", t, 45, 4)
    return max(0.0, 4.5 + wander(seed, "breeze", t, 1.8, 1800) + wander(seed, "wind", t, 0.7, 8) + gust)


WEATHER = Profile(
    "weather", "weather-{n}", "Weather station {n}", "simulated weather station", Shape.BATCH,
    (
        Metric("temperature", "Temperature", lambda s, t: _outdoors(s, t) + wander(s, "air", t, 0.15, 60),
               "Cel", 0.1, -40, 60),
        Metric("humidity", "Humidity",
               lambda s, t: daily(t, 72, -12, 15) + 6 * _clouds(s, t) + wander(s, "damp", t, 1, 120), "%RH", 1),
        Metric("pressure", "Air pressure",
               lambda s, t: 1013 - wander(s, "front", t, 8, 0.8 * DAY_S) + wander(s, "press", t, 0.08, 60),
               "hPa", 0.1, 300, 1100),
        Metric("wind_speed", "Wind speed", _wind, "m/s", 0.1, 0, 60),
        Metric("wind_direction", "Wind direction",
               lambda s, t: (225 + wander(s, "veer", t, 40, 3 * HOUR_S) + wander(s, "vane", t, 12, 10)) % 360,
               "deg", 5, 0, 355),
        Metric("rain", "Rain", lambda s, t: 5 * max(0.0, _clouds(s, t) - 0.8), "mm/h", 0.2, 0, 200),
    ),
    clock=Clock.ISO, batch=5,
)  # fmt: skip

COMPRESSOR = Cycle("freezer", 2700, 0.35, 0.08)
HEATER = Cycle("heater", 300, 0.15, 0.08)
COMPRESSOR_W, HEATER_W, MEAN_W, SWING_W, PEAK_HOUR = 90.0, 1900.0, 260.0, 140.0, 19.0


def _power_w(seed: int, t: float) -> float:
    switched = COMPRESSOR_W * COMPRESSOR.on(seed, t) + HEATER_W * HEATER.on(seed, t)
    return daily(t, MEAN_W, SWING_W, PEAK_HOUR) + switched + wander(seed, "load", t, 9, 15)


def _voltage_v(seed: int, t: float) -> float:
    return 231 + wander(seed, "grid", t, 1.2, 240) - 0.0008 * _power_w(seed, t)


def _energy_ws(seed: int, t: float) -> float:
    # The wander of the power is left out: its mean is zero, and the counter must never fall.
    sun = SWING_W * DAY_S / (2 * math.pi) * math.sin(2 * math.pi * (t / DAY_S - PEAK_HOUR / 24))
    return MEAN_W * t + sun + COMPRESSOR_W * COMPRESSOR.on_s(seed, t) + HEATER_W * HEATER.on_s(seed, t)


POWER_METER = Profile(
    "power_meter", "power-meter-{n}", "Power meter {n}", "simulated power meter", Shape.OBJECT,
    (
        Metric("power", "Power", _power_w, "W", 1, 0, 14_500),
        Metric("voltage", "Voltage", _voltage_v, "V", 0.1, 0, 280),
        Metric("current", "Current", lambda s, t: _power_w(s, t) / (0.97 * _voltage_v(s, t)), "A", 0.01, 0, 63),
        Metric("energy", "Energy", lambda s, t: (_energy_ws(s, t) - _energy_ws(s, INSTALLED_S)) / 3.6e6,
               "kWh", 0.001, 0, 1e6, every=10),
    ),
    clock=Clock.UNIX_MS,
)  # fmt: skip

PEOPLE = Cycle("meeting", 2400, 0.55, 0.2)

AIR_QUALITY = Profile(
    "air_quality", "air-quality-{n}", "Room air {n}", "simulated air monitor", Shape.OBJECT,
    (
        Metric("co2", "Carbon dioxide",
               lambda s, t: 480 + 720 * PEOPLE.climb(s, t) + wander(s, "draught", t, 14, 30), "ppm", 1, 400, 5000),
        Metric("pm25", "Fine dust",
               lambda s, t: 7 + wander(s, "dust", t, 1.2, 400) + 45 * spikes(s, "cooking", t, 1800, 180),
               "ug/m3", 0.1, 0, 1000),
        Metric("voc", "Volatile organic compounds",
               lambda s, t: 160 + 120 * PEOPLE.climb(s, t) + wander(s, "smell", t, 12, 90), "ug/m3", 1, 0, 30_000),
        Metric("temperature", "Room temperature",
               lambda s, t: 20.6 + 1.6 * PEOPLE.climb(s, t) + wander(s, "room", t, 0.1, 60), "Cel", 0.1, -10, 60),
        Metric("motion", "Motion", lambda s, t: PEOPLE.on(s, t) and visits(s, "pir", t, 20, 10)),
    ),
)  # fmt: skip

SHIFT = Cycle("shift", 480, 0.75, 0.15)


def _speed(seed: int, t: float) -> float:
    """Share of full speed, 0 to 1: up within seconds of the start, running out after the stop."""
    return min(1.0, 4 * SHIFT.climb(seed, t)) if SHIFT.on(seed, t) else max(0.0, 8 * SHIFT.climb(seed, t) - 7)


def _vibration(seed: int, t: float) -> float:
    knock = between(seed, "worn", 0.5, 3) * spikes(seed, "knock", t, 75, 3)
    return 0.05 + _speed(seed, t) * (1.4 + abs(wander(seed, "shake", t, 0.3, 3)) + knock)


def _machine_state(seed: int, t: float) -> str:
    if SHIFT.on(seed, t):
        return "running" if _speed(seed, t) >= 1 else "starting"
    return "stopping" if _speed(seed, t) > 0 else "idle"


MACHINE = Profile(
    "machine", "machine-{n}", "Machine {n}", "simulated spindle", Shape.NESTED,
    (
        Metric("spindle/rpm", "Speed", lambda s, t: _speed(s, t) * (2960 + wander(s, "slip", t, 6, 5)),
               "1/min", 1, 0, 6000),
        Metric("spindle/vibration", "Vibration", _vibration, "m/s2", 0.01, 0, 160),
        Metric("bearing/temperature", "Bearing temperature",
               lambda s, t: 34 + 22 * SHIFT.climb(s, t) + wander(s, "bearing", t, 0.3, 30), "Cel", 0.1, -20, 200),
        Metric("state", "State", _machine_state),
    ),
)  # fmt: skip

FREEZER = Profile(
    "freezer", "kitchen/freezer-{n}", "Freezer {n}", "simulated freezer", Shape.PLAIN,
    (
        Metric("temperature", "Temperature",
               lambda s, t: -16.5 - 3.5 * FREEZING.climb(s, t) + jitter(s, "tn", t, 0.06), "Cel", 0.0625, -55, 125),
        Metric("compressor", "Compressor", FREEZING.on, every=5, on_change=True),
    ),
)  # fmt: skip

PUMP = Cycle("pump", 1500, 0.2, 0.08)

TANK = Profile(
    "tank", "tank-{n}", "Rainwater tank {n}", "simulated tank", Shape.PLAIN,
    (
        Metric("level", "Level", lambda s, t: 35 + 45 * PUMP.climb(s, t) + wander(s, "ripple", t, 0.15, 3), "%", 0.1),
        Metric("pump", "Pump", PUMP.on, every=10, on_change=True),
    ),
)  # fmt: skip

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (GREENHOUSE, BOILER, FRIDGE, POWER_METER, DOOR, WEATHER, AIR_QUALITY, MACHINE, FREEZER, TANK)
}
"""All profiles by name."""
