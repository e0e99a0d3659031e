"""The one place that knows whether a message was seen before; it is asked once for each message that is admitted.

There are two answers to "we have seen this", and they differ in what the decoder sees:

* The packet is in the log already: the broker did not get our acknowledgement and sends it again. It is not decoded, because
  a decoder with state must not change it a second time by the same message. `receipts.py` and `unacknowledged.py` know these.
* A retained message says nothing new: we subscribed again, and the broker sent what it keeps. It is decoded, because a decoder
  with state needs each description after a start; only what it would add to the log is left out. `retained.py` knows these.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.counters import Counters
from gateway.devices.registry import Registry
from gateway.intake.repeats.receipts import Receipts, content_hash
from gateway.intake.repeats.retained import Retained, says_nothing_new
from gateway.intake.repeats.unacknowledged import Unacknowledged
from gateway.reading import Decoded, Message, Reading

Decode = Callable[[Message], list[Decoded]]


class Arrival:
    """Messages that came together, on their way into the log; ``receipts`` are to be stored with them.

    ``number`` is what they are acknowledged by; ``is_expected`` is whether some of them may come again without DUP.
    """

    __slots__ = ("is_expected", "number", "receipts", "retained")

    def __init__(self, number: int, *, is_expected: bool) -> None:
        self.number, self.is_expected = number, is_expected
        self.receipts: list[bytes] = []
        self.retained: list[tuple[str, int]] = []


class Repeats:
    """Wraps ``decode``: say `arrived`, then `news` for each message, then `committed` when they are in the log.

    ``receipts`` begin with the stored ones. ``registry`` says what is known of devices; only what is committed is in it.
    """

    def __init__(
        self, decode: Decode, receipts: Receipts, retained: Retained, registry: Registry, counters: Counters
    ) -> None:
        self._decode, self._registry, self._counters = decode, registry, counters
        self._receipts, self._retained = receipts, retained
        self._unacknowledged = Unacknowledged()

    def connection_began(self, *, resumed: bool) -> None:
        """The broker accepted a connection; ``resumed`` is whether it knows our session, and goes on with it."""
        self._unacknowledged.connection_began(resumed=resumed)
        if not resumed:
            self._receipts.forget()

    def arrived(self, messages: list[Message]) -> Arrival:
        """Messages came together: those at QoS 1 come again unless they are acknowledged."""
        number = self._unacknowledged.delivered([message for message in messages if message.qos])
        return Arrival(number, is_expected=self._unacknowledged.is_expecting)

    def news(self, message: Message, arrival: Arrival) -> list[Decoded]:
        """What the message says that is to be logged; it is decoded unless the packet is in the log already."""
        if message.qos:
            hashed = content_hash(message.topic, message.payload)
            # Both are seldom so: no call is made for the usual message.
            if (message.dup or arrival.is_expected) and self._is_in_log(message, hashed):
                self._counters.redelivered_total += 1
                return []
            arrival.receipts.append(self._receipts.add(message.packet_id, hashed))
        if message.retain:
            return self._news_of_retained(message, arrival)
        return self._decode(message)

    def _is_in_log(self, message: Message, hashed: int) -> bool:
        # With DUP, packet id and content decide: that broker says what it sends again.
        if self._unacknowledged.is_expected(message) and not message.dup:
            return True
        return message.dup and self._receipts.knows(message.packet_id, hashed)

    def _news_of_retained(self, message: Message, arrival: Arrival) -> list[Decoded]:
        hashed = content_hash(message.topic, message.payload)
        if self._retained.came_before(message.topic, hashed):
            self._counters.retained_repeats_total += 1
            self._decode(message)
            return []
        arrival.retained.append((message.topic, hashed))
        return [said for said in self._decode(message) if not self._is_known(said)]

    def _is_known(self, said: Decoded) -> bool:
        return isinstance(said, Reading) and says_nothing_new(said, self._registry.get(said.device))

    def committed(self, arrival: Arrival, *, is_acknowledged: bool) -> None:
        """The messages are in the log; ``is_acknowledged`` is whether their PUBACKs could be sent."""
        for topic, hashed in arrival.retained:
            self._retained.committed(topic, hashed)
        if is_acknowledged:
            self._unacknowledged.acknowledged(arrival.number)
