"""Valid contents of a component's folder, and what is refused with its name and a fix."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.store.artifacts import Store
from reidbench.store.leavings import OWN, UnfitLeavings, check_leavings


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with ordinary things in it, among them names that are reserved only at the top."""
    folder = tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    for name in ("styles.json", "sub/manifest.json", "a name\nof two lines", ".hidden"):
        (folder / name).write_text(name)
    (folder / os.fsdecode(b"latin-\xe9.txt")).write_text("a name that is not UTF-8")
    (folder / "empty").mkdir()
    return folder


def check(folder: Path) -> None:
    check_leavings(folder, os.geteuid())


def test_ordinary_files_and_folders_are_kept(out: Path, tmp_path: Path) -> None:
    check(out)
    store = Store(tmp_path / "store")
    with store.publishing("k") as (folder, _):
        for file in (path for path in out.rglob("*") if path.is_file()):
            target = folder / file.relative_to(out)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.read_bytes())
    assert len(store.read("k").manifest["files"]) == 5
    assert (store.path("k") / "sub" / "manifest.json").read_text() == "sub/manifest.json"


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path may not be long
        try:
            one.bind(path.name)
        finally:
            os.chdir(here)


def with_two_names(path: Path) -> None:
    twin = path.with_name("twin")
    twin.touch()
    path.hardlink_to(twin)


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to a file": (lambda path: path.symlink_to(path.parent / "styles.json"), "is a link; "),
    "a link to a folder": (lambda path: path.symlink_to(path.parent / "sub"), "is a link; "),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), "is a link; "),
    "a link to itself": (lambda path: path.symlink_to(path.name), "is a link; "),
    "a device behind a link": (lambda path: path.symlink_to("/dev/zero"), "is a link; "),
    "a named pipe": (os.mkfifo, "is a named pipe; "),
    "a socket": (listen, "is a socket; "),
    "a hard link": (with_two_names, "is a hard link"),
    "an unreadable file": (lambda path: path.touch(0o200), "its owner cannot read (mode 200)"),
    "an unreadable folder": (lambda path: path.mkdir(0o300), "its owner cannot read (mode 300)"),
}


@pytest.mark.parametrize("kind", UNFIT)
@pytest.mark.parametrize("place", ["thing", "sub/thing"])
def test_everything_else_is_refused_by_name(out: Path, kind: str, place: str) -> None:
    make, reason = UNFIT[kind]
    make(out.joinpath(*place.split("/")))
    with pytest.raises(UnfitLeavings) as caught:
        check(out)
    assert str(caught.value).startswith(f"{place} in ctx.out, which {reason}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(out: Path) -> None:
    os.chown(out / "styles.json", 12345, -1)
    with pytest.raises(UnfitLeavings, match=r"styles.json in ctx.out, which belongs to another user \(uid 12345"):
        check(out)


@pytest.mark.parametrize("name", [*sorted(OWN), "Manifest.JSON"])
def test_the_harnesss_own_names_are_refused_at_the_top(out: Path, name: str) -> None:
    if name == "notes.json":
        (out / name).mkdir()
    else:
        (out / name).write_text("{}")
    with pytest.raises(UnfitLeavings, match="which is a reserved name; choose another name"):
        check(out)


@pytest.mark.parametrize("how", ["removed", "a link", "a file"])
def test_the_folder_itself_must_stay(out: Path, how: str) -> None:
    moved = out.rename(out.with_name("moved"))
    if how == "a link":
        out.symlink_to(moved)
    elif how == "a file":
        out.write_text("x")
    with pytest.raises(UnfitLeavings, match=r"no folder at ctx\.out"):
        check(out)


@pytest.mark.parametrize("how", ["manifest", "link"])
def test_nothing_unfit_is_published(tmp_path: Path, how: str) -> None:
    store = Store(tmp_path / "store")

    def publish() -> None:
        with store.publishing("k") as (folder, _):
            if how == "link":
                (folder / "w").symlink_to(tmp_path)
            else:
                (folder / "manifest.json").write_text('{"mine": 1}')

    with pytest.raises(UnfitLeavings):
        publish()
    assert not store.has("k")
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
