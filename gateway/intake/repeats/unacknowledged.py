"""Messages that were not acknowledged when a connection broke: the broker sends them again on the next one. Pure.

They come first of all and in the old order (MQTT 3.1.1, 4.4 and 4.6), with the DUP flag and the same packet id, and
`receipts.py` knows them by that. Some brokers, the embedded one among them, give them new packet ids and leave the flag out
[MQTT-3.3.1-1]. So what was delivered and not acknowledged is remembered, and the first messages of a resumed session are
compared with it, one by one.

The first message that differs ends the comparison: an equal message that comes later is news. A retained message may be
missing, as it comes again because we subscribe again, and `retained.py` knows it.

Bounded by `mqtt.window`, and by what waits for the disk where a broker sends more than its window.
"""

from __future__ import annotations

from collections import deque

from gateway.reading import Message


class Unacknowledged:
    """Messages at QoS 1, by delivery: `delivered`, then `acknowledged`, or expected again after `connection_began`."""

    def __init__(self) -> None:
        self._deliveries: dict[int, list[Message]] = {}
        self._next = 0
        self._expected: deque[Message] = deque()

    def connection_began(self, *, resumed: bool) -> None:
        """A new connection: what is not acknowledged by now comes again, if the session was ``resumed``."""
        held = [message for messages in self._deliveries.values() for message in messages]
        self._expected = deque([*held, *self._expected] if resumed else ())
        self._deliveries.clear()

    def delivered(self, messages: list[Message]) -> int:
        """Remember messages that came together; returns the number to acknowledge them by."""
        self._next += 1
        self._deliveries[self._next] = messages
        return self._next

    def acknowledged(self, number: int) -> None:
        """The broker was told that we have these messages, so they do not come again."""
        self._deliveries.pop(number, None)

    @property
    def is_expecting(self) -> bool:
        """Whether any message is still to come again."""
        return bool(self._expected)

    def is_expected(self, message: Message) -> bool:
        """Whether this message is the next of those that were delivered before, and must come again.

        A retained one never is: nothing tells whether it comes again because it was not acknowledged.
        """
        if not self._expected or not message.qos:
            return False
        if message.retain:
            if self._expected[0].retain and _is_same(self._expected[0], message):
                # It has come again, so an equal one without the flag is news.
                self._expected.popleft()
            return False
        while self._expected:
            first = self._expected.popleft()
            if _is_same(first, message):
                return True
            if not first.retain:
                self._expected.clear()
        return False


def _is_same(one: Message, other: Message) -> bool:
    return (one.topic, one.payload) == (other.topic, other.payload)
