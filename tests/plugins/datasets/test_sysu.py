"""SYSU-MM01: persons of three lists, visible and infrared cameras."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.data import examine
from reidbench.errors import DataError
from tests.support.copies import Open, rows, touch

# person: the cameras that it is seen by, one picture each
SEEN = {1: "1236", 2: "45", 3: "13", 7: "1245636", 8: "36", 9: "2", 11: "1", 12: "34"}
TRAIN, VAL, TEST = "1,2", "3", "7,8,9"  # 11 and 12 are in no list


def copy(root: Path) -> Path:
    for person, cameras in SEEN.items():
        touch(root, [f"cam{camera}/{person:04d}/{at + 1:04d}.jpg" for at, camera in enumerate(cameras)])
    lists(root, TRAIN, VAL, TEST)
    return root


def lists(root: Path, *texts: str) -> None:
    (root / "exp").mkdir(exist_ok=True)
    for name, text in zip(("train_id", "val_id", "test_id"), texts, strict=True):
        (root / f"exp/{name}.txt").write_text(text)


def test_persons_cameras_and_modalities(read: Open, tmp_path: Path) -> None:
    copy(tmp_path / "SYSU-MM01")
    dataset = read("sysu-mm01", tmp_path, check="off")  # the folder above is meant too
    assert dataset.name == "sysu-mm01:trainval"
    assert dataset.query is not None
    assert dataset.gallery is not None
    assert rows(dataset.train) == [(1, 0), (3, 0), (1, 1), (1, 2), (3, 2), (2, 3), (2, 4), (1, 5)]
    assert dataset.train.modality == ("visible",) * 3 + ("infrared",) * 2 + ("visible",) * 2 + ("infrared",)
    assert rows(dataset.query) == [(7, 2), (8, 2), (7, 5), (7, 5), (8, 5)]  # person 9 has no infrared picture
    assert set(dataset.query.modality or ()) == {"infrared"}
    assert rows(dataset.gallery) == [(7, 0), (7, 1), (9, 1), (7, 3), (7, 4)]
    assert set(dataset.gallery.modality or ()) == {"visible"}
    assert dataset.notes == ("3 images of 2 persons left out, who are not in any list of exp",)
    assert (dict(dataset.strays), dataset.faults, dataset.one_numbering) == ({}, (), True)
    alone = read("sysu-mm01", tmp_path, check="off", train="train")
    assert set(alone.train.pids) == {1, 2}
    assert alone.notes[0] == "2 images of 1 persons of val_id.txt left out: train: train"


def test_a_check_counts_each_modality(read: Open, tmp_path: Path) -> None:
    report = examine(read("sysu-mm01", copy(tmp_path / "s")))
    for problem in (
        "train: 5 visible images, published: 22258: 22253 missing",
        "train: 3 infrared images, published: 11909: 11906 missing",
        "query: 5 infrared images, published: 3803: 3798 missing",
        "query: 2 identities, published: 96",
    ):
        assert problem in report.problems
    assert "gallery: 5 visible images, published: 6775 (unverified): 6770 missing" in report.remarks
    with pytest.raises(DataError, match="not the published sysu-mm01:trainval"):
        read("sysu-mm01", tmp_path / "s", check="strict")


def test_what_does_not_belong_is_named(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "s")
    touch(root, ["cam1/0001/001.jpg", "cam1/1/0001.jpg", "cam6/0007.jpg", "cam2/0001/0009.JPG", "cam3/0007/x.txt"])
    (root / "exp/available_id.txt").write_text("1")
    dataset = read("sysu-mm01", root, check="off")
    wrong = ["cam1/0001/001.jpg", "cam1/1/0001.jpg", "cam6/0007.jpg"]
    assert dict(dataset.strays) == {"train": wrong}
    assert (1, 1) in rows(dataset.train)
    assert "cam2/0001/0009.JPG" in dataset.train.paths
    assert sum("names are not like 0001/0001.jpg" in note for note in dataset.notes) == 2
    assert any("cam3: 1 files left out" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("1;2", "3", "7"), r"train_id\.txt:1: '1;2' is not a person's number; the list is like 1,2,4"),
        (("1", "3\n4,x", "7"), r"val_id\.txt:2: 'x' is not a person's number"),
        (("1", "3", "7,0"), r"test_id\.txt:1: '0' is not a person's number"),
        (("1", "3", "7,10000"), r"test_id\.txt:1: '10000' is not"),
        (("1", "3", "7,１"), r"test_id\.txt:1: '１' is not"),
        ((" \n", "3", "7"), r"train_id\.txt: contains no person"),
        (("1,2", "3", "2,7"), r"exp/test_id\.txt: person 2 in exp/train_id\.txt too; a person may be in one part only"),
        (("1", "3,7,8", "7,8"), r"exp/test_id\.txt: 2 persons \(7, 8\) in exp/val_id\.txt too"),
        (("20", "21", "7"), r"no image of a person of training"),
        (("1", "3", "9"), r"no image of a test person in an infrared camera"),
        (("1", "3", "8"), r"no image of a test person in a visible camera"),
    ],
)
def test_wrong_lists(texts: tuple[str, str, str], said: str, read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "s")
    lists(root, *texts)
    with pytest.raises(DataError, match=said):
        read("sysu-mm01", root)


def test_lists_may_have_lines_marks_and_a_last_comma(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "s")
    before = read("sysu-mm01", root, check="off").train.paths
    (root / "exp/train_id.txt").write_bytes(b"\xef\xbb\xbf0001, \r\n2,\r\n")
    assert read("sysu-mm01", root, check="off").train.paths == before


def test_a_person_without_a_picture_is_a_fault(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "s")
    lists(root, "1,2,30", "3", "7,8,9,40,41,42,43,44,45")
    dataset = read("sysu-mm01", root, check="off")
    assert dataset.faults == (
        "exp/train_id.txt: person 30 without an image",
        "exp/test_id.txt: 6 persons (40, 41, 42, 43, 44, ...) without an image",
    )


def test_a_missing_folder_or_list(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "SYSU-MM01")
    with pytest.raises(DataError, match=rf"cam1: no such folder; did you mean {root} as root\?"):
        read("sysu-mm01", root / "cam2")
    (root / "exp/val_id.txt").unlink()
    (root / "exp/test_id.txt").unlink()
    with pytest.raises(DataError, match=r"exp/val_id\.txt, exp/test_id\.txt missing: the lists come with the release"):
        read("sysu-mm01", root)
    (root / "cam5").rename(root / "cam7")
    with pytest.raises(DataError, match="cam5: no such folder"):
        read("sysu-mm01", root)
