"""CUHK03's single-gallery-shot CMC: by hand, and against drawing galleries in a loop."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.metrics import Rules, rank_distances


def test_single_shot_is_the_mean_of_its_draws() -> None:
    """Each person has one image: every draw is the whole gallery, and CMC is the ordinary one."""
    rng = np.random.default_rng(1)
    distances, pids = rng.random((9, 30)), np.arange(30)
    args = distances, pids[:9], np.zeros(9, int), pids, np.ones(30, int)
    ordinary, drawn = rank_distances(*args), rank_distances(*args, Rules(gallery="single-shot"))
    np.testing.assert_allclose(drawn.cmc, ordinary.cmc, atol=1e-12)
    assert drawn.mAP == ordinary.mAP


def test_single_shot_expectation_by_hand() -> None:
    """Two matches, one nearer and one farther than the only stranger: rank 1 in half of the draws."""
    args = np.array([[1.0, 2.0, 3.0, 0.5]]), [7], [1], [7, 8, 7, 7], [2, 2, 2, 1]
    found = rank_distances(*args, Rules(gallery="single-shot", repeats=4_000))
    assert found.cmc[0] == pytest.approx(0.5, abs=0.03)
    assert found.cmc[1] == 1.0
    assert found.mAP == pytest.approx((1 + 2 / 3) / 2)
    again = rank_distances(*args, Rules(gallery="single-shot", repeats=4_000))
    other = rank_distances(*args, Rules(gallery="single-shot", repeats=4_000, seed=1))
    assert again.cmc[0] == found.cmc[0] != other.cmc[0]


@pytest.mark.slow
def test_single_shot_against_drawing_galleries_in_a_loop() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(22, 8))
    q_pids, g_pids = rng.integers(1, 20, 30), rng.integers(-1, 20, 300)
    q_camids, g_camids = rng.integers(3, size=30), rng.integers(3, size=300)
    query, gallery = (centres[pids] + rng.normal(size=(len(pids), 8)) for pids in (q_pids, g_pids))
    distances = ((query[:, None] - gallery[None]) ** 2).sum(2)
    rules = Rules(gallery="single-shot", repeats=300)
    found = rank_distances(distances, q_pids, q_camids, g_pids, g_camids, rules, max_rank=10)
    rng, curve = np.random.default_rng(3), np.zeros(10)
    for row, pid, camid in zip(distances, q_pids, q_camids, strict=True):
        kept = np.flatnonzero((g_pids != -1) & ~((g_pids == pid) & (g_camids == camid)))
        for _ in range(300):
            drawn = [rng.choice(kept[g_pids[kept] == p]) for p in np.unique(g_pids[kept])]
            hits = g_pids[drawn][np.argsort(row[drawn])] == pid
            curve += hits.cumsum()[:10] / (300 * len(q_pids))
    np.testing.assert_allclose(found.cmc, curve, atol=0.02)


def test_single_shot_ties() -> None:
    args = np.array([[1.0, 1.0]]), [7], [1], [8, 7], [2, 2]
    first = {
        ties: rank_distances(*args, Rules(gallery="single-shot", ties=ties)).cmc[0]  # type: ignore[arg-type]
        for ties in ("stable", "best", "worst")
    }
    assert first == {"stable": 0.0, "best": 1.0, "worst": 0.0}
