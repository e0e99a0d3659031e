"""mosquitto over WebSocket: MQTT straight into the browser, without a log behind it."""

from __future__ import annotations

from typing import ClassVar

from tests.bench.peers.server import Server
from tests.conftest import need


class MosquittoWebSocket(Server):
    """Published by MQTT at QoS 1, read at QoS 0."""

    name = "mosquitto, WebSocket"
    publishing: ClassVar[str] = "mqtt"
    reading: ClassVar[str] = "websocket"
    path: ClassVar[str] = "/mqtt"

    def command(self) -> list[str]:
        config = self.folder / "websocket.conf"
        config.write_text(f"""
per_listener_settings false
allow_anonymous true
persistence false
user root
max_connections -1
set_tcp_nodelay true
websockets_headers_size 4096
listener {self.publish_port} 127.0.0.1
listener {self.port} 127.0.0.1
protocol websockets
""")
        return [need("mosquitto", "mosquitto"), "-c", str(config)]
