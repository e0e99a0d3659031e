"""The messages of a session on their way to the log, and their acknowledgements on the way back.

* A PUBACK goes out after the commit, and only on the connection that brought the message: after a reconnect the same
  packet id may mean another message.
* What the broker tells of itself is for people, not for the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.counters import Counters
from gateway.mqtt.drops import DROPPED_TOPIC, Drops
from gateway.mqtt.window import Window
from gateway.reading import Message


class Sink(Protocol):
    """Where the messages of a session go. Called on the event loop; must not block."""

    def connection_began(self, *, resumed: bool) -> None:
        """The broker accepted a connection; ``resumed`` is whether it knows our session, and goes on with it."""

    def receive(self, messages: list[Message], acknowledge: Callable[[], bool], *, is_behind: bool) -> bool:
        """Messages came together; returns whether more may come.

        ``acknowledge`` is to be called when they are committed; it returns whether the broker could be told.
        ``is_behind`` is whether messages come faster than they are read.
        """


class Connection(Protocol):
    """What a delivery needs of the connection."""

    @property
    def is_behind(self) -> bool:
        """Whether messages come faster than they are read."""

    def acknowledge(self, packet_ids: list[int]) -> None:
        """Send the PUBACKs of these messages."""

    def pause(self) -> None:
        """Stop reading: the sink is full."""


class Delivery:
    """`begin` and `end` it with each connection that the broker accepted; `messages_came` in between.

    ``new_window`` makes the in-flight window of a connection. ``now_s`` is the loop's time.
    """

    def __init__(
        self,
        sink: Sink,
        connection: Connection,
        drops: Drops,
        counters: Counters,
        new_window: Callable[[], Window],
        now_s: Callable[[], float],
    ) -> None:
        self._sink, self._connection, self._drops, self._counters = sink, connection, drops, counters
        self._new_window, self._now_s = new_window, now_s
        self._number, self._is_open = 0, False
        self._window = new_window()

    @property
    def limit(self) -> int:
        """How many messages the broker sends before it waits for us; 0 while that was not found."""
        return self._window.limit

    def begin(self, *, resumed: bool) -> None:
        """The broker accepted a connection; ``resumed`` is whether the session goes on."""
        self._number += 1
        self._is_open = True
        self._window = self._new_window()
        self._sink.connection_began(resumed=resumed)

    def end(self) -> None:
        """The connection is lost, and with it whatever could be acknowledged on it."""
        self._is_open = False

    def messages_came(self, messages: list[Message]) -> None:
        """Count messages and hand them to the sink, which may have us pause."""
        if told := [message for message in messages if message.qos == 0 and message.topic == DROPPED_TOPIC]:
            self._drops.told(told[-1].payload)
            messages = [message for message in messages if message.topic != DROPPED_TOPIC]
            if not messages:
                return
        self._counters.messages_total += len(messages)
        self._counters.message_bytes_total += sum([len(message.payload) for message in messages])
        now_s, number, window = self._now_s(), self._number, self._window
        packet_ids = [message.packet_id for message in messages if message.qos]

        def acknowledge() -> bool:
            if number != self._number or not self._is_open:
                return False
            window.acknowledged(len(packet_ids), self._now_s())
            self._connection.acknowledge(packet_ids)
            return True

        has_room = self._sink.receive(messages, acknowledge, is_behind=self._connection.is_behind)
        # Only now: a commit that the window hurries is to hold these messages.
        window.arrived(len(packet_ids), now_s)
        if not has_room:
            self._connection.pause()
