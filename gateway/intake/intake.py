"""From messages to drafts, and into the log: floods are cut, repeats found, the rest is decoded. Lives on the event loop."""

from __future__ import annotations

from collections.abc import Callable

from gateway.devices.presence import Presence
from gateway.intake.floods import Floods
from gateway.intake.rejections import Rejections
from gateway.intake.repeats.repeats import Arrival, Repeats
from gateway.log import Deposit, Log
from gateway.reading import Draft, Message, Rejected


class Intake:
    """Where a session with the broker hands its messages to."""

    def __init__(self, log: Log, floods: Floods, repeats: Repeats, presence: Presence, rejections: Rejections) -> None:
        self._log, self._commits = log, log.commits
        self._floods, self._repeats, self._presence, self._rejections = floods, repeats, presence, rejections

    def connection_began(self, *, resumed: bool) -> None:
        """The broker accepted a connection; ``resumed`` is whether it knows our session, and goes on with it."""
        self._repeats.connection_began(resumed=resumed)

    def receive(self, messages: list[Message], acknowledge: Callable[[], bool], *, is_behind: bool) -> bool:
        """Append what messages say that came together; returns whether more may come, or the log is full.

        ``acknowledge`` is called when all of it is committed; it returns whether that could be told to the broker.
        ``is_behind`` is whether messages come faster than they are read.
        """
        messages = self._floods.admitted(messages, self._commits.waiting, is_behind=is_behind)
        arrival = self._repeats.arrived(messages)
        drafts: list[Draft] = []
        for message in messages:
            drafts += self._drafts_of(message, arrival)

        def committed() -> None:
            self._repeats.committed(arrival, is_acknowledged=acknowledge())

        self._log.append(Deposit(drafts, b"".join(arrival.receipts), committed, len(messages)))
        return not self._commits.is_full

    def tell_overflows(self, now_ms: int) -> None:
        """Append an entry for each device that lost messages, so that streams and the page tell of it, also later."""
        for draft in self._floods.alerts(now_ms):
            self._log.append(Deposit([draft], messages=0))

    def _drafts_of(self, message: Message, arrival: Arrival) -> list[Draft]:
        """What a message brings. One that meets a fault of ours costs that message, not the gateway (law 9)."""
        drafts: list[Draft] = []
        try:
            for decoded in self._repeats.news(message, arrival):
                made = self._presence.drafts(decoded)
                if isinstance(made, Rejected):
                    self._rejections.count(made)
                else:
                    # Mostly there is nothing else, and nothing to copy.
                    drafts = drafts + made if drafts else made
        except Exception as error:  # noqa: BLE001 - counted, and logged with its traceback
            self._rejections.count(Rejected("fault", f"{len(message.payload)} bytes on {message.topic[:200]!r}"), error)
            return []
        return drafts
