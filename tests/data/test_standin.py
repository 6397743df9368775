"""Stand-ins are marked, complete, and distinguished from the data set through any link."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.data import Dataset, Split, is_stand_in, make_stand_in
from reidbench.data.standin import MARK, NOTE, told_as_stand_in
from reidbench.errors import DataError


def fill(folder: Path) -> None:
    (folder / "train").mkdir()
    (folder / "train" / "a.png").write_bytes(b"a")


def test_a_stand_in_is_made_once_and_marked(tmp_path: Path) -> None:
    top = make_stand_in(tmp_path / "set", "market1501", {"strict": False}, fill)
    assert (top / MARK).is_file()
    (top / "train" / "a.png").write_bytes(b"kept")
    assert make_stand_in(top, "market1501", {"strict": False}, fill) == top
    assert (top / "train" / "a.png").read_bytes() == b"kept"


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    top = make_stand_in(tmp_path / "set", "market1501", {"strict": False}, fill)
    with pytest.raises(
        DataError, match=r"set: not empty, and not the same stand-in for market1501; choose another folder"
    ):
        make_stand_in(top, "market1501", {"strict": True}, fill)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match=r"mine: not empty, and not the same stand-in for viper"):
        make_stand_in(tmp_path / "mine", "viper", {}, fill)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_nothing_is_left_of_one_that_was_not_finished(tmp_path: Path) -> None:
    def stop(folder: Path) -> None:
        fill(folder)
        raise DataError("disk full")

    with pytest.raises(DataError, match="disk full"):
        make_stand_in(tmp_path / "set", "viper", {}, stop)
    assert list(tmp_path.iterdir()) == []


def test_all_below_the_mark_is_a_stand_in_and_nothing_beside_or_above(tmp_path: Path) -> None:
    top = make_stand_in(tmp_path / "sets" / "a", "viper", {}, fill)
    (tmp_path / "sets" / "real").mkdir()
    (tmp_path / "link").symlink_to(top / "train")
    (top / "out").symlink_to(tmp_path / "sets" / "real")
    for marked in (top, top / "train", top / "train" / "a.png", tmp_path / "link"):
        assert is_stand_in(marked), marked
    for unmarked in (tmp_path, tmp_path / "sets", tmp_path / "sets" / "real", top / "out", tmp_path / "nowhere"):
        assert not is_stand_in(unmarked), unmarked


def test_a_data_set_is_told_by_its_pictures_or_by_its_root(tmp_path: Path) -> None:
    top = make_stand_in(tmp_path / "a", "viper", {}, fill)
    marked, plain = (Dataset("x", root, Split(root, ())) for root in (top / "train", tmp_path))
    assert told_as_stand_in(marked, None).faults == told_as_stand_in(marked, None).notes == (NOTE,)
    assert told_as_stand_in(plain, str(top)).notes == (NOTE,)
    assert told_as_stand_in(plain, str(tmp_path)) is plain
