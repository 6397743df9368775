"""Person 0, junk in training, and persons on both sides: read as what they can only be, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.data import Dataset, Split, find_overlap, settle_people
from reidbench.errors import DataError


def split(pids: list[int], part: str) -> Split:
    return Split.of_columns(Path("root"), [f"{part}{n}.png" for n in range(len(pids))], pids, [0] * len(pids))


def dataset(train: list[int], query: list[int], gallery: list[int]) -> Dataset:
    return Dataset("own", Path("root"), *(split(pids, part) for pids, part in
                                          ((train, "t"), (query, "q"), (gallery, "g"))))  # fmt: skip


def test_persons_from_0_are_trained_on_and_said() -> None:
    found = settle_people(dataset([0, 0, 1, 2], [3, 7], [3, 7, 0]))
    assert found.train.pids.tolist() == [8, 8, 1, 2]  # a pid that nobody has, so that 0 is still a distractor
    assert found.train.num_pids == 3
    assert found.train.labels().tolist() == [2, 2, 0, 1]
    assert found.gallery is not None
    assert found.gallery.pids.tolist() == [3, 7, 0]
    (note,) = found.notes
    assert note.startswith("train: pid 0 (2 images) is trained on as an identity")
    assert "add 1 to every pid" in note
    assert found.faults == ()


def test_a_maker_may_say_that_they_are_distractors() -> None:
    found = settle_people(dataset([0, 1, 2], [3], [3]), train_distractors=True)
    assert (found.train.pids.tolist(), found.notes) == ([0, 1, 2], ())


def test_a_pool_without_labels_stays_one() -> None:
    found = settle_people(dataset([0, 0, 0], [3], [3]))
    assert found.train.pids.tolist() == [0, 0, 0]
    assert found.notes == ()
    with pytest.raises(DataError, match="3 images without an identity have no class: pid 0 means a distractor"):
        found.train.labels()


def test_a_query_of_pid_0_is_a_fault() -> None:
    found = settle_people(dataset([1, 2], [0, 3], [0, 3]))
    (fault,) = found.faults
    assert fault.startswith("query: pid 0 (1 images) is scored as an identity, but pid 0 means a distractor")
    assert found.notes == found.faults
    assert "and is also in train" in settle_people(dataset([0, 2], [0, 3], [0, 3])).faults[0]


def test_junk_is_left_out_of_training_and_counted() -> None:
    found = settle_people(dataset([-1, 5, -1], [3], [-1, 3]))
    assert (found.train.paths, found.train.pids.tolist()) == (("t1.png",), [5])
    assert found.notes == ("train: 2 images left out: junk (pid -1)",)
    with pytest.raises(DataError, match=r"all 2 images of train are junk \(pid -1\)"):
        settle_people(dataset([-1, -1], [3], [3]))


def test_persons_in_train_and_in_the_test() -> None:
    found = find_overlap(dataset([1, 2, 3, 0], [3, 4], [3, 4, 1, 0, -1]))
    (fault,) = found.faults
    assert fault.startswith("2 identities are in train and in the test: pid 1, 3; ")
    assert find_overlap(dataset([1, 2, 0], [3, 4], [3, 4, 0])).faults == ()  # distractors are not one person
    assert find_overlap(Dataset("pool", Path("root"), split([1, 2], "t"))).faults == ()
    many = find_overlap(dataset(list(range(1, 9)), [9], list(range(1, 10))))
    assert "8 identities are in train and in the test: pid 1, 2, 3, 4, 5, ...;" in many.faults[0]
