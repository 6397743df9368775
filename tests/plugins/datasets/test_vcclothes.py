"""VC-Clothes: person, camera, outfit and picture in the names; outfits that contradict the paper are noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench import Split
from reidbench.data import examine
from reidbench.errors import DataError
from reidbench_datasets.counts import PUBLISHED
from tests.support.copies import Open, touch

NAMES = {
    "train": ["0001-01-03-04.jpg", "0001-02-01-00.jpg", "0512-04-02-11.jpg"],
    "query": ["0300-02-01-01.jpg", "0300-04-02-01.jpg"],
    "gallery": ["0300-03-01-02.jpg", "0300-04-02-02.jpg", "0007-1-12-02.jpg"],
}


def vc_clothes(root: Path) -> Path:
    touch(root, [f"{folder}/{name}" for folder, names in NAMES.items() for name in names])
    return root


def labels(split: Split | None) -> list[tuple[int, int, int]]:
    assert split is not None
    return [(sample.pid, sample.camid, sample.clothes) for sample in split.samples]


def test_labels_are_as_in_the_names(read: Open, tmp_path: Path) -> None:
    dataset = read("vc-clothes", vc_clothes(tmp_path / "VC-Clothes"), check="off")
    assert dataset.name == "vc-clothes"
    assert labels(dataset.train) == [(1, 0, 3), (1, 1, 1), (512, 3, 2)]
    assert labels(dataset.query) == [(300, 1, 1), (300, 3, 2)]
    assert labels(dataset.gallery) == [(7, 0, 12), (300, 2, 1), (300, 3, 2)]
    assert (dataset.notes, dataset.faults, dict(dataset.strays)) == ((), (), {})
    assert read("vc-clothes", tmp_path, check="off").train.paths == dataset.train.paths  # the folder above is meant too


def test_numbers_that_contradict_the_paper_are_noted(read: Open, tmp_path: Path) -> None:
    """As if outfits were numbered within a camera: then all of a person have number 1, or no two cameras agree."""
    root = vc_clothes(tmp_path / "VC-Clothes")
    touch(root, ["gallery/0301-02-01-01.jpg", "gallery/0301-03-02-01.jpg", "query/0300-04-01-02.jpg"])
    assert read("vc-clothes", root, check="off").notes == (
        "1 persons have no outfit in common in cameras 2 and 3, but the paper says the same clothes (first: pid 301): "
        "results that depend on clothes may be wrong",
        "1 persons have an outfit in common in cameras 3 and 4, but the paper says different clothes (first: pid 300): "
        "results that depend on clothes may be wrong",
    )


STRANGE = [
    "query/0300-05-01-01.jpg",
    "query/0300-00-01-01.jpg",
    "query/0513-01-01-01.jpg",
    "query/0000-01-01-01.jpg",  # who would be a distractor
    "query/0300-02-01.jpg",
    "query/0300_02_01_01.jpg",
    "query/0300-02-01-01b.jpg",
]


def test_what_does_not_match_as_a_whole_is_left_out_and_named(read: Open, tmp_path: Path) -> None:
    root = vc_clothes(tmp_path / "VC-Clothes")
    touch(root, STRANGE)
    dataset = read("vc-clothes", root, check="off")
    assert dataset.query is not None
    assert len(dataset.query) == 2
    assert sorted(dataset.strays["query"]) == sorted(STRANGE)
    with pytest.raises(DataError, match="query: 7 files that do not belong to the set"):
        read("vc-clothes", root, check="strict")


def test_a_check_names_what_is_not_published(read: Open, tmp_path: Path) -> None:
    report = examine(read("vc-clothes", vc_clothes(tmp_path / "VC-Clothes"), check="off"))
    assert "train: 3 images, published: 9449: 9446 missing" in report.problems
    assert "train: 2 identities, published: 256" in report.problems
    assert "query: 1 identities, published: 256 (unverified)" in report.remarks
    assert report.titles()[4] == "outfits / published"
    assert report.table()[0][4] == "3 / -"


def test_a_wrong_root_names_the_right_one(read: Open, tmp_path: Path) -> None:
    root = vc_clothes(tmp_path / "VC-Clothes")
    with pytest.raises(DataError, match=r"query/train: no such folder; did you mean .*/VC-Clothes as root\?"):
        read("vc-clothes", root / "query")
    (root / "gallery").rename(root / "test")
    with pytest.raises(DataError, match="gallery: no such folder"):
        read("vc-clothes", root)


def test_published_counts_add_up_to_the_totals_of_the_paper() -> None:
    parts = PUBLISHED["vc-clothes"].parts
    assert sum(counts.images or 0 for counts in parts.values()) == 19060
    assert (parts["train"].identities or 0) + (parts["gallery"].identities or 0) == 512
