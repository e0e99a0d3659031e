"""Tells from the pauses between arrivals when a broker has sent all it may, and waits for our acknowledgements. Pure.

A broker sends a window of messages, and then none until some of them are acknowledged. How large its window is MQTT 3.1.1
does not tell. When commits are far apart, the window is full long before the next one, and readings pile up at the broker
until it drops some. From here a full window looks like silence, so a commit should begin when the broker falls silent.

What follows the acknowledgements tells what the silence was. If messages come soon after them, the broker had waited, and
the pauses learned so far count no more. If the silence goes on, the devices had nothing to say, and that pause becomes the
usual one.
"""

from __future__ import annotations

PAUSES = 10
"""A broker is quiet after this number of usual pauses without a message. Of independent arrivals one in 22,000 is followed
by a pause that long."""

LONGEST_S = 1.0
"""A broker is called quiet after this time in any case; devices that report more seldom write little anyhow."""

JUDGED_PAUSES = 2
"""A silence of more than this number of usual pauses before our acknowledgements is judged by what follows them."""

WEIGHT = 0.05
"""How much the newest pause counts in the usual one."""

WEIGHT_AFTER = 0.2
"""How much a pause after our acknowledgements counts in the usual one, where the silence before them was too short to be
judged. Only the time since the acknowledgements is the pause then, because the broker may have waited until they came. A
broker with a window of one message shows no other pauses: if these did not count, one whose devices send a little faster
than we commit would be held up for good."""


class Quiet:
    """Watches one connection. ``shortest_s`` is the shortest time without a message after which it is called quiet.

    Times are seconds of any clock that does not go back.
    """

    def __init__(self, shortest_s: float) -> None:
        self._shortest_s = shortest_s
        self._usual_s = 0.0
        self._arrived_s: float | None = None
        # When what arrived last was acknowledged; None until all of it is.
        self._acknowledged_s: float | None = None

    @property
    def after_s(self) -> float:
        """Time without a message after which the broker is called quiet."""
        return max(self._shortest_s, min(PAUSES * self._usual_s, LONGEST_S))

    @property
    def begins_s(self) -> float:
        """When it will be called quiet, if nothing arrives until then; a time long ago where nothing ever came."""
        return (self._arrived_s or 0.0) + self.after_s

    def arrived(self, now_s: float) -> None:
        """Messages came."""
        if self._arrived_s is not None:
            self._learn(self._arrived_s, now_s)
        self._arrived_s, self._acknowledged_s = now_s, None

    def _learn(self, before_s: float, now_s: float) -> None:
        """Messages came at ``before_s``, and the next ones now."""
        if self._acknowledged_s is None:
            self._usual_s += WEIGHT * (now_s - before_s - self._usual_s)
            return
        silence_s, after_s = self._acknowledged_s - before_s, now_s - self._acknowledged_s
        if silence_s > JUDGED_PAUSES * self._usual_s:
            had_waited = after_s <= silence_s
            self._usual_s = 0.0 if had_waited else now_s - before_s
        else:
            self._usual_s += WEIGHT_AFTER * (after_s - self._usual_s)

    def all_acknowledged(self, now_s: float) -> None:
        """All that arrived was committed and is acknowledged."""
        if self._acknowledged_s is None:
            self._acknowledged_s = now_s
