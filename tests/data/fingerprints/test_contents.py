"""Files are hashed once, and again whenever their times prove nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reidbench.data import fingerprint_file, fingerprint_folder, fingerprint_paths
from reidbench.data.fingerprints import contents, index
from reidbench.data.fingerprints.contents import hash_files, hashing_everything
from reidbench.errors import DataError

LONG_AGO = 10**9 * 10**6  # ns since 1970


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    names: list[str] = []
    plain = contents.hash_content

    def hash_content(file: str, progress: object = None) -> bytes:
        names.append(Path(file).name)
        return plain(file)

    monkeypatch.setattr(contents, "hash_content", hash_content)
    return names


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files written a moment ago count as old."""
    monkeypatch.setattr(index, "RACY", -(10**15))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "set"
    place.mkdir()
    for name in ("a", "b", "c"):
        (place / name).write_bytes(name.encode() * 10)
    return place


def hashes(folder: Path, *names: str) -> list[str]:
    found = hash_files(folder, names or sorted(path.name for path in folder.iterdir()))
    return [found.hex(at) for at in range(len(found.digests))]


def rewrite(file: Path, data: bytes) -> None:
    """Other content of the same size, with the time of modification put back, as a copying tool would."""
    before = file.stat()
    assert before.st_size == len(data)
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.usefixtures("settled")
def test_what_did_not_change_is_not_read_again(folder: Path, read: list[str]) -> None:
    wanted = [hashlib.sha256(name * 10).hexdigest() for name in (b"a", b"b", b"c")]
    assert hashes(folder) == wanted
    assert sorted(read) == ["a", "b", "c"]
    assert hashes(folder) == wanted
    assert hashes(folder, "c", "a") == [wanted[2], wanted[0]]
    assert len(read) == 3
    rewrite(folder / "b", b"x" * 10)
    assert hashes(folder)[1] == hashlib.sha256(b"x" * 10).hexdigest()
    assert read[3:] == ["b"]
    (folder / "a").rename(folder / "a2")
    (folder / "c").rename(folder / "a")
    (folder / "a2").rename(folder / "c")
    assert hashes(folder, "a", "c") == [wanted[2], wanted[0]]  # names go with their files


def test_a_file_changed_a_moment_ago_is_not_trusted(folder: Path, read: list[str]) -> None:
    for data in (b"1" * 10, b"2" * 10):
        rewrite(folder / "a", data)
        assert hashes(folder, "a") == [hashlib.sha256(data).hexdigest()]
    hashes(folder, "a")
    assert read == ["a"] * 3
    os.utime(folder / "b", ns=(LONG_AGO, LONG_AGO))  # an old mtime proves nothing: anybody can set it
    hashes(folder, "b")
    hashes(folder, "b")
    assert read[3:] == ["b", "b"]


