"""AUC, precision and recall of a selection: by hand, by counting pairs, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.metrics import MetricError
from reidbench.metrics.selection import relevance_auc, selection_quality


def pairs(scores: np.ndarray, relevant: np.ndarray) -> float:
    """The definition: over all pairs of a relevant and an irrelevant image, ties half."""
    difference = scores[relevant][:, None] - scores[~relevant][None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def test_by_hand() -> None:
    """Relevant .9 .7 .7, irrelevant .8 .7: pairs won 2 (of .9), 0 + ½ each for the two .7: 3 of 6."""
    scores = np.array([0.9, 0.8, 0.7, 0.7, 0.7])
    relevant = np.array([True, False, True, False, True])
    assert relevance_auc(scores, relevant).value == pytest.approx(3 / 6)
    found = selection_quality(scores, [0, 1], relevant)
    low, high = found.pop("relevance_auc_low"), found.pop("relevance_auc_high")
    assert 0 <= low < 0.5 < high <= 1
    assert found == {"relevant_in_pool": 3 / 5, "relevant_in_kept": 1 / 2, "relevant_kept": 1 / 3, "relevance_auc": 0.5}


@pytest.mark.parametrize("levels", [3, 1000])
def test_equals_counted_pairs_and_scikit_learn(levels: int) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(levels)
    scores = rng.integers(levels, size=300).astype(float)
    relevant = rng.random(300) < 0.2 + 0.5 * scores / levels
    value = relevance_auc(scores, relevant, samples=0).value
    assert value == pytest.approx(pairs(scores, relevant), abs=1e-12)
    assert value == pytest.approx(roc_auc_score(relevant, scores), abs=1e-12)
    assert relevance_auc(-scores, relevant, samples=0).value == pytest.approx(1 - value, abs=1e-12)
    assert relevance_auc(np.exp(scores / levels), relevant, samples=0).value == value  # only the order counts


def test_ends_of_the_scale() -> None:
    relevant = np.array([True, True, False, False, False])
    perfect = relevance_auc([5, 4, 3, 2, 1], relevant)
    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)
    assert relevance_auc([1, 2, 3, 4, 5], relevant).value == 0
    tied = relevance_auc(np.ones(5), relevant)
    assert (tied.value, tied.low, tied.high) == (0.5, 0.5, 0.5)


def test_interval_is_that_of_delong() -> None:
    """DeLong et al. 1988: variance from placement values; a bootstrap of many images has the same width."""
    rng = np.random.default_rng(0)
    relevant = np.arange(900) < 300
    scores = rng.normal(size=900) + 0.5 * relevant
    wins = scores[relevant][:, None] > scores[~relevant][None]
    variance = wins.mean(1).var(ddof=1) / 300 + wins.mean(0).var(ddof=1) / 600
    found = relevance_auc(scores, relevant, samples=2000)
    assert found.n == 900
    assert found.low < found.value < found.high
    assert (found.high - found.low) / (2 * 1.96 * np.sqrt(variance)) == pytest.approx(1, abs=0.08)
    wide = relevance_auc(scores, relevant, level=0.5, samples=2000)
    assert wide.high - wide.low < 0.5 * (found.high - found.low)
    assert relevance_auc(scores, relevant) == relevance_auc(scores, relevant)  # the seed is fixed


def test_a_wrong_order_is_distinguished_from_chance() -> None:
    rng = np.random.default_rng(1)
    relevant = rng.random(2000) < 0.5
    scores = rng.normal(size=2000)
    assert 0.5 in relevance_auc(scores, relevant)
    assert 0.5 not in relevance_auc(scores - relevant * 0.3, relevant)


def test_precision_and_recall_by_hand() -> None:
    relevant = np.array([True] * 4 + [False] * 6)
    found = selection_quality(np.arange(10.0)[::-1], [0, 1, 2, 9, 8], relevant)
    assert found["relevant_in_pool"] == 0.4
    assert found["relevant_in_kept"] == 0.6
    assert found["relevant_kept"] == 0.75
    assert found["relevance_auc"] == 1


def test_a_pool_of_one_kind_has_no_auc() -> None:
    only = selection_quality([1.0, 2.0], [0], np.array([True, True]))
    assert only == {"relevant_in_pool": 1.0, "relevant_in_kept": 1.0, "relevant_kept": 0.5}
    none = selection_quality([1.0, 2.0], [0], np.array([False, False]))
    assert none == {"relevant_in_pool": 0.0, "relevant_in_kept": 0.0}
    with pytest.raises(MetricError, match="requires relevant and irrelevant images; 2 of 2 are relevant"):
        relevance_auc([1.0, 2.0], np.array([True, True]))


@pytest.mark.parametrize(
    ("scores", "indices", "relevant", "message"),
    [
        ([1.0, 2.0], [0], np.array([True]), "one length"),
        ([1.0, 2.0], [0], np.array([1, 0]), "must be Boolean"),
        ([1.0, np.nan], [0], np.array([True, False]), "finite"),
        ([1.0, 2.0], [0, 0], np.array([True, False]), "distinct indices"),
        ([1.0, 2.0], [2], np.array([True, False]), "distinct indices"),
        ([1.0, 2.0], [], np.array([True, False]), "distinct indices"),
    ],
)
def test_wrong_arrays_are_reported(scores: list[float], indices: list[int], relevant: np.ndarray, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        selection_quality(scores, indices, relevant)
    with pytest.raises(MetricError, match="level"):
        relevance_auc([1.0, 2.0], np.array([True, False]), level=1.5)
