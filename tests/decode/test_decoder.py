from __future__ import annotations

from gateway.config import load
from gateway.decode import make_decoder
from gateway.reading import Message, Reading


def test_messages_are_decoded_by_the_configured_patterns_and_limits() -> None:
    decoder = make_decoder(load(None, [("limits.max_device_bytes", "8")], {}))
    said = decoder.decode(Message("sensors/boiler/temperature", b"61.5", 1, False, False, 1, 5))
    assert [Reading("boiler", {"temperature": 61.5}, 5)] == said
    assert ["boiler", "", ""] == [decoder.payer(f"sensors/{device}/x") for device in ("boiler", "longer-name", "a\n")]
