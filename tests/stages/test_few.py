"""A few images of a data set, chosen by hand."""

from __future__ import annotations

from pathlib import Path

from reidbench.data import Dataset, Split
from reidbench.data.morelabels import MoreLabels
from reidbench.stages.few import few_of


def split(*rows: tuple[int, int]) -> Split:
    """Images named by their row, of (pid, camera)."""
    pids, camids = zip(*rows, strict=True)
    return Split.of_columns(Path("/"), [str(number) for number in range(len(rows))], pids, camids)


def test_the_first_identities_with_four_images_of_each_camera() -> None:
    train = split((7, 0), (2, 0), *[(5, 1)] * 5, (5, 0))
    query, gallery = split((9, 0), (3, 0), (4, 0)), split((4, 1), (9, 1), (-1, 0), (3, 1), (0, 2))
    found = few_of(Dataset("some", Path("/"), train, query, gallery), 2)
    assert found.train.paths == ("1", "2", "3", "4", "5", "7")
    assert found.query is not None
    assert found.gallery is not None
    assert found.query.paths == ("1", "2")  # of 3 and 4
    assert found.gallery.paths == ("0", "2", "3", "4")  # theirs, junk and distractors


def test_each_outfit_and_each_modality_of_a_person_is_kept() -> None:
    rows = [(5, 1)] * 12
    clothes = MoreLabels.of(clothes=[0] * 5 + [1] * 6 + [-1])
    modality = MoreLabels.of(modality=["infrared"] * 2 + ["visible"] * 10)
    both = MoreLabels.of([0] * 6 + [1] * 6, (["infrared"] + ["visible"] * 5) * 2)
    kept = []
    for more in (clothes, modality, both):
        given = split(*rows)
        labelled = Split.of_columns(Path("/"), given.paths, given.pids, given.camids, more=more)
        kept.append([int(path) for path in few_of(Dataset("some", Path("/"), labelled), 1).train.paths])
    assert kept == [[0, 1, 2, 3, 5, 6, 7, 8, 11], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]]


def test_strangers_in_many_clothes_are_no_more_than_others() -> None:
    given = split(*[(0, number % 3) for number in range(90)], (4, 0))
    more = MoreLabels.of(clothes=list(range(91)))
    labelled = Split.of_columns(Path("/"), given.paths, given.pids, given.camids, more=more)
    assert len(few_of(Dataset("some", Path("/"), labelled), 1).train) == 64 + 1


def test_a_shipped_validation_part_keeps_the_persons_of_train() -> None:
    validation = split((8, 0), (5, 0), (2, 1), (1, 0))
    found = few_of(Dataset("some", Path("/"), split((7, 0), (2, 0), (5, 1)), validation=validation), 2)
    assert found.validation is not None
    assert found.validation.paths == ("1", "2")


def test_a_pool_keeps_its_first_images() -> None:
    found = few_of(Dataset("pool", Path("/"), split(*[(0, -1)] * 70)), 12)
    assert found.train.paths == tuple(str(number) for number in range(64))
    assert found.query is None


def test_what_knows_the_truth_stays_whole() -> None:
    dataset = Dataset("rendered", Path("/"), split((1, 0), (2, 0), (3, 0)), truth=object())
    assert few_of(dataset, 2) is dataset
