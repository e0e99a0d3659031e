"""The record of one device: its state as committed, what is on the way into the log, and when it was heard. Pure."""

from __future__ import annotations

from math import inf

import msgspec

from gateway.devices.cadence import learned_pause_ms, learned_pause_s
from gateway.devices.wire import DeviceData, Latest, ReadingData, ShownDevice, Status
from gateway.reading import MetricInfo, project

_encode = msgspec.json.Encoder().encode


class DeviceState(msgspec.Struct, omit_defaults=True):
    """What the log says of one device, and what the device store keeps; at most ``max_metrics`` metrics, the first that came.

    Times are Unix milliseconds; ``usual_gap_ms`` is the usual pause between two times of arrival, 0 while none is known.
    """

    device: str
    status: Status = "unknown"
    since: int = 0
    label: str = ""
    model: str = ""
    values: dict[str, Latest] = {}
    metrics: dict[str, MetricInfo] = {}
    last_reading_at_ms: int = 0
    usual_gap_ms: float = 0


class Drafted(msgspec.Struct, frozen=True):
    """What a device will be when the drafts that are on their way to the log are committed; ``newest`` is the last of them."""

    newest: DeviceData
    label: str
    model: str
    metrics: dict[str, MetricInfo]

    @property
    def status(self) -> Status:
        """The status that was drafted last."""
        return self.newest.status

    @property
    def since(self) -> int:
        """When that status began, Unix milliseconds."""
        return self.newest.since


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """The newest reading of a device, while its values are not folded in."""

    reading: ReadingData
    received_at_ms: int
    names: tuple[str, ...]

    def replaces(self, older: Waiting) -> bool:
        """Whether this alone leaves the same behind as the older one and then this, whatever was known before both."""
        new, old = self.reading, older.reading
        return self.names == older.names and new.at >= old.at and not new.retained and not old.retained


class Device:
    """All that is known of one device.

    ``is_committed`` is whether the log holds anything of it. ``drafted`` is there only while drafts of its status or
    description are on their way. ``heard_s`` and ``online_s`` are elapsed seconds: when a reading of it was committed last,
    and when its status last changed, both in this process; minus infinity when neither happened.
    """

    __slots__ = ("_shown", "_usual_s", "_waiting", "drafted", "heard_s", "is_committed", "online_s", "state")

    def __init__(self, state: DeviceState, *, is_committed: bool) -> None:
        self.state, self.is_committed = state, is_committed
        self.drafted: Drafted | None = None
        self.heard_s = self.online_s = -inf
        self._usual_s = 0.0
        self._waiting: Waiting | None = None
        self._shown: bytes | None = None

    # --- drafts ------------------------------------------------------------------------------------------------------

    @property
    def newest(self) -> DeviceState | Drafted:
        """Status and description as drafted last, else as committed."""
        return self.drafted or self.state

    def draft(self, data: DeviceData) -> None:
        """A draft is on its way to the log."""
        before = self.newest
        metrics = {**before.metrics, **data.metrics}
        self.drafted = Drafted(data, data.label or before.label, data.model or before.model, metrics)

    # --- entries -----------------------------------------------------------------------------------------------------

    def apply_reading(self, reading: ReadingData, received_at_ms: int, max_metrics: int, now_s: float | None) -> bool:
        """Keep the newest reading for later: mostly the next one replaces it before anybody looks.

        ``now_s`` is None for one that is read from the log again: it is not heard now. Returns whether no other reading
        waited, so that the state had been whole and was shown.
        """
        newer, waiting = Waiting(reading, received_at_ms, tuple(reading.values)), self._waiting
        self._waiting = newer
        if waiting is None:
            self._shown = None
        elif not newer.replaces(waiting):
            self._fold(waiting, max_metrics)
        if not reading.retained:
            state = self.state
            if now_s is not None and now_s > self.heard_s:
                self._hear(now_s)
            if last_ms := state.last_reading_at_ms:
                state.usual_gap_ms = learned_pause_ms(state.usual_gap_ms, received_at_ms - last_ms)
            state.last_reading_at_ms = received_at_ms
        return waiting is None

    def _hear(self, now_s: float) -> None:
        """Learn the pause in elapsed seconds; readings that are committed together count as one."""
        usual_s = self.usual_s
        self._usual_s = usual_s if self.heard_s == -inf else learned_pause_s(usual_s, now_s - self.heard_s)
        self.heard_s = now_s

    @property
    def usual_s(self) -> float:
        """The usual pause in seconds: as heard in this process, else as the log's times of arrival say."""
        return self.state.usual_gap_ms / 1000 if self.heard_s == -inf else self._usual_s

    def apply_device(self, told: DeviceData, max_metrics: int, now_s: float | None) -> None:
        """A status or description was committed."""
        self.settle(max_metrics)
        self._shown = None
        state = self.state
        if now_s is not None and (told.status, told.since) != (state.status, state.since):
            self.online_s = now_s
        state.status, state.since = told.status, told.since
        state.label, state.model = told.label or state.label, told.model or state.model
        for metric, about in told.metrics.items():
            if metric in state.metrics or len(state.metrics) < max_metrics:
                state.metrics[metric] = about
                if latest := state.values.get(metric):
                    latest.unit, latest.label = about.unit, about.label
        if self.drafted is not None and told == self.drafted.newest:
            self.drafted = None

    def settle(self, max_metrics: int) -> None:
        """Fold the newest reading in: called before anybody looks at the state."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._fold(waiting, max_metrics)

    def _fold(self, waiting: Waiting, max_metrics: int) -> None:
        reading, state = waiting.reading, self.state
        for metric, value in reading.values.items():
            held = state.values.get(metric)
            if held is None and len(state.values) >= max_metrics:
                continue
            # A report that was delayed on its way must not replace a newer one.
            if held is None or reading.at >= held.at or held.retained:
                about = state.metrics.get(metric) or MetricInfo()
                state.values[metric] = Latest(
                    value, reading.at, waiting.received_at_ms, about.unit, about.label, reading.retained
                )

    # --- what is told ------------------------------------------------------------------------------------------------

    def shown(self, metrics: frozenset[str]) -> bytes:
        """The settled state as JSON for browsers; with ``metrics``, only those."""
        if metrics:
            return _encode(_shown(self.state, metrics))
        if self._shown is None:
            self._shown = _encode(_shown(self.state))
        return self._shown


def _shown(state: DeviceState, metrics: frozenset[str] = frozenset()) -> ShownDevice:
    values = project(state.values, metrics)
    return ShownDevice(state.device, state.status, state.since, values, state.label, state.model)
