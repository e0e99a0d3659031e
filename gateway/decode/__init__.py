"""Decode: one message in, readings, device infos and rejections out. Pure: no I/O, and the time comes with the message.

Nothing a payload holds can raise here (law 9): what cannot be taken becomes a `Rejected` with a reason of a closed list.
"""

from gateway.decode.decoder import Decoder
from gateway.decode.limits import Limits

__all__ = ["Decoder", "Limits"]
