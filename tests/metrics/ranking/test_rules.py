"""The one evaluator that every pre-training is judged by, against the other rules in use."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.metrics import Rules, rank_distances


@pytest.mark.parametrize(("ap", "expected"), [("step", 7 / 12), ("trapezoid", 5 / 12)])
def test_hits_at_ranks_two_and_three(ap: str, expected: float) -> None:
    """Mean precision at hits is (1/2 + 2/3) / 2 = .5833; LUPerson's trapezoid makes it .4167 of the same list."""
    gallery_pids, gallery_camids = np.array([2, 1, 1]), np.array([1, 1, 1])
    ranking = rank_distances(
        np.array([[0.1, 0.2, 0.3]]), np.array([1]), np.array([0]), gallery_pids, gallery_camids, Rules(ap=ap)
    )
    assert ranking.mAP == pytest.approx(expected, abs=1e-9)


def test_own_camera_is_dropped_and_queries_without_a_match_are_no_zeros() -> None:
    """Query 1 finds itself under its own camera first, which does not count; query 9 is in no gallery."""
    distances = np.array([[0.0, 0.1, 0.2, 0.3], [0.0, 0.1, 0.2, 0.3]])
    ranking = rank_distances(
        distances, np.array([1, 9]), np.array([0, 0]), np.array([1, 2, 1, 1]), np.array([0, 1, 1, 1])
    )
    assert ranking.mAP == pytest.approx(7 / 12, abs=1e-9)


def test_matches_beyond_rank_fifty_count() -> None:
    """BDB's own evaluation cut the list at 50 and still divided by all matches: hits at 1 and 60 gave .5 there."""
    pids = np.full(60, 2)
    pids[[0, 59]] = 1
    distances = np.arange(60.0)[None]
    ranking = rank_distances(distances, np.array([1]), np.array([0]), pids, np.ones(60, dtype=np.int64))
    assert ranking.mAP == pytest.approx((1 + 2 / 60) / 2, abs=1e-9)
