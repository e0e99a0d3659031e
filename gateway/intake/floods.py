"""Cuts floods at QoS 0 while the gateway is behind, and tells which device lost how many messages by that."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.counters import Counters
from gateway.devices.registry import Registry
from gateway.devices.wire import AlertData
from gateway.intake.fair import Fair
from gateway.reading import Draft, Message


class Floods:
    """``payer`` names the device that pays for a topic; ``max_waiting`` is `log.max_waiting_messages`."""

    def __init__(self, payer: Callable[[str], str], registry: Registry, counters: Counters, max_waiting: int) -> None:
        self._payer, self._registry, self._counters = payer, registry, counters
        self._fair, self._appended = Fair(max_waiting), 0

    def admitted(self, messages: list[Message], waiting: int, *, is_behind: bool) -> list[Message]:
        """Those of ``messages`` that are to be appended; all of them, unless the gateway is behind.

        ``waiting`` messages that came before are not committed yet; ``is_behind`` is whether more come than are read.
        """
        if self._fair.begin(waiting, self._appended - waiting, is_behind=is_behind):
            # A retained message comes once, and is remembered as logged.
            messages = [message for message in messages if message.qos or message.retain or self._admits(message)]
        self._appended += len(messages)
        return messages

    def _admits(self, message: Message) -> bool:
        """Whether a message at QoS 0 is within its device's share; one that no device sent is rejected later."""
        device = self._payer(message.topic)
        if not device or self._fair.admits(device, message.received_at_ms):
            return True
        self._counters.dropped_total[device if device in self._registry else ""] += 1
        return False

    def alerts(self, now_ms: int) -> list[Draft]:
        """An entry for each device that lost messages since this was asked last."""
        return [
            Draft(
                "alert",
                device,
                now_ms,
                msgspec.json.encode(AlertData(device=device, alert="overflow", dropped=dropped, since=since_ms)),
            )
            for device, dropped, since_ms in self._fair.overflows()
            if device in self._registry
        ]
