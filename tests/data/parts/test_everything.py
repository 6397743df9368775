"""All images of a data set as one training set: whose pids are equal, and what is left out."""

from __future__ import annotations

from pathlib import Path

from reidbench.data import Sample, Split
from reidbench.data.parts.everything import all_images

ROOT = Path("root")


def split(*rows: tuple[str, int, int]) -> Split:
    return Split(ROOT, [Sample(path, pid, camid) for path, pid, camid in rows])


TRAIN = split(("t/1", 1, 0), ("t/2", 3, 1))
QUERY = split(("q/1", 1, 0), ("q/2", 2, 1))
GALLERY = split(("g/1", 1, 1), ("g/junk", -1, 0), ("g/crowd", 0, 1), ("q/2", 2, 1), ("g/2", 2, 0))
PARTS = {"train": TRAIN, "query": QUERY, "gallery": GALLERY}


def test_test_persons_are_others_than_those_of_train_unless_numbers_are_one() -> None:
    found, places, notes = all_images(PARTS, one_numbering=False)
    assert found.paths == ("t/1", "t/2", "q/1", "q/2", "g/1", "g/2")
    assert found.pids.tolist() == [1, 3, 4, 5, 4, 5]
    assert found.camids.tolist() == [0, 1, 0, 1, 1, 0]  # cameras of one set are the same in all parts
    assert places.tolist() == [0, 1, 2, 3, 4, 8]
    assert found.labels().tolist() == [0, 1, 2, 3, 2, 3]
    assert notes == (
        "left out of training: 2 images without an identity (junk or distractors)",
        "left out of training: 1 image that another part also has",
    )
    assert all_images(PARTS, one_numbering=True)[0].pids.tolist() == [1, 3, 1, 2, 1, 2]


def test_a_set_without_a_test_part_has_its_train_images() -> None:
    found, _, notes = all_images({"train": TRAIN}, one_numbering=False)
    assert found.paths == TRAIN.paths
    assert notes == ("there is no query and no gallery part",)


def test_a_set_for_tests_has_its_test_images() -> None:
    found, places, notes = all_images({**PARTS, "train": split()}, one_numbering=False)
    assert found.pids.tolist() == [1, 2, 1, 2]
    assert places.tolist() == [0, 1, 2, 6]
    assert notes[-1] == "there is no train part"


def test_tracklets_of_train_and_of_the_test_stay_apart_where_both_count_from_0() -> None:
    def walks(*rows: tuple[str, int, int]) -> Split:
        return Split(ROOT, [Sample(path, pid, 0, tracklet=walk) for path, pid, walk in rows])

    parts = {
        "train": walks(("t/1", 1, 0), ("t/2", 1, 0), ("t/3", 2, 3)),
        "query": walks(("q/1", 5, 0), ("q/2", 5, -1)),
        "gallery": walks(("q/1", 5, 0), ("g/1", 6, 1)),
    }
    found, _, _ = all_images(parts, one_numbering=True)
    assert found.paths == ("t/1", "t/2", "t/3", "q/1", "q/2", "g/1")
    assert found.tracklets is not None
    assert found.tracklets.tolist() == [0, 0, 3, 4, -1, 5]
    without = {"train": TRAIN, "query": parts["query"], "gallery": parts["gallery"]}
    assert all_images(without, one_numbering=True)[0].samples[-1].tracklet == 1