@pytest.mark.parametrize("ahead", [1.0, 3.0])
def test_two_seconds_are_enough(ahead: float, folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the file system as it will be in `ahead` seconds."""
    youngest = max(path.stat().st_ctime_ns for path in folder.iterdir())
    monkeypatch.setattr(index.Index, "_clock_of", lambda *_: youngest + int(ahead * 1e9))
    hashes(folder)
    hashes(folder)
    assert len(read) == (3 if ahead > 2 else 6)


def test_where_the_clock_is_unknown_two_hashes_a_minute_apart_are_needed(
    folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index.Index, "_clock_of", lambda *_: -(2**62))
    now = time.time_ns()
    counts = []
    for seconds in (0, 30, 61, 62, 63, 10):
        monkeypatch.setattr(index.time, "time_ns", lambda at=now + seconds * 10**9: at)
        hashes(folder, "a")
        counts.append(len(read))
    assert counts == [1, 2, 3, 3, 3, 3]
    monkeypatch.setattr(index.time, "time_ns", lambda: now - 10**9)  # the clock was set back
    hashes(folder, "a")
    hashes(folder, "a")
    assert len(read) == 5


@pytest.mark.usefixtures("settled")
def test_a_change_between_two_hashes_starts_the_minute_again(
    folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other content behind the same numbers: the file system's clock has not moved on."""
    monkeypatch.setattr(index.Index, "_clock_of", lambda *_: -(2**62))
    stat_row, fixed = index.Index.stat_row, (folder / "a").stat()
    monkeypatch.setattr(index.Index, "stat_row", lambda self, info: stat_row(self, fixed))
    now, found = time.time_ns(), []
    for seconds, data in ((0, b"1"), (70, b"2"), (90, b"3"), (160, b"3"), (161, b"4")):
        monkeypatch.setattr(index.time, "time_ns", lambda at=now + seconds * 10**9: at)
        (folder / "a").write_bytes(data * 10)
        found += hashes(folder, "a")
    right = [hashlib.sha256(data * 10).hexdigest() for data in (b"1", b"2", b"3", b"3")]
    assert found[:4] == right
    assert found[4] == right[3]  # equal numbers for more than a minute: no clock stops for that long


@pytest.mark.usefixtures("settled")
def test_a_ctime_without_fractions_of_a_second_proves_nothing(tmp_path: Path) -> None:
    """As in a squashfs, where it is that of the file that was packed."""
    store = index.Index(tmp_path, tmp_path / "cache")
    store.start()
    stats = np.array([[0, 1, 5, LONG_AGO, LONG_AGO], [0, 2, 5, LONG_AGO, LONG_AGO + 1]], dtype=np.uint64)
    digests = np.arange(64, dtype=np.uint8).reshape(2, 32)
    store.learn(stats, digests, 2)
    known, found = index.Index(tmp_path, tmp_path / "cache").known(stats)
    assert known.tolist() == [False, True]
    assert (found[1] == digests[1]).all()
    other = stats.copy()
    other[:, 0] = 7  # the same numbers on another disk
    assert not index.Index(tmp_path, tmp_path / "cache").known(other)[0].any()


def cut(data: bytes) -> bytes:
    return data[:-1]


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", [cut, flip, lambda data: b"", lambda data: b"x" * 500, lambda data: data * 2])
def test_a_damaged_index_is_made_again(
    damage: Callable[[bytes], bytes], folder: Path, tmp_path: Path, read: list[str]
) -> None:
    before = hashes(folder)
    (file,) = (tmp_path / "cache/.contents").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert hashes(folder) == before
    assert len(read) == 6
    assert hashes(folder) == before
    assert len(read) == 6
    assert len(file.read_bytes()) == len(whole)


@pytest.mark.usefixtures("settled")
def test_everything_can_be_read_again(folder: Path, read: list[str]) -> None:
    before = fingerprint_folder(folder)
    assert fingerprint_folder(folder, full=True) == before
    assert len(read) == 6
    with hashing_everything():
        fingerprint_file(folder / "a")
    fingerprint_file(folder / "a")
    assert read[6:] == ["a"]


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written_is_named_once(
    folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REIDBENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert hashes(folder) == hashes(folder)
    assert len(read) == 6
    said = capsys.readouterr().err
    assert said.count("is not writable") == 1
    assert "data sets are hashed again at every start" in said


def test_many_files_in_several_threads_and_processes(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        (folder / str(number)).write_bytes(str(number).encode() * 50)
    code = f"""
from pathlib import Path
from reidbench.data import fingerprint_folder
print(*(fingerprint_folder(Path({str(folder)!r}), full=True) for _ in range(5)))
"""
    command = [sys.executable, "-c", code]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {text for process in several for text in process.communicate()[0].split()}
    assert answers == {fingerprint_folder(folder)}
    names = [str(number) for number in range(300)]
    assert hashes(folder, *names) == [hashlib.sha256(name.encode() * 50).hexdigest() for name in names]
    left = [path.suffix for path in (tmp_path / "cache/.contents").iterdir()]
    assert left == [".index"]


@pytest.mark.usefixtures("settled")
def test_links_lead_to_their_targets_content(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "far").write_bytes(b"far")
    (folder / "file-link").symlink_to(outside / "far")
    (folder / "folder-link").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    os.link(folder / "a", folder / "hard")
    before = fingerprint_folder(folder)
    assert fingerprint_folder(folder) == before
    found = hash_files(folder, ["file-link", "folder-link/far", "a", "hard", "round/a"])
    assert found.hex(0) == found.hex(1) == hashlib.sha256(b"far").hexdigest()
    assert found.hex(2) == found.hex(3) == found.hex(4)
    rewrite(outside / "far", b"raf")
    after = fingerprint_folder(folder)
    assert after != before
    (folder / "round").unlink()
    (folder / "round").symlink_to("folder-link")
    assert fingerprint_folder(folder) != after


def test_parts_and_lists_of_files(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/x").write_bytes(b"x")
    one = fingerprint_folder(folder, only=("a", "sub", "none"))
    (folder / "b").write_bytes(b"changed")  # not asked for
    assert fingerprint_folder(folder, only=("a", "sub", "none")) == one
    (folder / "none").touch()
    assert fingerprint_folder(folder, only=("a", "sub", "none")) != one
    listed = fingerprint_paths(folder, ["a", "gone", "sub/x"])
    rewrite(folder / "sub/x", b"y")
    assert fingerprint_paths(folder, ["a", "gone", "sub/x"]) != listed
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataError, match="pipe: cannot be read: not a regular file"):
        fingerprint_paths(folder, ["a", "pipe"])
    with pytest.raises(DataError, match="gone: cannot be read: No such file"):
        fingerprint_file(folder / "gone")


def test_a_data_set_around_the_cache_does_not_change_with_it(tmp_path: Path, folder: Path) -> None:
    assert folder.parent == tmp_path  # where the cache is, too
    assert fingerprint_folder(tmp_path) == fingerprint_folder(tmp_path)


@pytest.mark.usefixtures("settled")
def test_files_that_are_gone_leave_the_index(folder: Path, tmp_path: Path) -> None:
    hashes(folder, "a")
    (file,) = (tmp_path / "cache/.contents").iterdir()
    one = file.stat().st_size
    for number in range(20):
        (folder / "new").write_bytes(bytes([number]))
        (folder / f"keep{number}").touch()
        (folder / "new").replace(folder / "a")
        hashes(folder, "a")
    assert file.stat().st_size < 8 * one


def test_progress_is_reported_when_it_takes_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes(folder)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(contents, "FIRST", 0.0)
    hashes(folder)
    assert f"{folder}: hashing new and changed files: 0.0 MB of 0.0 MB" in capsys.readouterr().err
