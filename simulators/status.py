"""What the command says while it runs: pure, from two looks at the counters."""

from __future__ import annotations

from simulators.counters import Counters

BEHIND_MAX_S = 1.0
"""Later than this, the asked rate is not being kept; a shorter delay is a busy moment."""


def plural(count: int, noun: str) -> str:
    """``1 device``, ``1,234 devices``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def progress(before: Counters, now: Counters, span_s: float) -> str:
    """One line: who is connected, how fast it goes between two looks ``span_s`` (above 0) apart, and the totals."""
    messages = (now.published_total - before.published_total) / span_s
    readings = (now.readings_total - before.readings_total) / span_s
    speed = f"{messages:,.0f} messages/s with {readings:,.0f} readings/s"
    return f"{now.connected:,} of {plural(now.devices, 'device')} connected, {speed}, {totals(now)}"


def totals(now: Counters) -> str:
    """``1,234 published, 1,234 acknowledged, 5 skipped``; what cannot be (at QoS 0) or did not occur is left out."""
    parts = [f"{now.published_total:,} published"]
    parts += [f"{now.acknowledged_total:,} acknowledged"] if now.confirmed else []
    parts += [f"{now.refused_total:,} refused"] if now.refused_total else []
    parts += [f"{now.skipped_total:,} skipped"] if now.skipped_total else []
    return ", ".join(parts)


def complaints(before: Counters, now: Counters, reason: str) -> list[str]:
    """What is wrong between the two looks, in sentences; ``reason`` is why a device is not connected."""
    found = []
    if missing := now.devices - now.connected:
        found.append(f"{plural(missing, 'device')} not connected: {reason}")
    if slow := now.skipped_unacknowledged_total - before.skipped_unacknowledged_total:
        found.append(f"the broker is slow to acknowledge: {plural(slow, 'message')} skipped")
    if refused := now.refused_total - before.refused_total:
        found.append(f"the broker refused {plural(refused, 'message')}: may these devices publish there?")
    if now.behind_s > BEHIND_MAX_S:
        found.append(f"cannot keep the asked rate: {now.behind_s:,.1f} s behind; try fewer --devices or a lower --rate")
    return found


def farewell(now: Counters) -> str:
    """The last line."""
    missing = now.published_total - now.acknowledged_total - now.refused_total
    unconfirmed = f", {missing:,} never acknowledged" if missing and now.confirmed else ""
    return f"stopped: {plural(now.devices, 'device')}, {totals(now)}{unconfirmed}"
