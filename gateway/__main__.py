"""``python -m gateway``."""

from gateway.commands.cli import main

if __name__ == "__main__":
    main()
