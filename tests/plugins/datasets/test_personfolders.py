"""Folders for each person, as written by prepare.py of Person_reID_baseline_pytorch."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidbench.cli.main import app
from reidbench.errors import DataError
from reidbench_datasets.params import PersonFoldersParams
from reidbench_datasets.personfolders import fingerprint
from tests.support.copies import Open, rows, touch


@pytest.fixture
def pytorch(tmp_path: Path) -> Path:
    """Market-1501 with two persons for training, one for the test, a distractor and junk."""
    names = {
        "train_all/0002": ["0002_c1s1_000451_03.jpg", "0002_c2s1_000301_01.jpg"],
        "train_all/0007": ["0007_c3s3_077419_03.jpg"],
        "train/0002": ["0002_c2s1_000301_01.jpg"],
        "val/0002": ["0002_c1s1_000451_03.jpg"],
        "val/0007": ["0007_c3s3_077419_03.jpg"],
        "query/0001": ["0001_c1s1_001051_00.jpg"],
        "gallery/0001": ["0001_c6s1_009601_00.jpg"],
        "gallery/0000": ["0000_c6s1_000001_00.jpg"],
        "gallery/-1": ["-1_c1s1_000401_03.jpg"],
        "multi-query/0001": ["0001_c1s1_001051_01.jpg"],
    }
    touch(tmp_path / "pytorch", [f"{folder}/{name}" for folder, found in names.items() for name in found])
    return tmp_path / "pytorch"


def test_persons_and_cameras_of_the_folders_and_names(pytorch: Path, read: Open) -> None:
    """Persons are the folders' names; cameras count from 0 inside."""
    dataset = read("person-folders", pytorch)
    assert rows(dataset.train) == [(2, 0), (2, 1), (7, 2)]
    assert rows(dataset.query) == [(1, 0)]
    assert sorted(rows(dataset.gallery)) == [(-1, 0), (0, 5), (1, 5)]
    assert dataset.notes == ()
    assert read("person-folders", pytorch.parent).train.paths == dataset.train.paths
    assert read("person-folders", pytorch, train="train").train.paths == ("train/0002/0002_c2s1_000301_01.jpg",)
    both = read("person-folders", pytorch, train="train+val")
    assert sorted(rows(both.train)) == sorted(rows(dataset.train))


def test_names_without_a_camera(pytorch: Path, read: Open) -> None:
    for number, file in enumerate(sorted(pytorch.rglob("*.jpg"))):
        file.rename(file.with_name(f"any name {number}.JPG"))
    with pytest.raises(
        DataError, match=r"train_all: no image with a name like 0002/0002_c1s1_000451_03\.jpg; `reidbench data"
    ):
        read("person-folders", pytorch)
    dataset = read("person-folders", pytorch, cameras="none")
    assert rows(dataset.train) == [(2, -1), (2, -1), (7, -1)]


def test_what_does_not_belong_is_left_out_and_named(pytorch: Path, read: Open) -> None:
    touch(
        pytorch, ["train_all/0002/0007_c1s1_000001_01.jpg", "train_all/0002/x.jpg", "train_all/anna/0003_c1s1_1_1.jpg"]
    )
    touch(pytorch, ["query/0001/Thumbs.db", "query/0001_c2s1_000001_00.jpg"])
    dataset = read("person-folders", pytorch)
    assert rows(dataset.train) == [(2, 0), (2, 1), (7, 2)]
    assert dataset.notes == (
        "train: 1 files left out, their names and folders have different persons: "
        "train_all/0002/0007_c1s1_000001_01.jpg",
        "train: 1 files left out, their names do not match: train_all/0002/x.jpg",
        "train: 1 files left out, they are not in a folder whose name is a person's number: train_all/anna/",
        "query: 1 files left out, they are not in a folder whose name is a person's number: "
        "query/0001_c2s1_000001_00.jpg",
    )
    assert dataset.strays["query"] == ["query/0001_c2s1_000001_00.jpg"]
    with pytest.raises(DataError, match="names and folders have different persons"):
        read("person-folders", pytorch, strict=True)


def test_the_other_folder_of_training_is_named_where_one_is_missing(pytorch: Path, read: Open) -> None:
    shutil.rmtree(pytorch / "train_all")
    for look in (lambda: read("person-folders", pytorch), lambda: fingerprint(PersonFoldersParams(), pytorch)):
        with pytest.raises(DataError, match=r"train_all: no such folder; set train: train$"):
            look()
    shutil.rmtree(pytorch / "train")
    with pytest.raises(DataError, match="train_all: no such folder; `reidbench data manifest` makes a CSV of images"):
        read("person-folders", pytorch)


def test_a_check_of_a_whole_copy_and_of_one_that_should_be_market1501(pytorch: Path) -> None:
    done = CliRunner().invoke(app, ["data", "check", "person-folders", str(pytorch)])
    assert (done.exit_code, "person-folders: no problems found" in done.output) == (0, True), done.output
    done = CliRunner().invoke(app, ["data", "check", "person-folders", str(pytorch), "--set", "published=market1501"])
    assert done.exit_code == 1
    assert "problem: query: 1 images, published: 3368: 3367 missing" in done.output


def test_published_counts_are_market1501s_where_they_are_asked_for(pytorch: Path, read: Open) -> None:
    assert read("person-folders", pytorch).published is None
    warned = read("person-folders", pytorch, published="market1501", train="train")
    assert (
        "not the published person-folders:market1501:train: train: 1 images, published: 12185: 12184 missing"
        in warned.notes
    )
    with pytest.raises(DataError, match="train: 3 images, published: 12936: 12933 missing"):
        read("person-folders", pytorch, published="market1501", check="strict")
