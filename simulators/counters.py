"""What a fleet has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Messages, unless a name says otherwise; a message may hold several readings.

    ``devices``: how many there are. ``confirmed``: whether the broker confirms messages, false at QoS 0.
    ``published_total``: handed to the connection, with descriptions and availability. ``acknowledged_total``: confirmed
    by the broker; at QoS 0, where nothing is confirmed, taken by the socket. ``refused_total``: the broker said no
    (MQTT 5 only; MQTT 3.1.1 has no word for it). ``connected``: devices, now. ``behind_s``: how late the fleet is, now.
    """

    devices: int = 0
    confirmed: bool = True
    published_total: int = 0
    readings_total: int = 0
    acknowledged_total: int = 0
    refused_total: int = 0
    skipped_disconnected_total: int = 0
    skipped_unacknowledged_total: int = 0
    connects_total: int = 0
    connected: int = 0
    behind_s: float = 0.0

    @property
    def skipped_total(self) -> int:
        """Messages that were due and not published, for whatever reason."""
        return self.skipped_disconnected_total + self.skipped_unacknowledged_total
