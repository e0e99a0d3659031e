"""What a device says about itself: whether it is there, and what its metrics are called and measured in."""

from __future__ import annotations

from typing import Any

from gateway.config import LimitsSection
from gateway.decode.limits import MAX_LABEL_CHARACTERS, MAX_METRIC_CHARACTERS
from gateway.decode.units import senml_unit
from gateway.reading import Availability, DeviceInfo, MetricInfo, Rejected

_WORDS: dict[str, Availability] = {
    **dict.fromkeys(("online", "true", "1", "connected", "ready", "available"), "online"),
    **dict.fromkeys(("offline", "false", "0", "disconnected", "lost", "unavailable", "not_available"), "offline"),
}
"""Words that conventions use: Tasmota `Online`, Shelly `true`, Homie `ready`/`lost`, Home Assistant `online`."""

_NUMBERS: dict[int, Availability] = {1: "online", 0: "offline"}
"""And JSON's true and false, which are these to Python."""


def availability(device: str, parsed: Any, received_at_ms: int) -> DeviceInfo | Rejected:
    """The device's availability from text, boolean, 0/1 or ``{"state": "online"}`` (Zigbee2MQTT)."""
    state = parsed.get("state") if isinstance(parsed, dict) else parsed
    if isinstance(state, str):
        word = _WORDS.get(state.strip().lower())
    else:
        word = _NUMBERS.get(state) if isinstance(state, int) else None
    if word is None:
        # Never the repr of what is nested: it takes as long as the payload is large, and may be too deep for it.
        shown = repr(state[:40]) if isinstance(state, str) else type(state).__name__
        return Rejected("bad_value", f"availability of {device}: {shown}")
    return DeviceInfo(device, received_at_ms, availability=word)


def device_info(device: str, parsed: Any, received_at_ms: int, limits: LimitsSection) -> DeviceInfo | Rejected:
    """``{"label": …, "model": …, "metrics": {"temperature": {"unit": "Cel", "label": …}}}``, each part optional."""
    if not isinstance(parsed, dict):
        return Rejected("bad_value", f"info of {device} is no JSON object")
    metrics = parsed.get("metrics")
    if not isinstance(metrics, dict):
        metrics = {}
    if len(metrics) > limits.max_metrics:
        return Rejected("too_many_metrics", f"info of {device}: {len(metrics)}")
    described = {
        metric: MetricInfo(unit=senml_unit(_text(about, "unit")), label=_text(about, "label"))
        for metric, about in metrics.items()
        if isinstance(about, dict) and 0 < len(metric) <= MAX_METRIC_CHARACTERS and metric.isprintable()
    }
    return DeviceInfo(device, received_at_ms, None, _text(parsed, "label"), _text(parsed, "model"), described)


def _text(about: dict[str, Any], key: str) -> str:
    value = about.get(key)
    return value.strip()[:MAX_LABEL_CHARACTERS] if isinstance(value, str) and value.isprintable() else ""
