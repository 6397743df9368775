"""PRCC: cameras by letters and folders, two outfits of each person."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench import Split
from reidbench.data import examine
from reidbench.errors import DataError
from reidbench_datasets.counts import PUBLISHED
from tests.support.copies import Open, touch

NAMES = {
    "rgb/train": ["002/A_cropped_rgb001.jpg", "002/B_cropped_rgb004.jpg", "004/C_cropped_rgb1000.jpg"],
    "rgb/val": ["004/A_cropped_rgb002.jpg"],
    "rgb/test/A": ["001/cropped_rgb001.jpg", "328/cropped_rgb001.jpg"],
    "rgb/test/B": ["001/cropped_rgb001.jpg"],
    "rgb/test/C": ["328/cropped_rgb009.jpg", "001/cropped_rgb001.jpg"],
}


def prcc(root: Path) -> Path:
    touch(root, [f"{folder}/{name}" for folder, names in NAMES.items() for name in names])
    touch(root, ["sketch/train/002/A_cropped_rgb001.jpg", "rgb/train/002/Thumbs.db"])
    return root


def labels(split: Split | None) -> list[tuple[int, int, int]]:
    assert split is not None
    return [(sample.pid, sample.camid, sample.clothes) for sample in split.samples]


def test_cameras_are_letters_and_the_third_sees_other_clothes(read: Open, tmp_path: Path) -> None:
    dataset = read("prcc", prcc(tmp_path / "prcc"), check="off")
    assert dataset.name == "prcc:train"
    assert labels(dataset.train) == [(2, 0, 0), (2, 1, 0), (4, 2, 1)]
    assert labels(dataset.validation) == [(4, 0, 0)]
    assert labels(dataset.query) == [(1, 1, 0), (1, 2, 1), (328, 2, 1)]
    assert labels(dataset.gallery) == [(1, 0, 0), (328, 0, 0)]
    assert dataset.query is not None
    assert dataset.query.paths[1:] == ("rgb/test/C/001/cropped_rgb001.jpg", "rgb/test/C/328/cropped_rgb009.jpg")
    assert (dataset.notes, dataset.faults, dict(dataset.strays)) == ((), (), {})
    both = read("prcc", tmp_path, train="trainval", check="off")  # the folder above is meant too
    assert both.name == "prcc:trainval"
    assert labels(both.train) == [(2, 0, 0), (2, 1, 0), (4, 2, 1), (4, 0, 0)]
    assert both.validation is None


STRANGE = [
    "rgb/train/002/cropped_rgb001.jpg",  # no camera
    "rgb/train/002/D_cropped_rgb001.jpg",
    "rgb/train/A_cropped_rgb001.jpg",  # no person
    "rgb/train/000/A_cropped_rgb001.jpg",  # who would be a distractor
    "rgb/train/02/A_cropped_rgb001.jpg",
    "rgb/train/002/A_cropped_rgb001 (1).jpg",
    "rgb/test/B/001/B_cropped_rgb001.jpg",
    "rgb/test/C/001/deeper/cropped_rgb001.jpg",
]


def test_what_does_not_match_as_a_whole_is_left_out_and_named(read: Open, tmp_path: Path) -> None:
    root = prcc(tmp_path / "prcc")
    whole = read("prcc", root, check="off")
    touch(root, STRANGE)
    dataset = read("prcc", root, check="off")
    assert {part: labels(split) for part, split in dataset.parts().items()} == {
        part: labels(split) for part, split in whole.parts().items()
    }
    assert sorted(path for files in dataset.strays.values() for path in files) == sorted(STRANGE)
    assert set(dataset.strays) == {"train", "query"}
    text = "\n".join(dataset.notes)
    assert "rgb/train: 6 files left out, their names do not match" in text
    assert "rgb/test/B: 1 files left out" in text
    assert "rgb/test/C: 1 files left out" in text
    with pytest.raises(DataError, match=r"train: 6 files that do not belong to the set: rgb/train/A_cropped"):
        read("prcc", root, check="strict")


def test_other_endings_are_read(read: Open, tmp_path: Path) -> None:
    root = prcc(tmp_path / "prcc")
    expected = read("prcc", root, check="off")
    for file in list(root.rglob("rgb/**/*.jpg")):
        file.rename(file.with_suffix(".PNG"))
    dataset = read("prcc", root, check="off")
    assert [labels(split) for split in dataset.parts().values()] == [
        labels(split) for split in expected.parts().values()
    ]
    assert dataset.notes == ()


def test_a_check_names_outfits_cameras_and_the_part_for_validation(read: Open, tmp_path: Path) -> None:
    root = prcc(tmp_path / "prcc")
    report = examine(read("prcc", root, check="off"))
    assert "train: 3 images, published: 17896: 17893 missing" in report.problems
    assert "train: 3 outfits, published: 300" not in report.problems  # person 2 has one, person 4 another one
    assert "train: 2 outfits, published: 300" in report.problems
    assert "validation: 1 images, published: 5002: 5001 missing" in report.problems
    assert "query: 3 outfits, published: 142" in report.problems
    assert "query, by camera (without junk): camera 2 -3542, camera 3 -3871" in report.problems
    assert "validation: 1 identities, published: 150 (unverified)" in report.remarks
    with pytest.raises(DataError, match="not the published prcc:train: train: 3 images, published: 17896"):
        read("prcc", root, check="strict")


def test_a_person_of_train_in_the_test_is_a_fault(read: Open, tmp_path: Path) -> None:
    root = prcc(tmp_path / "prcc")
    touch(root, ["rgb/test/A/002/cropped_rgb001.jpg"])
    (fault,) = read("prcc", root, check="off").faults
    assert fault.startswith("1 identities are in train and in the test: pid 2")


@pytest.mark.parametrize(
    ("below", "words"),
    [
        ("rgb", r"prcc/rgb/rgb: no such folder; did you mean .*/prcc as root\?"),
        ("rgb/test", r"prcc/rgb/test/rgb: no such folder"),
        ("sketch", r"prcc/sketch/rgb: no such folder; did you mean .*/prcc as root\?"),
    ],
)
def test_a_wrong_root_names_the_right_one(below: str, words: str, read: Open, tmp_path: Path) -> None:
    root = prcc(tmp_path / "prcc")
    with pytest.raises(DataError, match=words):
        read("prcc", root / below)


def test_a_folder_that_is_gone_or_has_nothing_is_named(read: Open, tmp_path: Path) -> None:
    root = prcc(tmp_path / "prcc")
    (root / "rgb/val/004/A_cropped_rgb002.jpg").rename(root / "rgb/val/004/two.jpg")
    with pytest.raises(DataError, match=r"rgb/val: no image with a name like 001/A_cropped_rgb001\.jpg among 1 files"):
        read("prcc", root)
    (root / "rgb/val").rename(root / "rgb/validation")
    with pytest.raises(DataError, match="rgb/val: no such folder"):
        read("prcc", root)


def test_published_counts_add_up_to_the_totals_of_the_paper() -> None:
    parts = PUBLISHED["prcc:train"].parts
    assert sum(counts.images or 0 for counts in parts.values()) == 33698
    assert sum(parts[part].identities or 0 for part in ("train", "gallery")) == 221
    both = PUBLISHED["prcc:trainval"].parts["train"].images
    assert both == (parts["train"].images or 0) + (parts["validation"].images or 0)
    for part, cameras in PUBLISHED["prcc:train"].per_camera.items():
        assert sum(cameras) == parts[part].images
