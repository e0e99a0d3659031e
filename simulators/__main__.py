"""``python -m simulators`` is ``sensor-gateway simulate``."""

from simulators.command import simulate

if __name__ == "__main__":
    simulate(prog_name="python -m simulators")
