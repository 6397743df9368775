"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reidbench.files.atomic import rename_whole, whole_folder, write_whole, written_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(b"old")
    with written_whole(file) as beside:
        beside.write_bytes(b"half")
        assert file.read_bytes() == b"old"
        beside.write_bytes(b"new")
    write_whole(tmp_path / "y", b"text")
    assert (file.read_bytes(), (tmp_path / "y").read_bytes()) == (b"new", b"text")
    assert names(tmp_path) == ["x.json", "y"]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"old")
    for make in (Path.touch, Path.mkdir, lambda beside: None):
        with pytest.raises(KeyboardInterrupt), written_whole(file) as beside:
            make(beside)
            raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError), written_whole(file):
        pass  # nothing was written
    with pytest.raises(NotADirectoryError):
        write_whole(file / "in a file", b"")
    assert (file.read_bytes(), names(tmp_path)) == (b"old", ["x"])


def test_a_folder_can_be_written_whole_too(tmp_path: Path) -> None:
    with written_whole(tmp_path / "run") as beside:
        beside.mkdir()
        (beside / "a").touch()
    assert names(tmp_path / "run") == ["a"]


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_whole(tmp_path / ("f" * 255), b"x")
    write_whole(tmp_path / ("ü" * 127), b"x")
    with whole_folder(tmp_path / ("d" * 255)):
        pass
    assert names(tmp_path) == ["d" * 255, "f" * 255, "ü" * 127]


def test_what_a_killed_writer_left_under_a_fixed_name_is_overwritten(tmp_path: Path) -> None:
    file, beside = tmp_path / "state", tmp_path / "state.new"
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom reidbench.files.atomic import written_whole\n"
        "with written_whole(Path(sys.argv[1]), Path(sys.argv[2])) as place:\n"
        "    place.write_bytes(b'half')\n    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(file), str(beside)], check=False)
    assert (killed.returncode, names(tmp_path)) == (-9, ["state.new"])
    with written_whole(file, beside) as place:
        place.write_bytes(b"whole")
    assert (file.read_bytes(), names(tmp_path)) == (b"whole", ["state"])


def test_the_slower_of_two_writers_uses_the_folder_of_the_faster(tmp_path: Path) -> None:
    place = tmp_path / "set"
    with whole_folder(place) as slow:
        (slow / "by").write_text("slow", encoding="utf-8")
        with whole_folder(place) as fast:
            (fast / "by").write_text("fast", encoding="utf-8")
    assert (place / "by").read_text(encoding="utf-8") == "fast"
    assert names(tmp_path) == ["set"]


def test_a_folder_takes_the_place_of_an_empty_one_and_has_its_mode(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with whole_folder(tmp_path / "set", mode=0o700) as work:
        (work / "a").touch()
    assert names(tmp_path / "set") == ["a"]
    assert stat.S_IMODE((tmp_path / "set").stat().st_mode) == 0o700


def test_leftovers_of_dead_processes_are_swept_and_of_living_and_other_hosts_are_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    kept = [f".set.part-{host}-{os.getpid()}-0badcafe", ".set.part-other-host-123-0badcafe", ".other.part-x-1-0badcafe"]
    for name in [f".set.part-{host}-{dead.pid}-0badcafe", *kept]:
        (tmp_path / name).mkdir()
    with whole_folder(tmp_path / "set"):
        pass
    assert names(tmp_path) == sorted([*kept, "set"])


def test_only_an_equal_folder_excuses_a_rename_that_fails(tmp_path: Path) -> None:
    for name in ("work", "full"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    rename_whole(tmp_path / "work", tmp_path / "full", lambda: True)
    with pytest.raises(OSError, match="not empty"):
        rename_whole(tmp_path / "work", tmp_path / "full", lambda: False)
    assert names(tmp_path / "full") == ["full"]
