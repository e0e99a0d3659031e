"""Stock paho that receives, acknowledges and does nothing else: `python stock_paho.py PORT`, or as a server under load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import paho.mqtt.client as paho

WINDOW = 1000


def receive(port: int) -> None:
    """Take everything at QoS 1 from a broker of this machine, for ever."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="stock", clean_session=False, manual_ack=True)
    client.max_inflight_messages_set(WINDOW)
    client.on_connect = lambda *_: client.subscribe("sensors/#", 1)
    client.on_message = lambda _client, _userdata, message: client.ack(message.mid, message.qos)
    client.reconnect_delay_set(1, 1)
    client.connect_async("127.0.0.1", port)
    client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    receive(int(sys.argv[1]))
else:
    from tests.bench.machine import SERVER_CORE
    from tests.bench.peers.server import Server, start_on

    class StockPaho(Server):
        """The generator is its broker; there is nothing to read from it."""

        name: ClassVar[str] = "stock paho, receiving only"

        def command(self) -> list[str]:
            return [sys.executable, str(Path(__file__)), str(self.publish_port)]

        def options(self) -> dict[str, Any]:
            return {"publish_port": self.publish_port, "publishing": "feed", "server": self.pid}

        def start(self) -> None:
            self.process = start_on(SERVER_CORE, self.command(), self.folder, "paho.log")
