"""Whether the machine went down while the log was open.

With ``durability = "process"`` a power cut takes the newest commits, and nothing in the files tells how many. So the log
leaves the name of the running boot in its folder while it is open; who finds another boot's name there knows that entries
may be missing, and the seam of the new life says so to every stream that crosses it.
"""

from __future__ import annotations

import os
from pathlib import Path

NAME = "boot"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux gives each boot an id; elsewhere a power cut goes unnoticed here."""


def begin(folder: Path) -> bool:
    """Leave this boot's name; returns whether that of another one was there. Raises OSError."""
    path = folder / NAME
    found = path.read_text().strip() if path.exists() else ""
    current = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
    with path.open("w") as file:
        file.write(current + "\n")
        file.flush()
        # The name must survive what it is there to tell.
        os.fsync(file.fileno())
    return bool(found and current) and found != current


def end(folder: Path) -> None:
    """The log is closed in order: whatever happens to the machine now, nothing is lost."""
    (folder / NAME).unlink(missing_ok=True)
