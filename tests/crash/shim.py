"""What stands between the gateway and the C library: a wall clock to set, a disk that refuses, a disk that forgets."""

from __future__ import annotations

import mmap
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("shim.c")
WORDS = struct.Struct("<qq")


@cache
def compiler() -> str | None:
    """A C compiler; without one the faults that need the shim are left out."""
    return shutil.which("gcc") or shutil.which("cc")


class Shim:
    """Built into ``folder`` for a process with its files below ``data``; `environment` is what that process needs.

    ``journaled`` has every change of those files written to a journal, from which `cut_power` makes what survives.
    """

    def __init__(self, folder: Path, data: Path, *, journaled: bool = False) -> None:
        library, control = folder / "shim.so", folder / "control"
        self._data, self._journal = data, folder / "journal"
        command = [compiler() or "cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl", "-pthread"]
        subprocess.run(command, check=True, capture_output=True)
        control.write_bytes(bytes(WORDS.size))
        with control.open("r+b") as file:
            self._words = mmap.mmap(file.fileno(), WORDS.size)
        self._boot, self._boots = folder / "boot", 0
        self._begin_boot()
        self.environment = {
            "LD_PRELOAD": str(library), "CRASH_CONTROL": str(control), "CRASH_FOLDER": str(data),
            "CRASH_BOOT": str(self._boot),
        }  # fmt: skip
        if journaled:
            self.environment["CRASH_JOURNAL"] = str(self._journal)

    def set_clock(self, ahead_s: float) -> None:
        """Put the wall clock so far ahead of ours, at once, also in a running process."""
        self._words[:8] = struct.pack("<q", int(ahead_s * 1e9))

    def refuse(self, error: int) -> None:
        """Have every write to the data folder fail with this errno; 0 lets them pass again."""
        self._words[8:] = struct.pack("<q", error)

    def _begin_boot(self) -> None:
        self._boots += 1
        self._boot.write_text(f"boot {self._boots}\n")

    def cut_power(self, rng: random.Random) -> None:
        """Turn the data folder, whose process is dead, into what the disk holds after a power cut."""
        disk = Disk(rng)
        for change in changes(self._journal):
            disk.apply(change)
        shutil.rmtree(self._data)
        self._data.mkdir()
        for path, content in disk.survivors(rng).items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content)
        self._journal.unlink(missing_ok=True)
        self._begin_boot()
        # The next life's journal begins with what is there now, all of it safe.
        with self._journal.open("ab") as journal:
            for path in sorted(self._data.rglob("*")):
                if path.is_file():
                    journal.write(_as_safe(path))


def _as_safe(path: Path) -> bytes:
    name, content, inode = str(path).encode(), path.read_bytes(), path.stat().st_ino
    return b"".join([
        b"o %d 0 0 %d\n%b" % (inode, len(name), name),
        b"w %d 0 %d 0\n%b" % (inode, len(content), content),
        b"s %d 0 0 0\n" % inode,
    ])  # fmt: skip


class Change(NamedTuple):
    """One record of the journal: ``op`` is o(pen), d(irectory opened), w(rite), t(runcate), s(ync), r(ename), u(nlink)."""

    op: str
    inode: int
    offset: int
    path: str
    content: bytes


def changes(journal: Path) -> Iterator[Change]:
    """The journal's records; a last one that is torn is left out, as its change was never made."""
    if not journal.exists():
        return
    text, at = journal.read_bytes(), 0
    while (end := text.find(b"\n", at)) >= 0:
        op, inode, offset, length, path_length = text[at:end].split()
        begin, middle = end + 1, end + 1 + int(path_length)
        at = middle + int(length)
        if at > len(text):
            return
        yield Change(op.decode(), int(inode), int(offset), text[begin:middle].decode(), text[middle:at])


@dataclass
class _File:
    """One inode: what is safe, and the writes since; a directory has ``path`` and no content."""

    path: str
    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[Change] = field(default_factory=list)
    is_directory: bool = False
    is_gone: bool = False


class Disk:
    """What a disk holds for sure: a file's bytes up to its last fsync, under the name it had then, or its folder had.

    Names follow ext4: an fsync of a file makes its name safe, one of a folder the names in it.
    """

    def __init__(self, rng: random.Random) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, _File] = {}
        self._safe_names: dict[str, _File] = {}
        self._keeps_some = rng.random() < 0.5

    def apply(self, change: Change) -> None:
        """One record, in order."""
        if change.op in "od":
            self._open(change)
        elif change.op == "r":
            self._rename(change.path, change.content.decode())
        elif change.op == "u":
            if file := self._names.pop(change.path, None):
                file.is_gone = True
        elif file := self._files.get(change.inode):
            if change.op == "s":
                self._sync(file)
            else:
                file.unsafe.append(change)

    def _open(self, change: Change) -> None:
        file = self._files.get(change.inode)
        if file is None or file.is_gone or (file.path != change.path and change.path not in self._names):
            file = self._files[change.inode] = _File(change.path, is_directory=change.op == "d")
        if not file.is_directory:
            self._names[change.path] = file
            file.path = change.path

    def _rename(self, old: str, new: str) -> None:
        if file := self._names.pop(old, None):
            self._names[new] = file
            file.path = new

    def _sync(self, file: _File) -> None:
        if file.is_directory:
            inside = file.path.rstrip("/") + "/"
            for names in (self._names, self._safe_names):
                for path in [path for path in names if path.startswith(inside)]:
                    if names is self._names:
                        self._safe_names[path] = names[path]
                    elif path not in self._names:
                        del self._safe_names[path]
            return
        for change in file.unsafe:
            _write(file.safe, change)
        file.unsafe.clear()
        if not file.is_gone:
            for path in [path for path, other in self._safe_names.items() if other is file]:
                del self._safe_names[path]
            self._safe_names[file.path] = file

    def survivors(self, rng: random.Random) -> dict[str, bytes]:
        """The files after the cut. By chance, some of what was not safe has reached the disk as well, in no order."""
        found = {}
        for path, file in self._safe_names.items():
            content = bytearray(file.safe)
            if self._keeps_some:
                for change in file.unsafe:
                    if rng.random() < 0.5:
                        _write(content, change)
            found[path] = bytes(content)
        return found


def _write(content: bytearray, change: Change) -> None:
    if change.op == "t":
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
    else:
        content.extend(bytes(max(0, change.offset - len(content))))
        content[change.offset : change.offset + len(change.content)] = change.content
