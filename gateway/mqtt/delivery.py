"""The messages of a session on their way to the log, and their acknowledgements on the way back.

* What the broker sends again, and a retained message that says nothing new, is no news: acknowledged, not handed on.
* A PUBACK goes out after the commit, and only on the connection that brought the message: after a reconnect the same
  packet id may mean another message.
* What the broker tells of itself is for people, not for the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.counters import Counters
from gateway.intake.repeats.retained import Remembered
from gateway.intake.repeats.unacknowledged import Returning
from gateway.mqtt.notices import Notices
from gateway.mqtt.subscriptions import DROPPED_TOPIC
from gateway.mqtt.window import Flight
from gateway.reading import Message

MAX_DIGITS = 18
"""Of the broker's count of dropped messages. Where it lets anybody publish under $SYS, a count may be any text."""

Deliver = Callable[[list[Message], Callable[[], None]], None]
"""Takes messages that came together and what acknowledges them; called on the event loop, must not block."""


class Delivery:
    """``begin`` and ``end`` it with each connection that the broker accepted; ``messages_came`` in between.

    ``acknowledge`` sends the PUBACKs of these packet ids; ``window`` is `mqtt.window`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - both ends, and what it counts and remembers
        self,
        deliver: Deliver,
        acknowledge: Callable[[list[int]], None],
        remembered: Remembered,
        notices: Notices,
        counters: Counters,
        window: int,
    ) -> None:
        self._deliver, self._acknowledge = deliver, acknowledge
        self._remembered, self._notices, self._counters, self._window = remembered, notices, counters, window
        self._connection, self._is_open = 0, False
        self._returning, self._flight = Returning(), Flight(window)

    @property
    def limit(self) -> int:
        """How many messages the broker sends before it waits for us; 0 while that was not felt."""
        return self._flight.limit

    def begin(self, *, resumed: bool) -> None:
        """The broker accepted a connection; ``resumed`` is whether the session goes on."""
        self._connection += 1
        self._is_open = True
        self._returning.begin(resumed=resumed)
        self._flight = Flight(self._window)

    def end(self) -> None:
        """The connection is lost, and with it whatever could be acknowledged on it."""
        self._is_open = False

    def messages_came(self, messages: list[Message]) -> None:
        """Count, and hand on what is news; what is none is acknowledged with it."""
        if told := [message for message in messages if message.qos == 0 and message.topic == DROPPED_TOPIC]:
            self._hear_of_dropped(told[-1].payload)
            messages = [message for message in messages if message.topic != DROPPED_TOPIC]
            if not messages:
                return
        self._counters.messages_total += len(messages)
        self._counters.message_bytes_total += sum([len(message.payload) for message in messages])
        promised = [message for message in messages if message.qos]
        connection, packet_ids = self._connection, [message.packet_id for message in promised]
        number = self._returning.delivered(promised)
        self._flight.arrived(len(promised), time.monotonic())
        news, retained = messages, list[Message]()
        if self._returning.is_expecting or True in [message.retain for message in messages]:
            news = [message for message in messages if self._is_news(message)]
            retained = [message for message in news if message.retain]

        def committed() -> None:
            for message in retained:
                self._remembered.was_committed(message.topic, message.payload)
            self._committed(connection, number, packet_ids)

        self._deliver(news, committed)

    def _is_news(self, message: Message) -> bool:
        """Whether a message is for the log; it is acknowledged in any case."""
        if self._returning.is_expected(message) and not message.dup:
            self._counters.redelivered_total += 1
            return False
        if message.retain and self._remembered.is_repeated(message.topic, message.payload):
            self._counters.retained_repeats_total += 1
            return False
        return True

    def _hear_of_dropped(self, payload: bytes) -> None:
        if not payload.isdigit() or len(payload) > MAX_DIGITS:
            return
        if dropped := self._remembered.dropped_since(int(payload)):
            self._counters.broker_dropped_total += dropped
            self._notices.tell(
                "dropped",
                f"the broker has dropped {self._counters.broker_dropped_total} messages for its clients: if we were one, "
                "readings are missing, and its queue is too short (mosquitto: max_queued_messages)",
            )

    def _committed(self, connection: int, number: int, packet_ids: list[int]) -> None:
        if connection != self._connection or not self._is_open:
            return
        self._returning.acknowledged(number)
        self._flight.acknowledged(len(packet_ids), time.monotonic())
        self._acknowledge(packet_ids)
