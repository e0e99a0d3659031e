"""Decode: one message in, readings, device infos and rejections out. Pure: no I/O, and the time comes with the message.

Nothing a payload holds can raise here (law 9): what cannot be used becomes a `Rejected` with a reason of a closed list.
"""

from gateway.decode.conventions.convention import Convention
from gateway.decode.conventions.topics import Topics
from gateway.decode.decoder import make_decoder

__all__ = ["Convention", "Topics", "make_decoder"]
