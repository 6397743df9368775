"""Results by the camera of the true matches: a case worked by hand, and a walk over each query's sorted gallery."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from reidbench.metrics import Rules, rank

JUNK = -1


def on_a_line(places: list[float]) -> np.ndarray:
    """Features whose Euclidean distances are those of points on a line."""
    return np.array(places, dtype=np.float32)[:, None] + 1


def test_two_cameras_and_four_queries_by_hand() -> None:
    """Gallery from the left: pid, camera. A query at 0 meets it in this order, one at 10 in the opposite one.

    place   1      2      3      4      5      6      7
    row   (1, 1) (2, 0) (1, 0) (0, 1) (2, 1) (1, 1) (2, 0)

    Query 0, person 1 of camera 0, at 0: the rows of camera 0 and person 1 are removed (place 3). Camera 1 has places 1
    and 5 of what is left: AP (1 + 2/5) / 2 = 0.7.
    Query 1, person 2 of camera 1, at 0: place 5 is removed. Camera 0: places 2 and 6: AP (1/2 + 2/6) / 2 = 5/12.
    Query 2, person 1 of camera 1, at 10: removed are 6 and 1; camera 0: place 3 is third of 7, 5, 4, 3, so the fourth.
    AP 1/4.
    Query 3, person 2 of a third camera, at 10: nothing is removed. Camera 0: 7 is first, 2 is sixth of 7, 6, 5, 4, 3, 2
    and the fifth without 5, which is of camera 1: AP (1 + 2/5) / 2 = 0.7. Camera 1: 5 is the third, and the second
    without 7: AP 1/2.
    """
    gallery = on_a_line([1, 2, 3, 4, 5, 6, 7])
    pids, camids = np.array([1, 2, 1, 0, 2, 1, 2]), np.array([1, 0, 0, 1, 1, 1, 0])
    query = on_a_line([0, 0, 10, 10])
    found = rank(
        query, np.array([1, 2, 1, 2]), np.array([0, 1, 1, 2]), gallery, pids, camids,
        Rules(distance="euclidean"), by_camera=True,
    ).cameras  # fmt: skip
    assert found is not None
    assert found.camids.tolist() == [0, 1]
    expected = [[np.nan, 0.7], [5 / 12, np.nan], [1 / 4, np.nan], [0.7, 1 / 2]]
    np.testing.assert_allclose(found.ap, expected)
    assert found.first_hit.tolist() == [[0, 1], [2, 0], [4, 0], [1, 2]]
    np.testing.assert_allclose(found.inp, [[np.nan, 2 / 5], [2 / 6, np.nan], [1 / 4, np.nan], [2 / 5, 1 / 2]])


def walked(distances: np.ndarray, query: tuple[int, int], pids: Any, camids: Any, camera: int, rules: Rules) -> float:
    """AP of one query for one camera: a walk over the sorted gallery, as the released code goes."""
    pid, own = query
    kept = []
    for row in np.argsort(distances, kind="stable"):
        same = pids[row] == pid
        removed = rules.camera == "market1501" and same and camids[row] == own and own >= 0
        if pids[row] == JUNK or removed or (same and camids[row] != camera):
            continue
        kept.append(bool(same))
    places = [place for place, hit in enumerate(kept, 1) if hit]
    if not places:
        return float("nan")
    precisions = [n / place for n, place in enumerate(places, 1)]
    if rules.ap == "trapezoid":
        before = [(n - 1) / (place - 1) if place > 1 else 1.0 for n, place in enumerate(places, 1)]
        precisions = [(one + other) / 2 for one, other in zip(precisions, before, strict=True)]
    return sum(precisions) / len(precisions)


@pytest.mark.parametrize("seed", range(4))
def test_as_a_walk_over_the_sorted_gallery(seed: int) -> None:
    """Junk, distractors, unknown cameras, persons without a match, queries in several blocks of distances."""
    draw = np.random.default_rng(seed)
    q_pids, q_camids = draw.integers(1, 12, 40), draw.integers(-1, 4, 40)
    pids, camids = draw.integers(-1, 11, 90), draw.integers(-1, 5, 90)
    query, gallery = draw.normal(size=(40, 5)), draw.normal(size=(90, 5))
    distances = ((query[:, None] - gallery[None]) ** 2).sum(-1)
    for ap, camera in itertools.product(("step", "trapezoid"), ("market1501", "none")):
        rules = Rules(ap=ap, camera=camera, distance="euclidean")  # type: ignore[arg-type]
        found = rank(query, q_pids, q_camids, gallery, pids, camids, rules, by_camera=True).cameras
        assert found is not None
        expected = [
            [walked(distances[i], (q_pids[i], q_camids[i]), pids, camids, camera, rules) for camera in found.camids]
            for i in range(40)
        ]
        np.testing.assert_allclose(found.ap, expected)
        np.testing.assert_array_equal(found.first_hit > 0, ~np.isnan(found.ap))
        assert set(camids[(pids > 0) & np.isin(pids, q_pids)]) == set(found.camids.tolist())


def test_ties_fall_as_the_rules_say() -> None:
    """Both true matches, of two cameras, at the distance of another person's row before them."""
    gallery = on_a_line([2, 2, 2])
    places = {"stable": 2, "best": 1, "worst": 2}
    for ties, place in places.items():
        rules = Rules(ties=ties, distance="euclidean")  # type: ignore[arg-type]
        labels = np.array([5, 7, 7]), np.array([0, 1, 2])
        found = rank(on_a_line([1]), np.array([7]), np.array([0]), gallery, *labels, rules, by_camera=True).cameras
        assert found is not None
        assert found.first_hit.tolist() == [[place, place]]


def test_only_where_it_is_asked_for() -> None:
    labels = np.array([7]), np.array([1])
    assert rank(on_a_line([1]), np.array([7]), np.array([0]), on_a_line([2]), *labels).cameras is None
