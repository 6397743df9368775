"""MSMT17 in its versions, by its lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidbench.cli import data
from reidbench.errors import DataError
from tests.support.copies import Open, rows, touch


def msmt(root: Path, train: str, test: str) -> Path:
    lists = {
        "list_train.txt": ["0000/0000_045_12_0303morning_0006_2.jpg 0", "0001/0001_000_01_0303noon_0001_0_ex.jpg 1"],
        "list_val.txt": ["0000/0000_046_15_0303morning_0007_2.jpg 0"],
        "list_query.txt": ["0000/0000_000_03_0303morning_0001_0.jpg 0"],
        "list_gallery.txt": ["0000/0000_001_10_0303morning_0001_0.jpg 0", "3059/3059_001_04_0303noon_0001_0.jpg 3059"],
    }
    for file, lines in lists.items():
        folder = train if file in ("list_train.txt", "list_val.txt") else test
        touch(root, [f"{folder}/{line.split()[0]}" for line in lines])
        (root / file).write_text("\n".join(lines) + "\n")
    touch(root, [f"{train}/0000/Thumbs.db"])
    return root


@pytest.mark.parametrize(
    ("name", "folders"), [("msmt17-v1", ("train", "test")), ("msmt17-v2", ("mask_train_v2", "mask_test_v2"))]
)
def test_msmt17(name: str, folders: tuple[str, str], read: Open, tmp_path: Path) -> None:
    root = msmt(tmp_path / name.upper().replace("-", "_"), *folders)
    dataset = read(name, root, check="off")
    assert dataset.name == f"{name}:train"
    assert rows(dataset.train) == [(1, 11), (2, 0)]  # cameras of two digits; _ex is a picture like others
    assert rows(dataset.query) == [(1042, 2)]  # test persons restart at 0, who is a person and no distractor
    assert rows(dataset.gallery) == [(1042, 9), (4101, 3)]
    assert dataset.notes == ()
    assert rows(dataset.validation) == [(1, 14)]  # a person of train
    assert set(dataset.parts()) == {"train", "query", "gallery"}  # no part of a run that does not ask for it
    both = read(name, tmp_path, train="trainval", check="off")  # the folder above is meant too
    assert rows(both.train) == [(1, 11), (1, 14), (2, 0)]
    assert both.name == f"{name}:trainval"
    assert both.validation is None


def test_the_check_reads_the_validation_part_and_compares_folders_of_one_level(tmp_path: Path) -> None:
    """The given copy, too, may be the folder above that of the images."""
    for copy in ("mine", "theirs"):
        msmt(tmp_path / copy / "MSMT17_V1", "train", "test")
    (tmp_path / "mine/MSMT17_V1/train/0000/0000_046_15_0303morning_0007_2.jpg").write_bytes(b"no picture")
    (tmp_path / "theirs/MSMT17_V1/test/0000/0000_000_03_0303morning_0001_0.jpg").unlink()
    command = ["check", "msmt17-v1", str(tmp_path / "mine"), "--set", "check=off", "--full", "--against"]
    for given in (tmp_path / "theirs", tmp_path / "theirs/MSMT17_V1"):
        done = CliRunner().invoke(data.app, [*command, str(given)])
        assert done.exit_code == 1
        assert "images that cannot be decoded: 1\n" in done.output
        assert "1 files unexpected, compared with the given copy: test/0000/0000_000_03" in done.output
        assert "missing, compared" not in done.output


def test_msmt17_versions_are_never_mistaken(read: Open, tmp_path: Path) -> None:
    root = msmt(tmp_path / "m", "mask_train_v2", "mask_test_v2")
    with pytest.raises(DataError, match="this is msmt17-v2: set use: msmt17-v2"):
        read("msmt17-v1", root)
    with pytest.raises(DataError, match="this is msmt17-v1: set use: msmt17-v1"):
        read("msmt17-v2", msmt(tmp_path / "n", "train", "test"))


def test_msmt17_lists(read: Open, tmp_path: Path) -> None:
    root = msmt(tmp_path / "m", "train", "test")
    touch(root, ["train/0000/stranger.jpg"])
    (root / "test/0000/0000_001_10_0303morning_0001_0.jpg").unlink()
    dataset = read("msmt17-v1", root, check="off")
    assert dataset.absent == {"gallery": ["test/0000/0000_001_10_0303morning_0001_0.jpg"]}
    assert dataset.strays == {"train": ["train/0000/stranger.jpg"]}
    assert "1 listed images are missing" in dataset.notes[0]
    with pytest.raises(DataError, match="1 images named in the lists are missing: test/0000"):
        read("msmt17-v1", root, check="strict")
    (root / "list_train.txt").write_text("0000/0000_045_12_0303morning_0006_2.jpg\n")
    with pytest.raises(DataError, match=r"list_train\.txt:1: .* is not a line like"):
        read("msmt17-v1", root)
    for label in ("１", "1_0", "-1", "1e0"):
        (root / "list_train.txt").write_text(f"0000/0000_045_12_0303morning_0006_2.jpg {label}\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"list_train\.txt:1: .* is not a line like"):
            read("msmt17-v1", root)
    (root / "list_train.txt").write_text("0000/0000_045_12_0303morning_0006_2.jpg 1041\n")  # would be test person 0
    with pytest.raises(DataError, match=r"list_train\.txt:1: person 1041 is outside the train persons 0 to 1040"):
        read("msmt17-v1", root)
    (root / "list_val.txt").unlink()
    with pytest.raises(DataError, match=r"list_val\.txt missing: the lists come with the release"):
        read("msmt17-v1", root)


def test_msmt17_lists_with_marks_and_pictures_in_capitals(read: Open, tmp_path: Path) -> None:
    root = msmt(tmp_path / "m", "train", "test")
    expected = read("msmt17-v1", root, check="off")
    for file in root.glob("list_*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    for file in list(root.rglob("*.jpg")):
        file.rename(file.with_suffix(".JPG"))
    dataset = read("msmt17-v1", root, check="off")
    for part, split in dataset.parts().items():
        assert rows(split) == rows(expected.parts()[part])
        assert all(path.endswith(".JPG") for path in split.paths)
    assert (dataset.notes, dict(dataset.strays), dict(dataset.absent)) == ((), {}, {})
    touch(root, ["train/0000/x.heic", "test/list.txt"])
    assert len(read("msmt17-v1", root, check="off").notes) == 2
