"""Archives in place of folders: unpacked once, and nothing ever beyond the target."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.data import is_archive, unpack
from reidbench.data.layouts.archives import inner_folder
from reidbench.errors import DataError


def zipped(file: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return file


def tarred(file: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(file, "w:gz" if file.name.endswith("gz") else "w") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, link
            out.addfile(info, io.BytesIO(data))
    return file


@pytest.mark.parametrize(
    ("make", "name"), [(zipped, "m.zip"), (tarred, "m.tar"), (tarred, "m.tar.gz"), (tarred, "m.TGZ")]
)
def test_files_come_out_whole_and_once(make: Callable[..., Path], name: str, tmp_path: Path) -> None:
    archive = make(tmp_path / name, {"Market/query/a.jpg": b"1", "Market/readme": b"2"})
    assert is_archive(archive)
    folder = unpack(archive, tmp_path / "cache")
    assert (folder / "Market/query/a.jpg").read_bytes() == b"1"
    assert inner_folder(folder) == folder / "Market"
    (folder / "Market/readme").write_bytes(b"x")  # a second call unpacks nothing
    assert unpack(archive, tmp_path / "cache") == folder
    assert (folder / "Market/readme").read_bytes() == b"x"
    make(archive, {"Market/query/a.jpg": b"another content"})
    assert unpack(archive, tmp_path / "cache") != folder


def test_an_incomplete_folder_is_extracted_again(tmp_path: Path) -> None:
    """As after a clean-up of old files: its archive, and so the key of the data, are the same."""
    archive = zipped(tmp_path / "m.zip", {"query/a.jpg": b"1", "query/b.jpg": b"2", "gallery/c.jpg": b"3"})
    folder = unpack(archive, tmp_path / "cache")
    (folder / "query/b.jpg").unlink()
    (folder / "query/more.jpg").write_bytes(b"2")
    assert unpack(archive, tmp_path / "cache") == folder
    assert sorted(path.name for path in folder.rglob("*.jpg")) == ["a.jpg", "b.jpg", "c.jpg"]
    folder.with_name(f"{folder.name}.files").unlink()  # as of an earlier version
    (folder / "gallery/c.jpg").unlink()
    assert (unpack(archive, tmp_path / "cache") / "gallery/c.jpg").read_bytes() == b"3"


@pytest.mark.parametrize("name", ["../out.jpg", "a/../../out.jpg", "/tmp/out.jpg", "c:\\out.jpg", "..\\out.jpg"])  # noqa: S108
@pytest.mark.parametrize("make", [zipped, tarred])
def test_no_path_leaves_the_target(make: Callable[..., Path], name: str, tmp_path: Path) -> None:
    archive = make(tmp_path / ("x.zip" if make is zipped else "x.tar"), {"fine.jpg": b"1", name: b"2"})
    with pytest.raises(DataError, match="is outside the target folder"):
        unpack(archive, tmp_path / "cache")
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path != archive]
    assert [path for path in left if path.parent.name != ".contents"] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    archive = tarred(tmp_path / "x.tar", {"a.jpg": b""}, kind, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a device"):
        unpack(archive, tmp_path / "cache")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a.jpg")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
        out.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a device"):
        unpack(tmp_path / "x.zip", tmp_path / "cache")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_bomb_stops_at_the_limit(make: Callable[..., Path], tmp_path: Path) -> None:
    archive = make(tmp_path / ("x.zip" if make is zipped else "x.tar.gz"), {"a": bytes(600_000), "b": bytes(600_000)})
    assert archive.stat().st_size < 10_000
    with pytest.raises(DataError, match="extracts to more than the limit of 1000000 bytes"):
        unpack(archive, tmp_path / "cache", limit=1_000_000)
    assert not any(path.is_file() for path in (tmp_path / "cache/unpacked").rglob("*"))
    unpack(archive, tmp_path / "cache", limit=1_200_000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"<!DOCTYPE html><html>404</html>", "an HTML page, not the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`"),
    ],
)
def test_files_that_stand_for_an_archive_are_called_so(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.zip").write_bytes(data)
    with pytest.raises(DataError, match=rf"m\.zip: .*{words}"):
        unpack(tmp_path / "m.zip", tmp_path / "cache")


def test_damaged_archives_and_names_that_come_twice(tmp_path: Path) -> None:
    for name in ("x.zip", "x.tar", "x.tar.gz"):
        (tmp_path / name).write_bytes(b"no archive at all")
        with pytest.raises(DataError, match="cannot be extracted"):
            unpack(tmp_path / name, tmp_path / "cache")
    whole = tarred(tmp_path / "y.tar.gz", {"a.jpg": os.urandom(50_000)}).read_bytes()
    (tmp_path / "y.tar.gz").write_bytes(whole[:20_000])
    with pytest.raises(DataError, match="cannot be extracted"):
        unpack(tmp_path / "y.tar.gz", tmp_path / "cache")
    with tarfile.open(tmp_path / "z.tar", "w") as out:
        for _ in range(2):
            out.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(DataError, match="cannot be extracted"):
        unpack(tmp_path / "z.tar", tmp_path / "cache")
    assert not is_archive(tmp_path)


def test_what_a_killed_unpacking_left_is_removed_by_the_next(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "m.zip", {"a.jpg": b"1", "b.jpg": b"2"})
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom reidbench.data import unpack\n"
        "def end(event, given):\n"
        "    if event == 'open' and str(given[0]).endswith('b.jpg'):\n"  # the first picture is there, this one is not
        "        os.kill(os.getpid(), 9)\n"
        "sys.addaudithook(end)\n"
        "unpack(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(archive), str(tmp_path / "cache")], check=False)
    (left,) = (tmp_path / "cache" / "unpacked").iterdir()
    assert (killed.returncode, left.name[0]) == (-9, ".")
    folder = unpack(archive, tmp_path / "cache")
    assert set((tmp_path / "cache" / "unpacked").iterdir()) == {folder, folder.with_name(f"{folder.name}.files")}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # as private as the archive may be
