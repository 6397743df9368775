"""A part of train as query and gallery: which images, by hand and by the rule itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidbench.data import Dataset, Split, hold_out
from reidbench.data.morelabels import MoreLabels
from reidbench.errors import DataError


def split(*rows: tuple[int, int]) -> Split:
    """Images named by their row, of (pid, camera)."""
    pids, camids = zip(*rows, strict=True)
    return Split.of_columns(Path("/"), [f"{number}.png" for number in range(len(rows))], pids, camids)


def dataset(*rows: tuple[int, int], validation: Split | None = None) -> Dataset:
    test = split((99, 0), (99, 1))
    return Dataset("some", Path("/"), split(*rows), test, test, ("a note",), validation=validation)


def people(pids: int, cameras: int, images: int) -> list[tuple[int, int]]:
    return [(pid, camid) for pid in range(1, pids + 1) for camid in range(cameras) for _ in range(images)]


def parts(found: Dataset) -> tuple[Split, Split, Split]:
    assert found.query is not None
    assert found.gallery is not None
    return found.train, found.query, found.gallery


def test_one_query_for_each_camera_of_an_identity_and_the_rest_is_gallery() -> None:
    given = dataset(*people(10, 3, 4), (-1, 0), (0, 1))
    train, query, gallery = parts(hold_out(given, {"identities": 0.4, "seed": 3}))
    assert train.num_pids == 6
    assert set(train.pids) & {0, -1} == {0, -1}  # what has no identity is not held out
    chosen = np.setdiff1d(np.arange(1, 11), train.pids)
    assert sorted(zip(query.pids.tolist(), query.camids.tolist(), strict=True)) == [
        (pid, camid) for pid in chosen for camid in range(3)
    ]
    assert len(gallery) == 4 * 3 * 3
    assert set(gallery.pids) == set(chosen)
    names = [*train.paths, *query.paths, *gallery.paths]
    assert sorted(names) == sorted(given.train.paths)  # each image once


def test_the_seed_draws_the_identities_and_their_queries() -> None:
    given = dataset(*people(20, 2, 8))

    def drawn(seed: int) -> tuple[tuple[str, ...], ...]:
        return tuple(part.paths for part in parts(hold_out(given, {"identities": 5, "seed": seed})))

    assert drawn(0) == drawn(0)
    assert len({drawn(seed) for seed in range(5)}) == 5
    of_five, of_six = (hold_out(given, {"identities": n, "seed": 0}).train for n in (5, 6))
    assert set(of_six.paths) < set(of_five.paths)


CASES = {  # cameras of the images of one person -> how many queries can be had
    "one image": ([0], 0),
    "one camera": ([0, 0, 0], 0),
    "two cameras, an image each: the other is its match": ([0, 1], 1),
    "one image and several": ([0, 1, 1], 1),
    "several and several": ([0, 0, 1, 1], 2),
    "two single images and a camera with several": ([0, 1, 2, 2], 2),
    "three single images": ([0, 1, 2], 2),
    "no cameras": ([-1, -1, -1], 1),
    "no camera, one image": ([-1], 0),
    "a known camera and an unknown one": ([-1, 0], 1),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(4))
def test_every_query_has_a_match_from_another_camera(case: str, seed: int) -> None:
    """Each person has as many queries as in the table, for any draw."""
    camids, count = CASES[case]
    sure = [(pid, camid) for pid in (1, 2, 3, 4) for camid in (0, 1, 0, 1)]
    given = dataset(*sure, *[(5, camid) for camid in camids], *[(6, camid) for camid in camids])
    rows = {1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    _, query, gallery = parts(hold_out(given, {"identities": 4, "seed": seed}))
    for pid, camid in zip(query.pids.tolist(), query.camids.tolist(), strict=True):
        rows[pid] += 1
        others = gallery.camids[gallery.pids == pid]
        assert len(others)
        assert camid == -1 or (others != camid).any()
    for pid in {5, 6} & (set(query.pids.tolist()) | set(gallery.pids.tolist())):
        assert rows[pid] == count, case


TRACKLETS = {  # (camera, tracklet) of a person's images -> the sizes that the queries can have, by camera
    "two tracklets in each of two cameras": (
        [(0, 1), (0, 1), (0, 2), (1, 3), (1, 3), (1, 3), (1, 4)],
        [{1, 2}, {1, 3}],
    ),
    "one tracklet in each: the other is its match": ([(0, 1), (0, 1), (1, 2), (1, 2), (1, 2)], [{2, 3}]),
    "images of no tracklet are queries alone": ([(0, -1), (0, -1), (1, 2), (1, 2), (1, -1)], [{1}, {1, 2}]),
    "one tracklet in all": ([(0, 1), (0, 1)], []),
}


@pytest.mark.parametrize("case", TRACKLETS)
@pytest.mark.parametrize("seed", range(4))
def test_a_tracklet_is_a_query_as_a_whole(case: str, seed: int) -> None:
    images, sizes = TRACKLETS[case]
    rows = [(pid, camid, 100 * pid + walk if walk >= 0 else -1) for pid in range(1, 7) for camid, walk in images]
    sure = [(pid, camid, -1) for pid in range(7, 13) for camid in (0, 0, 1, 1)]
    pids, camids, tracklets = zip(*rows, *sure, strict=True)
    paths = [f"{number}.png" for number in range(len(pids))]
    train = Split.of_columns(Path("/"), paths, pids, camids, more=MoreLabels.of(tracklets=tracklets))
    test = split((99, 0), (99, 1))
    found = hold_out(Dataset("some", Path("/"), train, test, test), {"identities": 10, "seed": seed})
    _, query, gallery = parts(found)
    assert query.tracklets is not None or case == "one tracklet in all"
    assert gallery.tracklets is not None
    walks = set() if query.tracklets is None else set(query.tracklets.tolist()) - {-1}
    assert not walks & set(gallery.tracklets.tolist())
    held = (set(query.pids.tolist()) | set(gallery.pids.tolist())) & set(range(1, 7))
    assert len(held) >= 4
    for pid in held:
        counts = [int(((query.pids == pid) & (query.camids == camid)).sum()) for camid in (0, 1)]
        asked = [count for count in counts if count]
        assert len(asked) == len(sizes), case
        assert all(count in allowed for count, allowed in zip(asked, sizes, strict=True)), case


def test_all_counts_are_noted() -> None:
    given = dataset(*people(4, 2, 2), (7, 0), (7, 0), (8, 1))
    found = next(
        found
        for seed in range(50)
        for found in [hold_out(given, {"identities": 4, "seed": seed})]
        if {7, 8}.isdisjoint(found.train.pids)
    )
    assert found.notes == (
        "a note",
        "held out for validation: 4 of 6 identities, 11 of 19 images; 4 are queries and 7 gallery",
        "2 of the 4 held-out identities have no query: they have one camera or one image",
    )


def test_a_subset_is_drawn_before_a_part_of_it_is_held_out() -> None:
    given = dataset(*people(20, 2, 2))
    few = given.train.few_identities(0.5, 7)
    how = {"identities": 0.2, "seed": 0, "of": 0.5, "of_seed": 7}
    train, query, gallery = parts(hold_out(given, how))
    held = set(query.pids) | set(gallery.pids)
    assert (train.num_pids, len(held)) == (8, 2)
    assert set(train.pids) | held == set(few.pids)
    whole, same, _ = parts(hold_out(given, {**how, "whole": True}))
    assert same.paths == query.paths
    assert set(whole.pids) == set(range(1, 21)) - held


@pytest.mark.parametrize(
    ("rows", "identities", "words"),
    [
        (people(6, 1, 4), 2, "some: 0 of the 8 held-out images can be queries"),
        (people(5, 2, 2), 4, "some has 5 identities to train on, and validation would hold out 4: at least 2 must"),
        (people(3, 2, 2), 0.5, "some has 3 identities to train on, and validation would hold out 2"),
        ([(0, 0)] * 9, 0.2, "some has 0 identities to train on"),
    ],
)
def test_too_little_is_one_sentence(rows: list[tuple[int, int]], identities: float, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        hold_out(dataset(*rows), {"identities": identities, "seed": 0})
    assert "\n" not in str(caught.value)


def test_a_shipped_part_is_the_query_and_train_the_gallery() -> None:
    validation = split((1, 0), (1, 1), (2, 0), (3, 0), (4, 2))  # 3 is seen by camera 0 alone, 4 is not in train
    given = dataset((1, 0), (1, 1), (2, 1), (3, 0), validation=validation)
    train, query, gallery = parts(found := hold_out(given, {"queries": "validation"}))
    assert query.paths == ("0.png", "1.png", "2.png")
    assert train.paths == gallery.paths == given.train.paths
    assert found.notes[1:] == (
        "validation: 3 images of the validation part are queries, 4 train images gallery",
        "2 of 5 images of the validation part are left out: train has no image of the identity from another camera",
    )
    assert found.validation is None


def test_shipped_queries_of_a_subset() -> None:
    rows = people(10, 2, 2)
    given = dataset(*rows, validation=split(*people(10, 2, 1)))
    few = set(given.train.few_identities(4, 1).pids)
    train, query, gallery = parts(hold_out(given, {"queries": "validation", "of": 4, "of_seed": 1}))
    assert set(train.pids) == set(query.pids) == set(gallery.pids) == few


def test_no_shipped_part_is_one_sentence() -> None:
    with pytest.raises(DataError, match="some ships no validation part"):
        hold_out(dataset(*people(4, 2, 2)), {"queries": "validation"})
    strangers = dataset(*people(4, 2, 2), validation=split((8, 0), (9, 1)))
    with pytest.raises(
        DataError, match="0 of the 2 images of its validation part show an identity that another camera"
    ):
        hold_out(strangers, {"queries": "validation"})
