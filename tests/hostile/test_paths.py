"""Paths that lead out: in archives, manifests, lists of a store from elsewhere, and links among the data."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidbench.data import (
    HiddenSplit,
    Split,
    fingerprint_folder,
    read_manifest,
    read_market_folder,
    unpack,
    walk_images,
)
from reidbench.data.fingerprints.memory import recall_names, remember_names
from reidbench.data.layouts import archives
from reidbench.data.pictures.lmdbfile import read_value
from reidbench.errors import DataError
from reidbench.files.names import shown, stays_inside
from reidbench.testing import write_market_folder

OUTSIDE = ("../owned", "a/../../owned", "/owned", "a/../../../owned", "..", "./../owned", "a/..")
NAMES = (*OUTSIDE, "..\\owned", "C:owned", "a\0b", "\\\\host\\owned")


def unchanged(folder: Path) -> None:
    """Nothing but the archive, and a cache that knows its hash."""
    left = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    left = [path for path in left if path.parent != folder / "cache/.contents"]
    assert [path.name for path in left if not path.name.startswith("packed")] == []


def refused(archive: Path, words: str) -> None:
    began = time.process_time()
    with pytest.raises(DataError, match=words) as caught:
        unpack(archive, archive.parent / "cache")
    assert time.process_time() - began < 5
    assert str(caught.value).isprintable()
    unchanged(archive.parent)


# ------------------------------------------------------------------ archives
@pytest.mark.parametrize("name", NAMES)
def test_names_in_archives(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        info = zipfile.ZipInfo("x" * len(name))
        archive.writestr(info, b"owned")
    data = (tmp_path / "packed.zip").read_bytes().replace(b"x" * len(name), name.encode())
    (tmp_path / "packed.zip").write_bytes(data)  # zipfile itself would tidy the name
    if name != "a\0b":  # which zipfile cuts at the null, so that nothing leads out
        refused(tmp_path / "packed.zip", "is outside the target folder|cannot be extracted")
    if "\0" not in name:
        with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = 5
            tar.addfile(entry, io.BytesIO(b"owned"))
        refused(tmp_path / "packed.tar.gz", "is outside the target folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    """A link first, then a file through it: the classical way out."""
    with tarfile.open(tmp_path / "packed.tar", "w") as tar:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = kind, ".."
        tar.addfile(link)
        entry = tarfile.TarInfo("door/owned")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"owned"))
    refused(tmp_path / "packed.tar", "'door' is a link or a device")


def test_links_in_a_zip(tmp_path: Path) -> None:
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
            info = zipfile.ZipInfo("door")
            info.external_attr = (kind | 0o777) << 16
            archive.writestr(info, "/etc")
        refused(tmp_path / "packed.zip", "'door' is a link or a device")


def test_a_file_that_comes_twice_and_one_in_place_of_a_folder(tmp_path: Path) -> None:
    for first, second in (("a", "a"), ("a", "a/b"), ("a/b", "a")):
        with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive, pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)  # zipfile warns of the doublet
            archive.writestr(first, b"1")
            archive.writestr(second, b"2")
        refused(tmp_path / "packed.zip", "cannot be extracted")


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred times its own size, and 64 MiB (here 1), are more than any archive of pictures unpacks to."""
    monkeypatch.setattr(archives, "SLACK", 1 << 20)
    zeros = bytes(16 << 20)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", zeros)
    refused(tmp_path / "packed.zip", "extracts to more than the limit of [0-9]+ bytes")
    for packing in ("gz", "bz2", "xz"):
        with tarfile.open(tmp_path / f"packed.tar.{packing}", f"w:{packing}") as tar:
            entry = tarfile.TarInfo("a")
            entry.size = len(zeros)
            tar.addfile(entry, io.BytesIO(zeros))
        refused(tmp_path / f"packed.tar.{packing}", "extracts to more than the limit of [0-9]+ bytes")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_that_wants_gigabytes(kind: bytes, tmp_path: Path) -> None:
    """Python's reader asks for a whole header at once, however long it claims to be."""
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = kind, 5 << 30
    with gzip.open(tmp_path / "packed.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    refused(tmp_path / "packed.tar.gz", "cannot be extracted")


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_damaged_archives(ending: str, tmp_path: Path) -> None:
    source = tmp_path / "packed.source"
    source.write_bytes(np.random.default_rng(0).bytes(3000))
    archive = tmp_path / f"packed.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(source, "a/b.png")
    else:
        with tarfile.open(archive, f"w:{ending[4:]}" if len(ending) > 3 else "w") as tar:
            tar.add(source, "a/b.png")
    whole = archive.read_bytes()
    assert (unpack(archive, tmp_path / "cache") / "a/b.png").read_bytes() == source.read_bytes()
    for path in sorted((tmp_path / "cache").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for content in (b"", whole[:20], whole[: len(whole) // 2], b"\x1b[2J", whole[:40] + b"\xff" * 30 + whole[70:]):
        archive.write_bytes(content)
        with pytest.raises(DataError) as caught:
            unpack(archive, tmp_path / "cache")
            raise DataError("a tar cut at an end of a file is whole")  # what is there was unpacked, nothing else
        assert str(caught.value).isprintable()


# ------------------------------------------------------------------ manifests of data sets
def manifest(folder: Path, *rows: dict[str, str]) -> Path:
    file = folder / "manifest.csv"
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.DictWriter(stream, ["path", "pid", "camid", "split", "time"])
        writer.writeheader()
        writer.writerows(
            {"path": "a.png", "pid": "1", "camid": "0", "split": "train", "time": ""} | row for row in rows
        )
    return file


@pytest.mark.parametrize(
    ("row", "words"),
    [
        *(({"path": path}, "must be relative and stay inside the root") for path in (*OUTSIDE, "", "a\0b")),
        ({"pid": "9" * 30}, "pid 9+ is larger than 2"),
        ({"pid": "9" * 5000}, "is not a whole number"),
        ({"camid": "1" + "0" * 20}, "camid 10+ is larger than"),
        ({"pid": "\x1b[2J"}, "is not a whole number"),
        ({"split": "x\ny"}, "is not one of train"),
        ({"time": "nan"}, "'nan' is not a decimal number"),
        ({"time": "1e999"}, "is not a decimal number"),
        ({"path": "x" * 200_000}, "not a CSV text file"),
    ],
)
def test_rows_of_a_manifest(row: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_manifest(manifest(tmp_path, {}, row))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_manifests_that_are_none(tmp_path: Path) -> None:
    for content in (b"", b"path,path,pid,split\n", b"\x1b[2J,pid\n", b"\xff\xfe", b"path,pid,split\na,1\n", b'"'):
        file = tmp_path / "m\x1b.csv"
        file.write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_manifest(file)
        assert str(caught.value).isprintable()
    for place in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError):
            read_manifest(place)


def test_a_name_with_a_line_break_is_a_name(tmp_path: Path) -> None:
    """CSV can say it and disks can hold it."""
    Image.new("RGB", (4, 8)).save(tmp_path / "a\n\x1b[2J.png")
    (sample,) = read_manifest(manifest(tmp_path, {"path": "a\n\x1b[2J.png"})).train.samples
    assert sample.path == "a\n\x1b[2J.png"


# ------------------------------------------------------------------ lists of a store from elsewhere
@pytest.mark.parametrize("path", [*OUTSIDE, "", "a\0b", 3, None, ["a"]])
def test_lists_of_images_stay_under_their_root(path: object, tmp_path: Path) -> None:
    """Else a page that shows pictures would show those of its reader's disk, and be mailed."""
    labelled = {"paths": ["a.png", path], "pids": [1, 2], "camids": [0, 0]}
    hidden = {"files": ["a.png", path], "camids": [0, 0], "domains": ["", ""]}
    older = {"samples": [["a.png", 1, 0], [path, 2, 0]]}
    file = tmp_path / "train.json"
    for rows, load in ((labelled, Split.load), (older, Split.load), (hidden, HiddenSplit.load)):
        file.write_text(json.dumps(rows))
        with pytest.raises(DataError, match=r"train\.json: (the path .* leaves|not a list)") as caught:
            load(file, tmp_path)
        assert str(caught.value).isprintable()


NO_LISTS = (
    b"", b"[]", b"{}", b"null", b"{", b"\xff", b"[" * 100_000, b'{"samples": 3}', b'{"samples": [[]]}',
    b'{"paths": ["a"], "pids": [1, 2], "camids": [0]}', b'{"paths": "ab", "pids": [[1], [2]], "camids": [0, 0]}',
    b'{"paths": ["a"], "pids": [99999999999999999999999], "camids": [0]}',
    b'{"paths": ["a"], "pids": ["x"], "camids": [0]}', b'{"paths": ["a"], "pids": [1], "camids": [0], "root": "/"}',
    b'{"files": ["a"], "camids": [0, 1], "domains": [""]}', b'{"files": ["a"], "camids": [0], "domains": []}',
    b'{"files": ["a"], "camids": "x", "domains": [""]}', b'{"files": {"a": 1}, "camids": [[0]], "domains": [""]}',
)  # fmt: skip


@pytest.mark.parametrize("content", NO_LISTS)
def test_lists_that_are_none(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "train.json"
    file.write_bytes(content)
    for load in (Split.load, HiddenSplit.load):
        with pytest.raises(DataError) as caught:
            load(file, tmp_path)
        assert str(caught.value).isprintable()


def test_whole_lists_come_back_as_they_were(tmp_path: Path) -> None:
    """Names that a disk can hold: dots, blanks, line breaks, and bytes that are not UTF-8."""
    names = ["a..png", "..a/b.png", "a\nb.png", " .png", "b\udcffad.png", "..."]
    split = Split.of_columns(tmp_path, names, [1] * 6, [0] * 6)
    split.save(tmp_path / "train.json")
    assert Split.load(tmp_path / "train.json", tmp_path).paths == tuple(names)
    split.hide().save(tmp_path / "hidden.json")
    assert len(HiddenSplit.load(tmp_path / "hidden.json", tmp_path)) == 6


def test_patterns_of_sidecars(tmp_path: Path) -> None:
    split = Split.of_columns(tmp_path, ["a.png"], [1], [0]).hide()
    for pattern in ("{", "{nothing}", "{0}", "{name.x}", "{name[x]}", "{stem:d}", "{k!z}"):
        with pytest.raises(DataError, match="pattern") as caught:
            split.sidecar(tmp_path, pattern, k=1)
        assert str(caught.value).isprintable()


# ------------------------------------------------------------------ links and odd names among the data
def test_links_in_circles_are_walked_once(tmp_path: Path) -> None:
    """Twelve folders, each with links to all: followed blindly, more ways than there are atoms."""
    for a in range(12):
        (tmp_path / f"f{a}").mkdir()
        (tmp_path / f"f{a}" / "x.png").touch()
        for b in range(12):
            (tmp_path / f"f{a}" / f"l{b}").symlink_to(tmp_path / f"f{b}")
        (tmp_path / f"f{a}" / "up").symlink_to(tmp_path)
    found = list(walk_images(tmp_path))
    assert len(found) == len({os.path.realpath(tmp_path / path) for path in found}) == 12
    assert found == list(walk_images(tmp_path))


def test_fingerprints_of_folders_with_dead_links_pipes_and_odd_names(tmp_path: Path) -> None:
    (tmp_path / "dead.png").symlink_to("nowhere")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / os.fsdecode(b"b\xffad.png")).write_bytes(b"1")
    (tmp_path / "a\n.png").write_bytes(b"2")
    before = fingerprint_folder(tmp_path)
    assert before == fingerprint_folder(tmp_path)
    with pytest.raises(DataError, match=r"(dead|loop)\.png: cannot be read"):
        fingerprint_folder(tmp_path, full=True)
    for name in ("dead.png", "loop.png"):
        (tmp_path / name).unlink()
    assert fingerprint_folder(tmp_path) != before
    fingerprint_folder(tmp_path, full=True)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: cannot be read: not a regular file"):
        fingerprint_folder(tmp_path, full=True)


def test_strays_with_odd_names(tmp_path: Path) -> None:
    root = write_market_folder(tmp_path / "set")
    for name in (b"\x1b[2J.png", b"\xff.png", b"a\nb.png", b"9" * 60 + b"_c1s1_000001_00.png", b"<img src=x>.png"):
        (root / "query" / os.fsdecode(name)).write_bytes(b"")
    dataset = read_market_folder(root)
    assert len(dataset.strays["query"]) == 5
    assert all(note.isprintable() for note in dataset.notes)
    assert "\\x1b[2J.png" in dataset.notes[0]
    dataset.query.save(tmp_path / "query.json")


def test_what_is_remembered_of_odd_names(tmp_path: Path) -> None:
    names = ["a\x1c.png", "b\udcffad.png"]
    remember_names(tmp_path, "x", names)
    assert recall_names(tmp_path, "x") == names
    (tmp_path / "checks" / "x.names.gz").write_bytes(gzip.compress(b"abc")[:-9] + b"\xff" * 9)
    assert recall_names(tmp_path, "x") is None


def test_an_lmdb_that_is_cut_short(tmp_path: Path) -> None:
    """Reading beyond its end would kill the process, not raise."""
    lmdb = pytest.importorskip("lmdb")
    place = tmp_path / "p.lmdb"
    with lmdb.open(str(place), map_size=1 << 22) as environment, environment.begin(write=True) as transaction:
        for number in range(200):
            transaction.put(f"{number:04d}".encode(), bytes(2000))
    data = place / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    code = f"from reidbench.data import read_image; from pathlib import Path; read_image(Path({str(place)!r}) / '0190')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "DataError" in done.stderr
    assert "it is truncated" in done.stderr


def test_keys_that_an_lmdb_cannot_have(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    place = tmp_path / "p.lmdb"
    with lmdb.open(str(place), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    assert read_value(place / "a") == b"1"
    for key in ("hex:zz", "x" * 600, "hex:", "hex:" + "00" * 600):
        with contextlib.suppress(DataError):
            assert read_value(place / key) is None
    with pytest.raises(DataError, match="cannot look up hex:zz"):
        read_value(place / "hex:zz")


# ------------------------------------------------------------------ the two small rules behind all this
def test_stays_inside_and_shown() -> None:
    assert not any(map(stays_inside, (*OUTSIDE, "", "a\0", None, 3)))
    assert all(map(stays_inside, ("a", "a/b", "a..b/..c", "...", "~/a", "-rf")))
    assert shown("a\x1b[2J\n\u202e\udcff") == "a\\x1b[2J\\n\\u202e\\udcff"
    assert len(shown("x" * 10**6)) < 310
    assert shown(Path("a/b")) == "a/b"
    assert hashlib.sha256(shown("héllo 漢字").encode()).digest() == hashlib.sha256("héllo 漢字".encode()).digest()
