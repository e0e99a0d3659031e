"""Messages that a broker sends again on a new connection without saying so. Pure.

What was not acknowledged when a connection broke is sent again on the next one, first of all and in the old order
(MQTT 3.1.1, 4.4 and 4.6), with the DUP flag and the same packet id. `log/packets.py` knows them by that. Some brokers, the
embedded one among them, number them anew and leave the flag out [MQTT-3.3.1-1]. So what was delivered and not acknowledged
is remembered, and the first messages of a resumed session that equal it, one by one, are it.

The first that differs ends the comparison: an equal message that comes later is news. A retained one may be passed over:
it comes again as such, and `remembered.py` knows it. Bounded by `mqtt.window`, and by what waits for the disk where a
broker sends more than that.
"""

from __future__ import annotations

from collections import deque

from gateway.reading import Message


class Returning:
    """Messages at QoS 1 by delivery: ``delivered``, then ``acknowledged``, or expected again after ``begin``."""

    def __init__(self) -> None:
        self._batches: dict[int, list[Message]] = {}
        self._next = 0
        self._expected: deque[Message] = deque()

    def begin(self, *, resumed: bool) -> None:
        """A new connection: what is not acknowledged by now comes again, if the session goes on."""
        held = [message for batch in self._batches.values() for message in batch]
        self._expected = deque([*held, *self._expected] if resumed else ())
        self._batches.clear()

    def delivered(self, messages: list[Message]) -> int:
        """Remember messages; returns the number to acknowledge them by."""
        self._next += 1
        self._batches[self._next] = messages
        return self._next

    def acknowledged(self, number: int) -> None:
        """They do not come again."""
        self._batches.pop(number, None)

    @property
    def is_expecting(self) -> bool:
        """Whether any message is still to come again."""
        return bool(self._expected)

    def is_expected(self, message: Message) -> bool:
        """Whether this message is the next of those that were delivered before, and must come again."""
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
