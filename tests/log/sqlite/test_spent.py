from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway.log.sqlite import spent as spent_module
from gateway.log.sqlite.spent import Spent


def test_what_a_call_writes_is_counted_also_when_it_fails(tmp_path: Path) -> None:
    total = Spent()
    assert 7 == total.counted(lambda: (tmp_path / "a").write_bytes(b"1234567"))

    def fails() -> None:
        (tmp_path / "b").write_bytes(b"123")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        total.counted(fails)
    assert 10 == total.bytes


def test_what_other_threads_write_is_not(tmp_path: Path) -> None:
    total = Spent()
    other = threading.Thread(target=(tmp_path / "a").write_bytes, args=[b"1234567"])

    def meanwhile() -> None:
        other.start()
        other.join()

    total.counted(meanwhile)
    assert 0 == total.bytes


def test_where_the_system_does_not_tell_nothing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spent_module, "IO", tmp_path / "none")
    total = Spent()
    total.counted(lambda: (tmp_path / "a").write_bytes(b"1234567"))
    assert (None, 0) == (spent_module.thread_bytes(), total.bytes)
