"""Counts of outfits, tracklets and modalities, found and published; of sets without these labels nothing changes."""

from __future__ import annotations

from pathlib import Path

from reidbench import Sample, Split
from reidbench.data import Counts, Dataset, Published, examine, judge
from reidbench.data.published import count

ROWS = [  # pid, camid, clothes, modality, tracklet
    (1, 0, 0, "visible", 4),
    (1, 0, 0, "visible", 4),
    (1, 1, 1, "infrared", 5),
    (2, 0, 0, "visible", 6),  # outfit 0 of another person
    (2, 1, -1, "", -1),
    (0, 0, 0, "visible", 7),  # clothes of junk and distractors do not count as outfits
    (-1, 2, 3, "infrared", 8),
]


def split_of(root: Path, rows: list[tuple[int, int, int, str, int]]) -> Split:
    return Split(
        root,
        [
            Sample(f"{at}.png", pid, cam, clothes=worn, modality=word, tracklet=walk)
            for at, (pid, cam, worn, word, walk) in enumerate(rows)
        ],
    )


def test_outfits_are_of_persons_and_tracklets_of_everybody(tmp_path: Path) -> None:
    found = count(split_of(tmp_path, ROWS))
    assert (found.images, found.identities, found.cameras, found.junk, found.distractors) == (7, 3, 3, 1, 1)
    assert (found.outfits, found.tracklets, found.modality) == (3, 5, {"infrared": 2, "visible": 4})


def test_a_set_without_these_labels_has_no_columns_for_them(tmp_path: Path) -> None:
    bare = Split(tmp_path, [Sample("1.png", 1, 0)])
    report = examine(Dataset("toy", tmp_path, bare, published=Published({"train": Counts(1, 1, 1)}, "toy")))
    assert report.titles() == [
        "split", "images / published", "identities / published", "cameras / published", "junk", "distractors",
    ]  # fmt: skip
    assert report.table() == [["train", "1 / 1", "1 / 1", "1 / 1", "0", "0"]]


def test_a_split_without_labels_has_neither_identities_nor_distractors(tmp_path: Path) -> None:
    bare = Split(tmp_path, [Sample(f"{n}.png", 0, n % 2) for n in range(60)])
    report = examine(Dataset("toy", tmp_path, bare))
    assert report.table() == [["train", "60 / -", "- / -", "2 / -", "0", "-"]]


def test_differences_are_named_and_counted(tmp_path: Path) -> None:
    published = Published(
        {
            "train": Counts(7, 3, 3, outfits=4, tracklets=5, modality={"visible": 5, "infrared": 2}),
            "query": Counts(7, 3, 3, outfits=9, tracklets=9, modality={"visible": 4}).doubted("outfits", "tracklets"),
        },
        "toy",
    )
    split = split_of(tmp_path, ROWS)
    report = examine(Dataset("toy", tmp_path, split, split, published=published))
    assert report.problems == (
        "train: 3 outfits, published: 4",
        "train: 4 visible images, published: 5: 1 missing",
    )
    assert report.remarks == (
        "query: 3 outfits, published: 9 (unverified)",
        "query: 5 tracklets, published: 9 (unverified)",
    )
    assert report.titles()[4:] == [
        "outfits / published", "tracklets / published", "visible images / published", "infrared images / published",
        "junk", "distractors",
    ]  # fmt: skip
    assert report.table() == [
        ["train", "7 / 7", "3 / 3", "3 / 3", "3 / 4", "5 / 5", "4 / 5", "2 / 2", "1", "1"],
        ["query", "7 / 7", "3 / 3", "3 / 3", "3 / 9?", "5 / 9?", "4 / 4", "2 / -", "1", "1"],
    ]
    assert "not the published toy: train: 3 outfits, published: 4" in judge(report.dataset, "warn").notes


def test_labels_that_are_gone_are_none_of_the_published_ones(tmp_path: Path) -> None:
    bare = Split(tmp_path, [Sample("1.png", 1, 0)])
    published = Published({"train": Counts(1, 1, 1, outfits=2, modality={"infrared": 1})}, "toy")
    assert examine(Dataset("toy", tmp_path, bare, published=published)).problems == (
        "train: 0 outfits, published: 2",
        "train: 0 infrared images, published: 1: 1 missing",
    )


def test_totals_count_an_outfit_once_and_the_part_for_validation_is_checked(tmp_path: Path) -> None:
    query, gallery = split_of(tmp_path, ROWS[:1]), split_of(tmp_path, ROWS[1:4])
    train = split_of(tmp_path, [(9, 0, 0, "visible", 4)])  # another person's tracklet 4
    parts = {"all": Counts(5, 3, 2, outfits=4, tracklets=4), "validation": Counts(4, 2, 2, outfits=2)}
    dataset = Dataset("toy", tmp_path, train, query, gallery, published=Published(parts, "toy"), validation=gallery)
    assert examine(dataset).problems == (
        "validation: 3 images, published: 4: 1 missing",
        "validation: 3 outfits, published: 2",
    )
