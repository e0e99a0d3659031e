"""Messages that the broker dropped, by its own count: they may have been for us."""

from __future__ import annotations

from gateway.counters import Counters
from gateway.mqtt.facts import Facts
from gateway.mqtt.notices import Notices

DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
"""Where mosquitto tells how many messages it dropped, of all its clients, since it started. Other brokers say nothing there."""

MAX_DIGITS = 18
"""Digits of the count at most. Where a broker lets anybody publish under $SYS, a count may be any text."""


class Drops:
    """Counts what was dropped since we heard of it last, and tells people."""

    def __init__(self, facts: Facts, notices: Notices, counters: Counters) -> None:
        self._facts, self._notices, self._counters = facts, notices, counters

    def told(self, payload: bytes) -> None:
        """A message came on `DROPPED_TOPIC`; one that is no count says nothing."""
        if not payload.isdigit() or len(payload) > MAX_DIGITS:
            return
        if dropped := self._facts.dropped_since(int(payload)):
            self._counters.broker_dropped_total += dropped
            self._notices.tell(
                "dropped",
                f"the broker has dropped {self._counters.broker_dropped_total} messages for its clients: if we were one, "
                "readings are missing, and its queue is too short (mosquitto: max_queued_messages)",
            )
