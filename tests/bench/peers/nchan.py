"""nginx with Nchan: published by HTTP POST, read as EventSource."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tests.bench.peers.server import Server
from tests.conftest import need

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


class Nchan(Server):
    """One worker on one core. It keeps its newest messages in memory, for replay."""

    name = "nginx + Nchan"
    publishing: ClassVar[str] = "nchan"

    def __init__(self, folder: Path, kept: int = 20_000) -> None:
        super().__init__(folder)
        self.publish_port = self.port
        self._kept = kept

    def command(self) -> list[str]:
        if not MODULE.exists():
            need("libnginx-mod-nchan", "libnginx-mod-nchan")
        config = self.folder / "nginx.conf"
        config.write_text(f"""
load_module {MODULE};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
error_log {self.folder}/nginx-error.log;
pid {self.folder}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body;
  proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi;
  uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  nchan_shared_memory_size 256M;
  keepalive_requests 100000000;
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    tcp_nodelay on;
    location ~ /publish/(\\w+)$ {{
      nchan_publisher http;
      nchan_channel_id $1;
      nchan_message_buffer_length {self._kept};
      nchan_message_timeout 1h;
    }}
    location ~ /events/(\\w+)$ {{
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }}
    location ~ /replay/(\\w+)$ {{
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_subscriber_first_message oldest;
    }}
  }}
}}
""")
        # As root nginx would change to www-data, which may not enter the folder of a test.
        return [need("nginx", "nginx"), "-c", str(config), "-g", "user root;"]
