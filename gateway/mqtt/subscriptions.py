"""Our subscriptions: made on every connection, because a session that was resumed may have lost them.

A broker that was killed, or restored from an older copy, may know our session and not what it was subscribed to. We would
be connected and hear nothing, for ever, and nothing in MQTT tells. Subscribing again brings the retained messages again:
MQTT 5 can ask for those of new subscriptions only, and for 3.1.1 they are recognised (`remembered.py`).
"""

from __future__ import annotations

import logging
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.counters import Counters
from gateway.intake.repeats.retained import Remembered

_log = logging.getLogger(__name__)

DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
"""Where mosquitto tells how many messages it dropped, of all its clients, since it started. Other brokers say nothing there."""

_ONLY_IF_NEW = 1
"""MQTT 5, 3.8.3.1: retained messages are sent at subscribe if the subscription does not exist."""


class Subscriptions:
    """``fault`` is why readings of some topic cannot come; ``warning`` why some may not survive our absence.

    ``asks_for_dropped`` is whether this kind of broker may have a count of dropped messages.
    """

    def __init__(
        self, client: paho.Client, filters: dict[str, int], remembered: Remembered, counters: Counters
    ) -> None:
        self._client, self._filters, self._remembered, self._counters = client, filters, remembered, counters
        self.asks_for_dropped = True
        self._is_v5 = client.protocol == paho.MQTTv5
        self._packet_id: int | None = None
        self._dropped_packet_id: int | None = None
        self.fault = self.warning = ""

    def make(self) -> None:
        """Ask for all our filters, and give up those that the session has from an earlier configuration."""
        if gone := sorted(self._remembered.filters.keys() - self._filters.keys()):
            self._client.unsubscribe(gone)
        _, self._packet_id = self._client.subscribe(self._asked())
        self.fault, self.warning = "subscriptions are not granted yet", ""

    def _asked(self) -> list[Any]:
        if not self._is_v5:
            return list(self._filters.items())
        return [(name, SubscribeOptions(qos, retainHandling=_ONLY_IF_NEW)) for name, qos in self._filters.items()]

    def answered(self, packet_id: int, reasons: list[Any]) -> None:
        """A SUBACK came."""
        if packet_id == self._dropped_packet_id:
            self._dropped_packet_id = None
        if packet_id != self._packet_id:
            return
        self._packet_id = None
        granted = dict(zip(self._filters, reasons, strict=False))
        refused = sorted(name for name, reason in granted.items() if reason.is_failure)
        self._remembered.filters = {name: qos for name, qos in self._filters.items() if name not in refused}
        self._counters.subscriptions_refused_total += len(refused)
        lower = sorted(name for name, reason in granted.items() if reason.value < self._filters[name])
        self.fault = f"the broker refused {', '.join(refused)}" if refused else ""
        self.warning = f"the broker granted QoS 0 only, and keeps nothing for us: {', '.join(lower)}" if lower else ""
        self._tell()
        if self.asks_for_dropped and self._remembered.may_ask_for_dropped:
            # By itself and last, and without a word when it is refused: it is a courtesy of the broker.
            _, self._dropped_packet_id = self._client.subscribe(DROPPED_TOPIC, 0)

    def lost(self) -> None:
        """The connection broke. Some brokers do that when asked for what they do not have; those are not asked again."""
        if self._dropped_packet_id is not None:
            self._dropped_packet_id = None
            self._remembered.was_cut_for_asking()

    def _tell(self) -> None:
        if self.fault:
            _log.error("broker: %s: no readings come from there", self.fault)
        else:
            _log.info("subscribed to %s", ", ".join(self._filters))
        if self.warning:
            _log.warning("broker: %s", self.warning)
