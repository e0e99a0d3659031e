from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import frame
from gateway.devices import store as store_module
from gateway.devices.registry import Checkpoint, Registry
from gateway.devices.store import MAX_POSITION, VERSION, DeviceStore
from gateway.errors import DataError
from gateway.reading import Draft, Entry
from tests.log.parts import fast_folder, halve, overwrite, zero_header


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.sqlite3"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "TIMEOUT_S", 0.01)


def save(store: DeviceStore, states: dict[str, bytes], position: int, *, is_whole: bool = False) -> bool:
    return store.save(Checkpoint(states, position, is_whole)).is_done


def saved(path: Path, states: dict[str, bytes], position: int) -> DeviceStore:
    """A store whose file holds just this."""
    store = DeviceStore(path)
    assert save(store, states, position, is_whole=True)
    return store


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as other:
        version: int = other.execute("PRAGMA user_version").fetchone()[0]
    return version


def test_what_is_saved_is_loaded(path: Path) -> None:
    saved(path, {"a": b'{"device":"a"}', "k\u00fcche": b"{}"}, 42)
    assert ({"a": b'{"device":"a"}', "k\u00fcche": b"{}"}, 42) == DeviceStore(path).load()


def test_a_save_changes_only_what_it_names(path: Path) -> None:
    assert save(saved(path, {"a": b"1", "b": b"2"}, 1), {"b": b"3"}, 2)
    assert ({"a": b"1", "b": b"3"}, 2) == DeviceStore(path).load()


def test_a_whole_checkpoint_leaves_nothing_else_in_the_file(path: Path) -> None:
    assert save(saved(path, {"a": b"1", "b": b"2"}, 1), {"b": b"3"}, 2, is_whole=True)
    assert ({"b": b"3"}, 2) == DeviceStore(path).load()


def test_a_file_that_is_not_there_knows_nothing_and_wants_all_devices(path: Path) -> None:
    store = DeviceStore(path)
    assert ({}, 0) == store.load()
    assert store.wants_whole
    assert not save(store, {"a": b"1"}, 1)
    assert save(store, {"a": b"1"}, 1, is_whole=True)
    assert not store.wants_whole


def test_a_loaded_file_wants_only_what_changed(path: Path) -> None:
    saved(path, {"a": b"1"}, 1)
    store = DeviceStore(path)
    store.load()
    assert not store.wants_whole
    assert save(store, {"b": b"2"}, 2)


@pytest.mark.parametrize("harm", [zero_header, overwrite, halve])
@pytest.mark.parametrize("is_noticed_at_load", [True, False])
def test_a_damaged_file_is_told_and_written_anew_with_all_devices(
    path: Path, harm: Callable[[Path], None], is_noticed_at_load: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store = saved(path, {f"device {n}": b"{}" * 200 for n in range(100)}, 42)
    harm(path)
    if is_noticed_at_load:
        assert ({}, 0) == store.load()
    tries = [save(store, {"a": b"1"}, 43 + n, is_whole=store.wants_whole) for n in range(3)]
    assert tries[-1]
    assert "cannot be read" in caplog.text or "is damaged" in caplog.text or not is_noticed_at_load
    states, position = DeviceStore(path).load()
    # A save may not notice what it does not touch: then the next start does.
    assert (states, position) == ({}, 0) or (b"1", 45) == (states["a"], position)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE device SET state = NULL",
        "UPDATE device SET state = x'ff'",
        "UPDATE position SET position = -1",
        f"UPDATE position SET position = {MAX_POSITION}",
        "UPDATE position SET position = 'x'",
        "DROP TABLE device",
    ],
)
def test_values_that_make_no_sense_are_not_believed(path: Path, change: str) -> None:
    saved(path, {"a": b"1"}, 42)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(change)
    store = DeviceStore(path)
    assert ({}, 0) == store.load()
    assert save(store, {"b": b"2"}, 50, is_whole=True)
    assert ({"b": b"2"}, 50) == DeviceStore(path).load()


@pytest.mark.parametrize("change", ["DELETE FROM position", "UPDATE position SET position = 7", "DROP TABLE position"])
def test_changes_are_not_written_on_top_of_another_files_position(path: Path, change: str) -> None:
    """Put back from a copy, for one: a newer position would claim what the copy lacks."""
    store = saved(path, {"a": b"1", "b": b"1"}, 42)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(change)
    assert not save(store, {"b": b"2"}, 50)
    assert store.wants_whole
    assert save(store, {"a": b"1", "b": b"2"}, 50, is_whole=True)
    assert ({"a": b"1", "b": b"2"}, 50) == DeviceStore(path).load()


def test_a_table_that_is_not_ours_is_written_anew(path: Path) -> None:
    store = saved(path, {"a": b"1"}, 42)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("ALTER TABLE device ADD COLUMN more")
    assert [False, True] == [save(store, {"a": b"1"}, 43, is_whole=store.wants_whole) for _ in range(2)]
    assert ({"a": b"1"}, 43) == DeviceStore(path).load()


def test_a_folder_that_is_gone_is_told_once_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "gone" / "devices.sqlite3"
    store = DeviceStore(path)
    assert [False, False] == [save(store, {}, 1, is_whole=True) for _ in range(2)]
    assert [f"{path} cannot be written, trying again: unable to open database file"] == caplog.messages


