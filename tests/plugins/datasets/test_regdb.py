"""RegDB: the lists of one of ten splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.data import examine
from reidbench.errors import DataError
from tests.support.copies import Open, rows, touch

TRAIN, TEST = (4, 2), (3, 1)  # persons of split 1, in the order of their labels
LETTER = {"Visible": "v", "Thermal": "t"}


def path(folder: str, person: int, number: int) -> str:
    return f"{folder}/{person}/male_front_{LETTER[folder]}_{number:05d}_{person}.bmp"


def lines(folder: str, persons: tuple[int, ...], each: int) -> list[str]:
    return [f"{path(folder, pid, n)} {label}" for label, pid in enumerate(persons) for n in range(each)]


def copy(
    root: Path, train: tuple[int, ...] = TRAIN, test: tuple[int, ...] = TEST, split: int = 1, each: int = 2
) -> Path:
    (root / "idx").mkdir(parents=True, exist_ok=True)
    for folder in LETTER:
        touch(root, [path(folder, pid, n) for pid in (*train, *test) for n in range(each)])
        for part, persons in (("train", train), ("test", test)):
            text = "\n".join(lines(folder, persons, each))
            (root / f"idx/{part}_{folder.lower()}_{split}.txt").write_text(text)
    return root


def test_one_split_in_both_directions(read: Open, tmp_path: Path) -> None:
    copy(tmp_path / "RegDB")
    dataset = read("regdb", tmp_path, check="off")  # the folder above is meant too
    assert dataset.name == "regdb:visible"
    assert dataset.query is not None
    assert dataset.gallery is not None
    assert rows(dataset.train) == [(2, 1)] * 2 + [(4, 1)] * 2 + [(2, 0)] * 2 + [(4, 0)] * 2
    assert dataset.train.modality == ("thermal",) * 4 + ("visible",) * 4
    assert rows(dataset.query) == [(1, 0), (1, 0), (3, 0), (3, 0)]
    assert rows(dataset.gallery) == [(1, 1), (1, 1), (3, 1), (3, 1)]
    assert set(dataset.query.modality or ()) == {"visible"}
    assert set(dataset.gallery.modality or ()) == {"thermal"}
    assert dataset.notes == ("split 1 of ten: published numbers are means over all ten",)
    back = read("regdb", tmp_path, check="off", query="thermal")
    assert back.query is not None
    assert back.gallery is not None
    assert (back.query.paths, back.gallery.paths) == (dataset.gallery.paths, dataset.query.paths)
    assert back.train.paths == dataset.train.paths


@pytest.mark.slow
def test_a_whole_copy_and_one_that_is_not(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "r", tuple(range(1, 207)), tuple(range(207, 413)), each=10)
    report = examine(read("regdb", root, check="strict"))
    assert (report.problems, report.remarks) == ((), ())
    (root / path("Thermal", 300, 4)).unlink()
    touch(root, ["Thermal/300/other.bmp"])
    report = examine(read("regdb", root))
    assert set(report.problems) == {
        "gallery: 2059 images, published: 2060: 1 missing",
        "gallery: 2059 thermal images, published: 2060: 1 missing",
        "gallery: 1 images named in the lists are missing: Thermal/300/male_front_t_00004_300.bmp",
        "train: 1 files that do not belong to the set: Thermal/300/other.bmp",
    }
    with pytest.raises(DataError, match="not the published regdb:visible"):
        read("regdb", root, check="strict")


def test_persons_numbered_from_0_are_no_distractors(read: Open, tmp_path: Path) -> None:
    dataset = read("regdb", copy(tmp_path / "r", (4, 2), (3, 0)), check="off")
    assert dataset.query is not None
    assert sorted(set(dataset.train.pids)) == [3, 5]
    assert sorted(set(dataset.query.pids)) == [1, 4]
    assert dataset.faults == ()


WRONG = [
    ("Visible/1/a.bmp", r"train_visible_1\.txt:1: .* is not a line like 'Visible/1/male_front_v_00007_1\.bmp 0'"),
    ("Visible/1/a.bmp -1", "is not a line like"),
    ("Visible/1/a.bmp １", "is not a line like"),
    ("Visible/1/a.bmp\t1", "is not a line like"),
    ("Thermal/1/a.bmp 1", "is not a line like"),
    ("../Visible/1/a.bmp 1", "is not a line like"),
    ("Visible/one/a.bmp 1", "is not a line like"),
    (f"{path('Visible', 4, 0)} 0\n{path('Visible', 4, 0)} 0", r":2: duplicate name .*, first at .*_1\.txt:1"),
    (
        f"{path('Visible', 4, 0)} 0\n{path('Visible', 2, 0)} 0",
        r":2: label 0 for the folder of person 2, but an earlier line of train gives label 0 to the folder of person 4",
    ),
    (
        f"{path('Visible', 4, 0)} 0\n{path('Visible', 4, 1)} 1",
        r":2: label 1 for the folder of person 4, but an earlier line of train gives it label 0",
    ),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_wrong_lines(text: str, said: str, read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "r")
    (root / "idx/train_visible_1.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read("regdb", root)


def test_both_modalities_have_one_numbering(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "r")
    (root / "idx/train_thermal_1.txt").write_text("\n".join(lines("Thermal", (2, 4), 2)))
    with pytest.raises(DataError, match=r"train_thermal_1\.txt:1: label 0 for the folder of person 2"):
        read("regdb", root)


def test_an_image_of_train_and_test_and_a_person_of_both(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "r")
    touch(root, [path("Visible", 4, 9)])
    test = root / "idx/test_visible_1.txt"
    test.write_text(f"{path('Visible', 4, 9)} 7\n")
    assert "1 identities are in train and in the test: pid 4" in read("regdb", root, check="off").faults[0]
    test.write_text(f"{path('Visible', 4, 0)} 7\n")
    with pytest.raises(DataError, match=r"test_visible_1\.txt:1: duplicate name .*, first at .*train_visible_1\.txt:1"):
        read("regdb", root)


def test_a_missing_folder_or_list(read: Open, tmp_path: Path) -> None:
    root = copy(tmp_path / "RegDB")
    with pytest.raises(DataError, match=rf"Visible: no such folder; did you mean {root} as root\?"):
        read("regdb", root / "Thermal")
    with pytest.raises(DataError, match=r"idx/train_visible_2\.txt, .* missing: the lists of split 2 give the persons"):
        read("regdb", root, split=2)
    (root / "idx/test_thermal_1.txt").write_text("")
    with pytest.raises(DataError, match="gallery: all listed images are missing"):
        read("regdb", root)
