"""Our subscriptions: made on every connection, because a session that was resumed may have lost them.

A broker that was killed, or restored from an older copy, may know our session and not what it was subscribed to. We would
be connected and hear nothing, for ever, and nothing in MQTT tells. Subscribing again brings the retained messages again.
That is wanted on MQTT 5 too, which could do without: a decoder with state needs them after each start. What they repeat is
not logged again (`gateway/intake/repeats/`).
"""

from __future__ import annotations

import logging
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.counters import Counters
from gateway.mqtt.drops import DROPPED_TOPIC
from gateway.mqtt.facts import Facts

_log = logging.getLogger(__name__)


class Subscriptions:
    """``fault`` is why readings of some topic cannot come; ``warning`` why some may not survive our absence.

    ``filters`` are those of the configuration, with their QoS. ``asks_for_dropped`` is whether this kind of broker may have a
    count of dropped messages.
    """

    def __init__(
        self, client: paho.Client, filters: dict[str, int], facts: Facts, counters: Counters, *, asks_for_dropped: bool
    ) -> None:
        self._client, self._filters, self._facts, self._counters = client, filters, facts, counters
        self._asks_for_dropped = asks_for_dropped
        self._is_v5 = client.protocol == paho.MQTTv5
        self._packet_id: int | None = None
        self._dropped_packet_id: int | None = None
        self.fault = self.warning = ""

    def make(self) -> None:
        """Ask for all our filters, and give up those that the session has from an earlier configuration."""
        if gone := sorted(self._facts.filters.keys() - self._filters.keys()):
            self._client.unsubscribe(gone)
        _, self._packet_id = self._client.subscribe(self._asked())
        self.fault, self.warning = "subscriptions are not granted yet", ""

    def _asked(self) -> list[Any]:
        if not self._is_v5:
            return list(self._filters.items())
        return [(name, SubscribeOptions(qos)) for name, qos in self._filters.items()]

    def answered(self, packet_id: int, reasons: list[Any]) -> None:
        """A SUBACK came."""
        if packet_id == self._dropped_packet_id:
            self._dropped_packet_id = None
        if packet_id != self._packet_id:
            return
        self._packet_id = None
        granted = dict(zip(self._filters, reasons, strict=False))
        refused = sorted(name for name, reason in granted.items() if reason.is_failure)
        self._facts.granted({name: qos for name, qos in self._filters.items() if name not in refused})
        self._counters.subscriptions_refused_total += len(refused)
        lower = sorted(name for name, reason in granted.items() if reason.value < self._filters[name])
        self.fault = f"the broker refused {', '.join(refused)}" if refused else ""
        self.warning = f"the broker granted QoS 0 only, and keeps nothing for us: {', '.join(lower)}" if lower else ""
        self._tell()
        if self._asks_for_dropped and self._facts.may_ask_for_dropped:
            # By itself and last, and nothing is said when it is refused: few brokers have that count.
            _, self._dropped_packet_id = self._client.subscribe(DROPPED_TOPIC, 0)

    def lost(self) -> None:
        """The connection broke. Some brokers do that when asked for what they do not have; those are not asked again."""
        if self._dropped_packet_id is not None:
            self._dropped_packet_id = None
            self._facts.was_cut_for_asking()

    def _tell(self) -> None:
        if self.fault:
            _log.error("broker: %s: no readings come from there", self.fault)
        else:
            _log.info("subscribed to %s", ", ".join(self._filters))
        if self.warning:
            _log.warning("broker: %s", self.warning)
