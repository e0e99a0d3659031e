from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.log.sqlite.faults import DamagedError, translated_sqlite


def test_a_bad_sector_is_damage(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    with pytest.raises(DamagedError), translated_sqlite("reading", tmp_path):
        raise error
