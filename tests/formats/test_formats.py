"""Data folders of all versions open, are read as they are, and keep what they hold; newer ones are refused untouched."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DataError
from gateway.file_version import MAX_VERSION, sqlite_version
from gateway.log.sqlite import schema
from tests.conftest import GatewayProcess, Mosquitto
from tests.log.parts import append, draft, gaps, open_log, read_all, segments, seqs
from tests.log.sqlite.parts import opened

HERE = Path(__file__).parent
FOLDERS = sorted(path for path in HERE.iterdir() if path.is_dir() and path.name.isdecimal())


@pytest.fixture(params=FOLDERS, ids=lambda path: f"version {path.name}")
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "data"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestTheLog:
    async def test_every_reading_of_every_opening_is_held_and_what_is_appended_follows(self, folder: Path) -> None:
        log = await open_log(folder / "log", retention_age_s=10**9)
        told = await read_all(log, log.floor)
        counts = [
            n for n in range(3000) if any(b'"count":%d}' % n in each.frame for each in told if hasattr(each, "frame"))
        ]
        assert [*range(400), *range(1000, 1400), *range(2000, 2400)] == counts
        (entry,) = await append(log, draft(7))
        assert entry.seq > max(seqs(told))
        assert 0 == log._counters.segments_corrupt_total
        await log.close()

    async def test_its_positions_hold_and_the_end_that_a_kill_left_is_told_or_whole(self, folder: Path) -> None:
        """The folder was killed on another boot: the newest entries may be missing for all that is known."""
        log = await open_log(folder / "log", retention_age_s=10**9)
        told = await read_all(log, log.floor)
        assert [(max(seqs(told)), log.head, "corrupt")] == gaps(told)
        assert [seqs(told)[100:]] == [seqs(await read_all(log, seqs(told)[99]))]
        await log.close()

    async def test_segments_of_before_are_read_and_not_rewritten(self, folder: Path) -> None:
        before = {path: path.read_bytes() for path in segments(folder / "log")[:-1]}
        log = await open_log(folder / "log", retention_age_s=10**9)
        await read_all(log, log.floor)
        await log.position_at(1_795_835_817_000)
        await append(log, draft(7))
        await log.close()
        assert before == {path: path.read_bytes() for path in before}
        assert [0, schema.VERSION] == sorted({sqlite_version(path) for path in segments(folder / "log")})

    def test_receipts_of_before_come_back(self, folder: Path) -> None:
        begun = opened(folder / "log")
        assert len(begun.receipts) >= 400 * 10
        begun.writer.close()


class TestTheGateway:
    @pytest.mark.broker
    def test_it_serves_what_the_folder_holds(
        self, folder: Path, mosquitto: Mosquitto, make_gateway: Callable[..., GatewayProcess], tmp_path: Path
    ) -> None:
        keep = ["--set", "log.retention_age_s=315360000"]
        gateway = make_gateway("--broker", mosquitto.url, *keep, folder=tmp_path).start()
        devices = {each["device"]: each for each in gateway.get("/api/devices").json()["devices"]}
        assert {"boiler", "kitchen/fridge"} == set(devices)
        assert ("Boiler", "Cel", 2399) == (
            devices["boiler"]["label"],
            devices["boiler"]["values"]["temperature"]["unit"],
            devices["boiler"]["values"]["count"]["value"],
        )
        answer = gateway.get("/api/devices/boiler/readings", metric="count", limit=100_000).json()
        assert 1200 == len(answer["readings"])
        assert 0 == gateway.stop()
        assert "corrupt" not in "".join(contents(folder))


class TestNewer:
    @staticmethod
    def make_newer(path: Path, version: int) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")

    @pytest.mark.parametrize("place", [0, -2])
    def test_a_newer_segment_is_refused_and_nothing_in_the_folder_changes(self, tmp_path: Path, place: int) -> None:
        folder = Path(shutil.copytree(FOLDERS[-1], tmp_path / "data"))
        path = segments(folder / "log")[place]
        self.make_newer(path, schema.VERSION + 1)
        before = contents(folder)
        with pytest.raises(DataError, match=rf"{path.name}.* version {schema.VERSION + 1} .* version {schema.VERSION}"):
            opened(folder / "log")
        assert before == contents(folder)

    @pytest.mark.broker
    @pytest.mark.parametrize("name", ["log", "devices.sqlite3", "session.json", "retained.json"])
    def test_a_gateway_does_not_start_on_newer_files_and_says_why(
        self, mosquitto: Mosquitto, make_gateway: Callable[..., GatewayProcess], tmp_path: Path, name: str
    ) -> None:
        folder = Path(shutil.copytree(FOLDERS[-1], tmp_path / "data"))
        path = segments(folder / "log")[0] if name == "log" else folder / name
        if path.suffix == ".json":
            path.write_text('{"version":99,"broker":"b","client_id":"c"}')
        else:
            self.make_newer(path, 99)
        before = contents(folder)
        gateway = make_gateway("--broker", mosquitto.url, folder=tmp_path).start(wait_ready=False)
        assert gateway.process is not None
        assert 1 == gateway.process.wait(20)
        assert path.name in gateway.output()
        assert "newer gateway" in gateway.output()
        assert before == contents(folder)

    @given(version=st.integers(0, 2**32 - 1), cut=st.none() | st.integers(0, 100))
    def test_what_can_be_no_version_is_left_to_those_who_find_damage(self, version: int, cut: int | None) -> None:
        header = b"SQLite format 3\0" + bytes(44) + version.to_bytes(4, "big") + bytes(36)
        path = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"version-{version}-{cut}"
        path.write_bytes(header[:cut])
        try:
            expected = version if version <= MAX_VERSION and (cut is None or cut >= 64) else 0
            assert expected == sqlite_version(path)
        finally:
            path.unlink()
