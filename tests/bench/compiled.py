"""C programs of the benchmarks, built once for each state of their sources."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from tests.conftest import need


def compiled(*sources: Path) -> Path:
    """The program of these sources; headers beside them count as sources too."""
    headers = sorted(sources[0].parent.glob("*.h"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*sources, *headers])).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"sensor-gateway-{sources[0].stem}-{os.getuid()}-{digest}"
    if not built.exists():
        partial = built.with_suffix(f".{os.getpid()}")
        command = [need("gcc", "gcc"), "-O2", "-std=gnu11", "-o", str(partial), *map(str, sources), "-lpthread"]
        subprocess.run(command, check=True)
        partial.rename(built)
    return built
