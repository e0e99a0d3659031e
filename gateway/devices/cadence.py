"""How long a device usually pauses between two readings, learned from its pauses. Pure.

The pause is learned twice. `learned_pause_ms` folds the times of arrival in the log, so that it can be learned from the
log again; they are wall times, and a wall clock that is set makes pauses that never were, so each one is bounded.
`learned_pause_s` folds elapsed seconds while the gateway runs: nobody sets that clock, and silence is judged by it.
"""

from __future__ import annotations

GAP_WEIGHT = 0.2
"""How much the newest pause counts in the usual one: a new cadence is learned in about ten readings."""

SILENT_AFTER_GAPS = 10
"""A device is silent after this many of its usual pauses, or `devices.silent_after_s`, whichever is longer."""

LONGEST_FIRST_MS = 3_600_000
"""The first pause, which no usual one bounds yet, counts as at most an hour."""

SHORTEST_BOUND_MS = 60_000
"""A pause up to a minute counts whole. Else a device whose topics come a millisecond apart, once an hour, would need days to
learn that hour."""


def learned_pause_ms(usual_ms: float, pause_ms: float) -> float:
    """The usual pause, after one more between two times of arrival; ``usual_ms`` is 0 while none is known.

    A negative pause says nothing: the clock was set back. One pause counts as at most `SILENT_AFTER_GAPS` usual ones, so a
    clock that was set ahead by days teaches no cadence of days.
    """
    if pause_ms < 0:
        return usual_ms
    if not usual_ms:
        return min(pause_ms, LONGEST_FIRST_MS)
    if pause_ms > SHORTEST_BOUND_MS and pause_ms > SILENT_AFTER_GAPS * usual_ms:
        pause_ms = max(SILENT_AFTER_GAPS * usual_ms, SHORTEST_BOUND_MS)
    return usual_ms + (pause_ms - usual_ms) * GAP_WEIGHT


def learned_pause_s(usual_s: float, pause_s: float) -> float:
    """The usual pause, after one more in elapsed seconds; ``usual_s`` is 0 while none is known."""
    return usual_s + (pause_s - usual_s) * GAP_WEIGHT if usual_s else pause_s
