"""From ingest to append: messages become drafts and are on their way into the log. Lives on the event loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from gateway.counters import Counters
from gateway.decode import Decoder
from gateway.devices.presence import Presence
from gateway.devices.registry import Registry
from gateway.devices.wire import AlertData
from gateway.intake.fair import Fair
from gateway.intake.repeats.receipts import content_hash
from gateway.log import Deposit, Log
from gateway.reading import Draft, Message, Rejected

_log = logging.getLogger(__name__)

SAMPLE_INTERVAL_S = 60.0
"""A rejection is logged the first time, and then once a minute for each reason."""


class Source(Protocol):
    """Where messages come from."""

    @property
    def is_behind(self) -> bool:
        """Whether messages come faster than they are read."""

    def pause(self) -> None:
        """Hand on no more, until the log has room again."""


class Intake:
    """Set ``source`` before the first messages. Shares are of ``max_waiting`` messages, `log.max_waiting_messages`."""

    source: Source

    def __init__(  # noqa: PLR0913, PLR0917 - the stations on the way
        self, log: Log, decoder: Decoder, presence: Presence, registry: Registry, counters: Counters, max_waiting: int
    ) -> None:
        self._log, self._decoder, self._presence, self._registry = log, decoder, presence, registry
        self._counters = counters
        self._fair, self._taken = Fair(max_waiting), 0
        self._sampled: dict[str, float] = {}

    def take(self, messages: list[Message], acknowledge: Callable[[], None]) -> None:
        """Messages that came together: ``acknowledge`` is called when all that they brought is committed."""
        waiting, packets = self._log.waiting, self._log.packets
        if self._fair.begin(waiting, self._taken - waiting, is_behind=self.source.is_behind):
            # Retained ones come once, and are remembered as logged.
            messages = [message for message in messages if message.qos or message.retain or self._admits(message)]
        drafts: list[Draft] = []
        marks = []
        for message in messages:
            if message.qos:
                hashed = content_hash(message.topic, message.payload)
                if message.dup and packets.knows(message.packet_id, hashed):
                    self._counters.redelivered_total += 1
                    continue
                marks.append(packets.add(message.packet_id, hashed))
            drafts += self._drafts_of(message)
        self._taken += len(messages)
        self._log.append(Deposit(drafts, b"".join(marks), acknowledge, len(messages)))
        if self._log.is_full:
            self.source.pause()

    def tell_overflows(self) -> None:
        """An entry for each device that lost something, so that streams and the page tell of it, also later."""
        for device, dropped, since_ms in self._fair.overflows():
            if device in self._registry:
                data = AlertData(device=device, alert="overflow", dropped=dropped, since=since_ms)
                draft = Draft("alert", device, self._log.now_ms(), msgspec.json.encode(data))
                self._log.append(Deposit([draft], messages=0))

    def _admits(self, message: Message) -> bool:
        """Whether a message at QoS 0 is within its device's share; what no device sent is rejected later."""
        device = self._decoder.device_of(message.topic)
        if not device or self._fair.admits(device, message.received_at_ms):
            return True
        self._counters.dropped_total[device if device in self._registry else ""] += 1
        return False

    def _drafts_of(self, message: Message) -> list[Draft]:
        """What a message brings. One that meets a fault of ours costs that message, not the gateway (law 9)."""
        drafts: list[Draft] = []
        try:
            for decoded in self._decoder.decode(message):
                made = self._presence.drafts(decoded)
                if isinstance(made, Rejected):
                    self._count(made)
                else:
                    # Mostly there is nothing else, and nothing to copy.
                    drafts = drafts + made if drafts else made
        except Exception as error:  # noqa: BLE001 - counted, and logged with its traceback
            self._count(Rejected("fault", f"{len(message.payload)} bytes on {message.topic[:200]!r}"), error)
            return []
        return drafts

    def _count(self, rejected: Rejected, fault: Exception | None = None) -> None:
        self._counters.rejected_total[rejected.reason] += 1
        now = time.monotonic()
        if now - self._sampled.get(rejected.reason, -SAMPLE_INTERVAL_S) >= SAMPLE_INTERVAL_S:
            self._sampled[rejected.reason] = now
            _log.warning("rejected (%s): %s", rejected.reason, rejected.detail, exc_info=fault)
