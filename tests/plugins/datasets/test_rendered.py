"""PersonX, RandPerson and ClonedPerson."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.errors import DataError
from tests.support.copies import Open, rows, touch


def test_personx(read: Open, tmp_path: Path) -> None:
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path, [f"{folder}/0001_c{camera}s1_000001_00.jpg" for camera in (3, 4, 8, 10, 11, 12, 5)])
    dataset = read("personx", tmp_path, check="off")
    assert sorted(dataset.train.camids) == [0, 1, 2, 3, 4, 5]
    assert dataset.strays["train"] == ["bounding_box_train/0001_c5s1_000001_00.jpg"]
    touch(tmp_path, ["v1/1/0001_01.jpg"])
    with pytest.raises(DataError, match="PersonX_v1"):
        read("personx", tmp_path / "v1")


def test_randperson(read: Open, tmp_path: Path) -> None:
    names = ["000000_s00_c00_f000001.jpg", "000000_s00_c01_f000001.jpg", "000007_c03_s10_f000001.jpg", "x.jpg"]
    touch(tmp_path, [f"randperson_subset/{name}" for name in names])
    dataset = read("randperson", tmp_path, check="off")
    assert rows(dataset.train) == [(1, 0), (1, 1), (8, 18)]  # offsets of the scenes; person 0 is not a distractor
    assert dataset.query is None
    touch(tmp_path, ["randperson_subset/000007_s01_c00_f000001.jpg", "randperson_subset/000007_s00_c02_f000001.jpg"])
    with pytest.raises(DataError, match="would merge two cameras"):
        read("randperson", tmp_path)


def test_clonedperson_keeps_cameras_of_scenes_apart(read: Open, tmp_path: Path) -> None:
    touch(tmp_path, ["train/000000_s00_c01_f1.jpg", "train/000000_s02_c01_f1.jpg", "train/000001_s02_c00_f1.jpg"])
    touch(tmp_path, ["test/query/000005_s05_c01_f1.jpg", "test/gallery/000005_s02_c01_f1.jpg"])
    dataset = read("clonedperson", tmp_path, check="off")
    assert rows(dataset.train) == [(1, 0), (1, 2), (2, 1)]
    assert rows(dataset.query) == [(6, 3)]
    assert rows(dataset.gallery) == [(6, 2)]
    official = read("clonedperson", tmp_path, check="off", camera_rule="official")
    assert rows(official.query) == rows(official.gallery) == [(6, 5)]  # what the collapse does