def test_a_locked_file_loses_nothing_and_is_written_later(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = saved(path, {"a": b"1"}, 1)
    with locked(path):
        failed = store.save(Checkpoint({"a": b"2"}, 2, is_whole=False))
    assert (False, store_module.SYNCS) == failed
    assert [f"{path} cannot be written, trying again: database is locked"] == caplog.messages
    assert ({"a": b"1"}, 1) == DeviceStore(path).load()
    assert save(store, {"a": b"2"}, 2)
    assert ({"a": b"2"}, 2) == DeviceStore(path).load()


def test_a_file_of_version_0_is_read_as_it_is_and_marked_at_the_next_save(path: Path) -> None:
    saved(path, {"a": b"1"}, 1)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("PRAGMA user_version = 0")
    store = DeviceStore(path)
    assert ({"a": b"1"}, 1) == store.load()
    assert 0 == version_of(path)
    assert save(store, {"a": b"2"}, 2)
    assert VERSION == version_of(path)


def test_a_newer_file_is_refused_in_one_sentence_and_left_as_it_is(path: Path) -> None:
    saved(path, {"a": b"1"}, 1)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TABLE device")
        other.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(DataError) as refused:
        DeviceStore(path).load()
    assert f"{path} was written by a newer gateway: it has version {VERSION + 1}" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert before == {each.name: each.read_bytes() for each in path.parent.iterdir()}


# --- a checkpoint never claims more than was written -------------------------------------------------------------------

DEVICES = "abcdef"
WORKS = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), st.lists(st.sampled_from(DEVICES), min_size=1, max_size=3)),
        st.tuples(
            st.sampled_from(["save", "save", "save at once", "fail", "zero", "halve", "copy", "put back"]), st.none()
        ),
        st.tuples(st.sampled_from(["delete", "restart", "restart"]), st.none()),
    ),
    max_size=25,
)


def entry(seq: int, device: str) -> Entry:
    said: dict[str, Any] = {"device": device, "at": seq, "values": {"x": seq}}
    if seq % 3 == 0:
        said = {"device": device, "status": "online" if seq % 2 else "offline", "since": seq}
    kind = "reading" if "values" in said else "device"
    return frame.numbered([Draft(kind, device, seq * 1000, msgspec.json.encode(said))], seq)[0]  # type: ignore[arg-type]


class Life:
    """A registry and its file under what can happen to them; the log keeps every entry."""

    def __init__(self, path: Path) -> None:
        self.path, self.copy = path, path.with_name("copy")
        self.log: list[Entry] = []
        self.restart()

    def restart(self) -> None:
        """A kill, and a start: the states are the fold of the log up to the position that the file claims."""
        self.store, self.registry = DeviceStore(self.path), Registry()
        self.registry.load(*self.store.load())
        model = Registry()
        model.apply([each for each in self.log if each.seq <= self.registry.position])
        assert {state.device: state for state in model} == {state.device: state for state in self.registry}
        self.registry.apply([each for each in self.log if each.seq > self.registry.position])

    def apply(self, devices: list[str]) -> None:
        made = [entry(len(self.log) + number, device) for number, device in enumerate(devices, 1)]
        self.log += made
        self.registry.apply(made)

    def save(self) -> None:
        checkpoint = self.registry.checkpoint(is_whole=self.store.wants_whole)
        if not self.store.save(checkpoint).is_done:
            self.registry.give_back(checkpoint)

    def fail(self) -> None:
        """A save while another program holds the file; a damaged file nobody can hold."""
        with suppress(sqlite3.DatabaseError), locked(self.path):
            self.save()

    def do(self, what: str, devices: list[str] | None) -> None:
        if what == "apply":
            self.apply(devices or [])
        elif what == "save":
            self.save()
            self.save()
        elif what == "save at once":
            self.save()
        elif what == "restart":
            self.restart()
        elif what == "delete":
            self.path.unlink(missing_ok=True)
        elif what == "put back" and self.copy.exists():
            self.path.write_bytes(self.copy.read_bytes())
        elif self.path.exists() and what == "fail":
            self.fail()
        elif self.path.exists() and what == "copy":
            self.copy.write_bytes(self.path.read_bytes())
        elif self.path.exists() and what in ("zero", "halve"):
            {"zero": zero_header, "halve": halve}[what](self.path)


@settings(max_examples=150, deadline=None)
@given(WORKS)
def test_after_each_start_the_states_are_those_of_the_log_at_the_stored_position(
    works: list[tuple[str, list[str] | None]],
) -> None:
    with tempfile.TemporaryDirectory(prefix="devices-", dir=fast_folder()) as folder:
        life = Life(Path(folder) / "devices.sqlite3")
        for what, devices in works:
            life.do(what, devices)
        life.restart()


def test_a_quiet_device_survives_a_save_that_failed(path: Path) -> None:
    """Found on the old store: the failed save had forgotten that the quiet device was to be saved."""
    life = Life(path)
    for what, devices in [("apply", ["a"]), ("save", None), ("apply", ["b"]), ("fail", None), ("apply", ["a"])]:
        life.do(what, devices)
    life.do("save at once", None)
    life.restart()
    assert life.log[-1].seq == DeviceStore(path).load()[1]
    assert ["a", "b"] == sorted(state.device for state in life.registry)
