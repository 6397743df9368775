"""Warnings about suspicious labels and distances that can still be scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reidbench.scoring.doubts import (
    camera_doubts,
    copy_doubts,
    distance_doubts,
    label_doubts,
    query_doubts,
    repeat_doubts,
)


def similarities(rows: int = 20, noise: float = 0.1) -> tuple[Any, tuple[Any, ...]]:
    """[rows, 3 rows] near 1 where persons are the same, near 0 elsewhere; two cameras, junk and distractors."""
    rng = np.random.default_rng(0)
    query_pids = np.arange(1, rows + 1)
    gallery_pids = np.concatenate([query_pids, np.zeros(rows, int), np.full(rows, -1)])
    cameras = np.zeros(rows, int), np.ones(3 * rows, int)
    same = query_pids[:, None] == gallery_pids
    return same + noise * rng.random(same.shape) - noise, (query_pids, cameras[0], gallery_pids, cameras[1])


def said(distances: Any, labels: Any, camera: bool = True) -> list[str]:
    return list(distance_doubts(np.asarray(distances), "distmat", labels, camera))


def test_similarities_are_suspected() -> None:
    given, labels = similarities()
    (text,) = said(given, labels)
    assert text.startswith("distmat: distances are larger for true matches than for others (mean 0.9")
    assert text.endswith("these look like similarities: negate them, or use 1 - similarity")
    for distances in (-given, 1 - given, np.exp(-5 * given)):
        assert said(distances, labels) == []


def test_two_queries_are_enough() -> None:
    labels = (np.array([1, 2]), np.zeros(2, int), np.array([1, 1, 2, 2]), np.ones(4, int))
    given = np.array([[0.9, 0.8, 0.1, 0.2], [0.2, 0.1, 0.7, 0.9]])
    assert len(said(given, labels)) == 1
    assert said(1 - given, labels) == []


def test_junk_and_the_own_camera_do_not_count() -> None:
    given, (query_pids, query_camids, gallery_pids, gallery_camids) = similarities()
    distances = 1 - given
    distances[:, gallery_pids == -1] = -50  # junk is never ranked
    own = np.concatenate([query_pids, gallery_pids]), np.concatenate([query_camids, gallery_camids])
    same_camera = np.where(query_pids[:, None] == query_pids, 100.0, 0.5)  # far only by the camera that is left out
    labels = (query_pids, query_camids, *own)
    assert said(np.hstack([same_camera, distances]), labels) == []
    assert len(said(np.hstack([same_camera, distances]), labels, camera=False)) == 1


def test_a_maximum_at_most_matches_is_suspected_although_the_mean_is_not_larger() -> None:
    given, labels = similarities(noise=0.2)
    query_pids, _, gallery_pids, _ = labels
    hidden = given.copy()
    hidden[: len(query_pids) // 3][query_pids[: len(query_pids) // 3, None] == gallery_pids] = -5
    (text,) = said(hidden, labels)
    assert "largest at a true match for 14 of 20 queries" in text


@pytest.mark.parametrize("seed", range(5))
def test_chance_is_not_suspected(seed: int) -> None:
    _, labels = similarities()
    rng = np.random.default_rng(seed)
    assert said(rng.random((20, 60)), labels) == []
    assert said(np.zeros((20, 60)), labels) == []


def test_blocks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    given, labels = similarities()
    whole = said(given, labels)
    monkeypatch.setattr("reidbench.scoring.doubts._BLOCK_BYTES", 8 * 60 * 3)
    assert said(given, labels) == whole


def test_queries_that_may_be_distractors() -> None:
    def sentences(pids: list[int], train: list[int] | None = None, named: bool = False) -> list[str]:
        return list(label_doubts(np.array(pids), None if train is None else np.array(train), named=named))

    assert sentences([1, 2]) == []
    (text,) = sentences([0, 0, 2])
    assert text.startswith("2 queries have pid 0, which marks distractors in Market-1501")
    assert sentences([0], named=True) == []
    assert sentences([1, 2], [3, 4]) == []
    assert sentences([-1, 2], [-1, 4]) == []
    (text,) = sentences([1, 2, 2, 3], [2, 3, 4])
    assert text.startswith("2 of the 3 query identities have a pid that is also a training pid")


def test_unknown_cameras_are_counted() -> None:
    (text,) = camera_doubts({"q_camids": np.array([-1, 2]), "g_camids": np.array([-1, -1, 0])})
    assert text.startswith("1 of 2 q_camids and 2 of 3 g_camids are negative, which means an unknown camera")
    assert text.endswith("to score without the camera rule: --no-camera")
    assert list(camera_doubts({"q_camids": np.array([0]), "g_camids": np.array([3])})) == []


def test_a_query_that_equals_a_true_match_may_be_its_own_picture() -> None:
    query = np.random.default_rng(0).random((3, 4))
    gallery = np.vstack([query[[0, 2, 1]], query[1] + 0.1])
    pids, cameras = (np.array([1, 2, 3]), np.array([1, 3, 9, 2])), [1, 0, 1, 1]

    def sentences(one: Any, other: Any, camera: bool = True) -> list[str]:
        return list(copy_doubts(one, other, pids, lambda _, row: not camera or cameras[row] != 0))

    (text,) = sentences(query, gallery)  # the third has only its own camera, the second is another person
    assert text.startswith("1 of 3 queries have the same features as a true match (first: query 0 and gallery row 0)")
    assert sentences(query, gallery, camera=False)[0].startswith("2 of 3 queries")
    assert sentences(query, gallery + 1e-9) == []
    for codes in ((np.round, np.float64), (np.ceil, np.int8)):  # equal codes are not copies
        assert sentences(*(codes[0](part).astype(codes[1]) for part in (query, gallery))) == []


def test_queries_of_several_persons_that_are_equal() -> None:
    features, pids = np.random.default_rng(0).random((4, 3)), np.array([1, 1, 2, 3])
    assert list(query_doubts(features[[0, 0, 1, 2]], pids)) == []  # two queries of one person
    (text,) = query_doubts(features[[0, 1, 1, 2]], pids)
    assert text.startswith("2 of 4 queries have the same features as a query of another identity (first: query 1)")
    assert list(query_doubts(np.round(features[[0, 1, 1, 2]] * 9), pids)) == []  # codes may be equal
    (text,) = query_doubts(np.ones((4, 3), np.int8), pids)  # but not all of them
    assert text.startswith("4 of 4 queries")


def test_rows_that_are_there_twice() -> None:
    """Rows 3 and 4 repeat rows 0 and 1; row 5 has the same features as row 0, but another camera."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3, 4)).astype(np.float32)
    vectors = np.concatenate([vectors, vectors[:2], vectors[:1]])
    pids, camids = np.array([1, 2, 3, 1, 2, 1]), np.array([0, 0, 0, 0, 0, 1])
    (text,) = repeat_doubts("gallery", vectors, pids, camids)
    assert text.startswith("2 of 6 gallery rows repeat an earlier one with the same features, pid and camid (first: ")
    assert "gallery row 3" in text
    assert list(repeat_doubts("gallery", vectors[:3], pids[:3], camids[:3])) == []
    codes = np.sign(vectors)
    assert list(repeat_doubts("gallery", codes, pids, camids)) == []
