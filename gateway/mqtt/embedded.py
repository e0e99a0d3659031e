"""The embedded broker: rumqttd from the wheel `iotcore`, in a child process that ends with the gateway.

It keeps nothing over a restart and has no passwords: for demos, tests and small set-ups; see docs/operate.md.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from gateway.config import EmbeddedBroker
from gateway.errors import BrokerError

_log = logging.getLogger(__name__)

START_TIMEOUT_S = 10.0
KEEP_INTERVAL_S = 1.0
MAX_PAYLOAD_BYTES = 2 * 2**20
"""Above this the broker cuts the publisher off; 20,480 unless told otherwise, less than some discovery messages."""

HOW_TO_BRING_ONE = (
    "there is no embedded broker for this platform. Install one (Debian: apt install mosquitto) and name it: "
    "--broker mqtt://localhost:1883, or mqtt.broker in config.toml"
)


def _is_taken(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


class RunningBroker:
    """A started broker; `keep` it, and `stop` it in the end."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    async def keep(self) -> None:
        """Start the child again whenever it ends; raises BrokerError when that cannot be done."""
        while True:
            await asyncio.sleep(KEEP_INTERVAL_S)
            if not self._broker.is_running:
                _log.error("the embedded broker ended by itself: starting it again, without the sessions it held")
                await _start(self._broker)

    async def stop(self) -> None:
        """End the child process."""
        await asyncio.to_thread(self._broker.stop)


async def start(settings: EmbeddedBroker) -> RunningBroker:
    """Start the broker and wait until it accepts connections; raises BrokerError with what to do about it."""
    try:
        from iotcore import Broker  # noqa: PLC0415 - the wheel exists for some platforms only
    except ImportError as error:
        raise BrokerError(HOW_TO_BRING_ONE) from error
    reach = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    if await asyncio.to_thread(_is_taken, reach, settings.port):
        raise BrokerError(
            f"port {settings.port} of {reach} is in use, perhaps by a broker: use that one with "
            f"--broker mqtt://{reach}:{settings.port}, or give the embedded one another port with "
            "--set embedded_broker.port=…"
        )
    try:
        broker = Broker(port=settings.port, listen=settings.host, max_payload_size=MAX_PAYLOAD_BYTES)
    except (OSError, RuntimeError, ValueError) as error:
        raise BrokerError(f"embedded_broker.host {settings.host!r} cannot be used: {error}") from error
    await _start(broker)
    _log.info("embedded broker on %s:%d", settings.host, settings.port)
    return RunningBroker(broker)


async def _start(broker: Any) -> None:
    try:
        await asyncio.to_thread(broker.start, START_TIMEOUT_S)
    except (OSError, RuntimeError) as error:
        raise BrokerError(f"the embedded broker did not start on port {broker.port}: {error}") from error
