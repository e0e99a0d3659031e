"""``python -m tests.bench NAME [options]``."""

import click

from tests.bench.latency import latency
from tests.bench.soak import soak


@click.group()
def main() -> None:
    """Measure the whole gateway: a real mosquitto, MQTT at QoS 1 in, commit, SSE out."""


main.add_command(soak)
main.add_command(latency)
main()
