"""Rows left out, with reasons, and errors for arrays that cannot be ranked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reidbench.metrics import MetricError, Rules, rank, rank_distances
from reidbench.metrics.ranking.matches import Labels, Matches


def test_rules_are_named_and_checked() -> None:
    assert str(Rules()) == ("ap=step invalid=drop ties=stable camera=market1501 distance=cosine gallery=all")
    assert Rules(gallery="single-shot").as_dict()["repeats"] == 10
    with pytest.raises(MetricError, match="rule ap='steps' is unknown; choose one of step, trapezoid"):
        Rules(ap="steps")  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="repeats=0"):
        Rules(repeats=0)
    with pytest.raises(MetricError, match="seed=-1"):
        Rules(seed=-1)
    assert rank_distances(np.ones((1, 1)), [7], [1], [7], [2]).rules.distance == "given"


def test_reasons_of_invalid_queries() -> None:
    distances = np.ones((8, 3))
    q_pids, q_camids = [7, 8, -1, 5, 5, 5, 5, 5], [1] * 8
    found = rank_distances(distances, q_pids, q_camids, [7, 8, -1], [2, 1, 2])
    assert found.invalid_queries.reasons == {
        "their pid is in the gallery from their own camera only": 1,
        "their pid -1 means junk": 1,
        "their pid is not in the gallery": 5,
    }
    assert len(found.invalid_queries.first) == 5
    assert found.invalid_queries.first[0].startswith("query 1 (pid 8, camera 1): ")
    assert str(found.invalid_queries).startswith("1 because their pid is in the gallery from their own camera only; ")


ONE = np.ones((1, 2)), [7], [1], np.ones((1, 2)), [7], [2]


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, np.array([[np.nan, 1]]), "query_features row 0 contains NaN or infinity"),
        (3, np.array([[1, np.inf]]), "gallery_features row 0 contains NaN or infinity"),
        (3, np.array([[1, 1e30]]), "gallery_features row 0 has length 1e\\+30"),
        (3, np.ones((2, 2)), "gallery_features has 2 rows but gallery_pids has 1 entries"),
        (3, np.ones((1, 3)), "query_features 2 but gallery_features 3 dimensions"),
        (0, np.ones(2), "query_features must have two dimensions"),
        (0, np.ones((1, 2), complex), "query_features must be real numbers, not complex128"),
        (0, np.ones((1, 0)), "query_features has no values"),
        (1, [7.0], "query_pids must be integers, not float64"),
        (1, [[7]], "query_pids must have one dimension"),
        (4, np.array([2**63], np.uint64), "gallery_pids contains 9223372036854775808, which does not fit"),
        (2, [1, 2], "query_pids has 1 entries but query_camids has 2"),
        (4, [8], "no query has a true match.*query 0 \\(pid 7, camera 1\\): their pid is not in the gallery"),
        (5, [1], "own camera only"),
    ],
)
def test_errors_say_what_and_where(at: int, value: Any, message: str) -> None:
    args = list(ONE)
    args[at] = value
    with pytest.raises(MetricError, match=message):
        rank(*args)


def test_errors_of_empty_arrays_and_distances() -> None:
    with pytest.raises(MetricError, match="the gallery is empty"):
        rank(np.ones((1, 2)), [7], [1], np.ones((0, 2)), [], [])
    with pytest.raises(MetricError, match="there are no queries"):
        rank_distances(np.ones((0, 1)), [], [], [7], [1])
    with pytest.raises(MetricError, match="distances has shape \\(1, 2\\)"):
        rank_distances(np.ones((1, 2)), [7], [1], [7], [2])
    with pytest.raises(MetricError, match="NaN or infinity"):
        rank_distances(np.array([[np.nan]]), [7], [1], [7], [2])
    with pytest.raises(MetricError, match="not <U1"):
        rank_distances(np.array([["a"]]), [7], [1], [7], [2])
    with pytest.raises(MetricError, match="max_rank=0"):
        rank_distances(np.ones((1, 1)), [7], [1], [7], [2], max_rank=0)
    with pytest.raises(MetricError, match="rank requires cosine or euclidean"):
        rank(*ONE, Rules(distance="given"))


def test_unknown_cameras_are_never_the_same() -> None:
    """Camera -1: nothing is removed, for any camera of the other side; known cameras follow their rule."""
    features = np.eye(4, 6, dtype=np.float32)
    pids, camids = np.array([1, 1, 2, 2]), np.array([-1, -1, 3, 3])
    gallery = Labels.check(pids[:1], camids[:1], pids, camids)
    true_matches, removed = Matches(gallery, "market1501").block(0, 1)
    assert true_matches.cols.tolist() == [0, 1]
    assert len(removed["same_camera"].cols) == 0
    known = rank(features[2:3], pids[2:3], camids[2:3], features, pids, np.array([-1, -1, 3, -1]))
    assert known.filtered["same_camera"] == 1
    assert known.num_valid == 1
