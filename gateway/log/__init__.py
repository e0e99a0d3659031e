"""The log: one ordered record of all that devices said, kept by a store first and visible in memory after that.

The laws. Everything else in the gateway leans on them; `tests/test_laws.py` holds them.

1. Only the log gives numbers. They rise, and none is ever given twice: not after a restart, a power cut, a trim or a
   deleted file. ``next = max(last + 1_000_000, unix_seconds * 1_000_000)`` whenever the log opens, then +1 for each
   entry; below 2^53, so safe in JavaScript. After the opening the order needs no clock: numbers order the log, an honest
   clock tells times.
2. An entry is visible only after its commit returned; the broker is told (PUBACK) only after that too.
3. A frame is encoded once. Replayed bytes equal live bytes.
4. A stream owns a position, a set of devices, a mode and one bit. Nothing in it grows, however slow its reader is.
5. A wake carries no data. One lost is repaired by the next heartbeat; one too many is harmless.
6. No read stays open across a send.
7. Whoever asks for what is gone is told, in the stream (``event: gap``). The floor rises before entries go, and is
   checked before and after each read; a position above the head is a gap too.
8. Everything has a limit, each limit has a counter, and hitting it is visible to the person it concerns. Limits count
   what is really spent (time of a turn, bytes, descriptors), not items.
9. Nothing a device, a broker or a browser sends can stop the gateway, grow it without bound, or reach another reader
   as markup.

What is where:

* `Log` is what the other stations see: head and floor (`Span`), the newest entries in memory (`Tail`), who is to be woken
  (`Watches`), and what waits to be committed (`GroupCommit`). All of it lives on the event loop and touches no file.
* `Store` is the protocol of what keeps the entries; `sqlite/` is the one for one machine, with threads of its own. Nothing
  outside of it imports from it but `gateway/service.py`, which opens it, and `gateway/stations.py`, which counts what
  other files take in its disk budget.

A position means "I have everything up to and including this". Each opening of the log skips numbers, which is a seam. A
position inside a seam was given out by an opening whose last entries did not survive (a power cut), so it is answered with
a gap of reason ``lost``; where a seam does not join what is held before it, entries are known to be missing, and everybody
who comes there is told ``corrupt``.
"""

from gateway.log.group_commit import Deposit
from gateway.log.log import Log
from gateway.log.watch import Watch

__all__ = ["Deposit", "Log", "Watch"]
