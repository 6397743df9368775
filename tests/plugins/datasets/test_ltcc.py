"""LTCC: outfits in the names, persons from 0, and the lists of persons who change clothes."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench import Split
from reidbench.data import examine
from reidbench.errors import DataError
from reidbench_datasets.counts import PUBLISHED
from tests.support.copies import Open, touch

NAMES = {
    "train": ["000_1_c1_000001.png", "000_2_c12_000002.png", "001_1_c3_000003.png"],
    "query": ["094_1_c9_015833.png", "151_1_c2_000004.png"],
    "test": ["094_14_c10_015834.png", "094_1_c10_015835.png", "151_1_c1_000005.png"],
}


def ltcc(root: Path) -> Path:
    touch(root, [f"{folder}/{name}" for folder, names in NAMES.items() for name in names])
    (root / "info").mkdir()
    (root / "info/cloth-change_id_train.txt").write_text("000\n")
    (root / "info/cloth-change_id_test.txt").write_text("94\n\n")
    return root


def labels(split: Split | None) -> list[tuple[int, int, int]]:
    assert split is not None
    return [(sample.pid, sample.camid, sample.clothes) for sample in split.samples]


def test_person_0_is_a_person_and_outfits_are_as_in_the_names(read: Open, tmp_path: Path) -> None:
    dataset = read("ltcc", ltcc(tmp_path / "LTCC_ReID"), check="off")
    assert dataset.name == "ltcc:all"
    assert labels(dataset.train) == [(1, 0, 1), (1, 11, 2), (2, 2, 1)]
    assert labels(dataset.query) == [(95, 8, 1), (152, 1, 1)]
    assert labels(dataset.gallery) == [(95, 9, 14), (95, 9, 1), (152, 0, 1)]
    assert (dataset.notes, dataset.faults, dict(dataset.strays)) == ((), (), {})
    assert read("ltcc", tmp_path, check="off").train.paths == dataset.train.paths  # the folder above is meant too


def test_those_who_change_clothes_are_the_listed_ones(read: Open, tmp_path: Path) -> None:
    root = ltcc(tmp_path / "LTCC_ReID")
    dataset = read("ltcc", root, persons="cloth-changing", check="off")
    assert dataset.name == "ltcc:cloth-changing"
    assert labels(dataset.train) == [(1, 0, 1), (1, 11, 2)]
    assert labels(dataset.query) == [(95, 8, 1)]
    assert labels(dataset.gallery) == [(95, 9, 14), (95, 9, 1)]
    (root / "info/cloth-change_id_train.txt").write_text("000\n050\n7\n")
    noted = read("ltcc", root, persons="cloth-changing", check="off").notes
    assert noted == ("info/cloth-change_id_train.txt: 2 listed persons have no image in train: 7, 50",)


@pytest.mark.parametrize("line", ["anna", "152", "-1", "1 2", "１", "1_0"])
def test_a_line_that_is_no_person_is_named(line: str, read: Open, tmp_path: Path) -> None:
    root = ltcc(tmp_path / "LTCC_ReID")
    (root / "info/cloth-change_id_test.txt").write_text(f"94\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"id_test\.txt:2: .* is not a person's number, from 0 to 151"):
        read("ltcc", root, persons="cloth-changing")
    assert len(read("ltcc", root, check="off").train) == 3  # which reads no list


def test_a_list_that_is_not_there_is_needed_by_one_setting_only(read: Open, tmp_path: Path) -> None:
    root = ltcc(tmp_path / "LTCC_ReID")
    (root / "info/cloth-change_id_train.txt").write_text("\n")
    with pytest.raises(DataError, match=r"cloth-change_id_train\.txt: the list of persons is empty"):
        read("ltcc", root, persons="cloth-changing")
    (root / "info/cloth-change_id_train.txt").unlink()
    with pytest.raises(DataError, match=r"cloth-change_id_train\.txt: no such file; .* persons: all needs no list"):
        read("ltcc", root, persons="cloth-changing")
    assert len(read("ltcc", root, check="off").train) == 3


def test_a_list_of_others_is_one_sentence(read: Open, tmp_path: Path) -> None:
    root = ltcc(tmp_path / "LTCC_ReID")
    (root / "info/cloth-change_id_train.txt").write_text("7\n")
    with pytest.raises(DataError, match=r"no image of the persons in info/cloth-change_id_train\.txt and "):
        read("ltcc", root, persons="cloth-changing")


STRANGE = [
    "train/000_0_c1_000001.png",  # outfits count from 1
    "train/000_1_c13_000001.png",
    "train/000_1_c0_000001.png",
    "train/152_1_c1_000001.png",
    "train/0000_1_c1_000001.png",
    "train/000_1_c1_000001 copy.png",
    "train/000_c1_000001.png",
]


def test_what_does_not_match_as_a_whole_is_left_out_and_named(read: Open, tmp_path: Path) -> None:
    root = ltcc(tmp_path / "LTCC_ReID")
    touch(root, STRANGE)
    dataset = read("ltcc", root, check="off")
    assert len(dataset.train) == 3
    assert sorted(dataset.strays["train"]) == sorted(STRANGE)
    with pytest.raises(DataError, match="train: 7 files that do not belong to the set"):
        read("ltcc", root, check="strict")


def test_a_check_names_what_is_not_published(read: Open, tmp_path: Path) -> None:
    root = ltcc(tmp_path / "LTCC_ReID")
    report = examine(read("ltcc", root, check="off"))
    assert "gallery: 3 images, published: 7050: 7047 missing" in report.problems
    assert "all: 4 identities, published: 152" in report.problems
    assert "all: 6 outfits, published: 478 (unverified)" in report.remarks  # 2, 1, 2 and 1
    few = examine(read("ltcc", root, persons="cloth-changing", check="off"))
    assert "train: 1 identities, published: 46" in few.problems
    assert "query: 1 identities, published: 45 (unverified)" in few.remarks


def test_the_lists_are_in_the_fingerprint_of_the_setting_that_reads_them(read: Open, tmp_path: Path) -> None:
    from reidbench_datasets.ltcc import fingerprint
    from reidbench_datasets.params import LtccParams

    root = ltcc(tmp_path / "LTCC_ReID")
    both = [LtccParams(), LtccParams(persons="cloth-changing")]
    before = [fingerprint(params, root) for params in both]
    (root / "info/cloth-change_id_test.txt").write_text("94\n151\n")
    after = [fingerprint(params, root) for params in both]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_wrong_root_names_the_right_one(read: Open, tmp_path: Path) -> None:
    root = ltcc(tmp_path / "LTCC_ReID")
    with pytest.raises(DataError, match=r"train/train: no such folder; did you mean .*/LTCC_ReID as root\?"):
        read("ltcc", root / "train")
    (tmp_path / "LTCC_ReID").rename(tmp_path / "data")
    with pytest.raises(DataError, match=r"train: no such folder; did you mean .*/data as root\?"):
        read("ltcc", tmp_path)


def test_published_counts_add_up_to_the_totals() -> None:
    whole, few = PUBLISHED["ltcc:all"].parts, PUBLISHED["ltcc:cloth-changing"].parts
    assert sum(counts.images or 0 for counts in whole.values()) == 17119
    assert (whole["train"].identities or 0) + (whole["gallery"].identities or 0) == whole["all"].identities == 152
    assert (few["train"].identities or 0) + (few["gallery"].identities or 0) == 91
    assert (few["train"].images, few["gallery"].images) == (9576 - 1209, 7050 - 1031)
