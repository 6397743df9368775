"""Silhouette and soft neighbourhood density: cases by hand, and other formulations of the same definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reidbench.metrics import unsupervised
from reidbench.metrics.errors import MetricError

AXES = np.eye(4)


def test_the_silhouette_of_two_clusters_by_hand() -> None:
    """Cosine distances: 0 and 1 are equal (0), 2 and 3 at right angles (1), the two clusters at right angles (1).

    Of 0 and 1: a = 0, b = 1, s = 1. Of 2 and 3: a = 1, b = 1, s = 0. The mean is 0.5.
    """
    points = AXES[[0, 0, 1, 2]] * np.array([[1.0], [3.0], [2.0], [1.0]])  # lengths do not count
    assert unsupervised.silhouette(points, np.array([0, 0, 1, 1])) == pytest.approx(0.5, abs=1e-12)


def test_an_outlier_is_a_cluster_of_one_with_silhouette_0() -> None:
    """The case above with an outlier opposite to 0 and 1: their b stays 1, its own s(i) is 0, and it counts: 2 / 5."""
    points = np.concatenate([AXES[[0, 0, 1, 2]], -AXES[:1]])
    assert unsupervised.silhouette(points, np.array([0, 0, 1, 1, -1])) == pytest.approx(0.4, abs=1e-12)


def test_an_outlier_is_the_nearest_other_cluster_where_it_is() -> None:
    """An outlier equal to 0 and 1 takes their b to 0: a = b = 0, and s is 0 where both are."""
    points = AXES[[0, 0, 1, 1, 0]]
    found = unsupervised.silhouette(points, np.array([0, 0, 1, 1, -1]))
    assert found == pytest.approx(2 / 5, abs=1e-12)  # of 2 and 3 alone: a = 0, b = 1


def test_the_silhouette_is_that_of_scikit_learn() -> None:
    """scikit-learn's uses pairs of vectors, ours sums; more vectors than fit one block."""
    from sklearn.metrics import silhouette_score

    drawn = np.random.default_rng(3)
    points = drawn.normal(size=(unsupervised.BLOCK_ROWS + 60, 5)).astype(np.float32)
    labels = drawn.integers(-1, 6, len(points))
    alone = np.where(labels < 0, 100 + np.arange(len(labels)), labels)
    assert unsupervised.silhouette(points, labels) == pytest.approx(
        silhouette_score(points, alone, metric="cosine"), abs=1e-6
    )


@pytest.mark.parametrize(("labels", "words"), [([-1, -1, -1], "no cluster"), ([0, 0, -1], "one cluster")])
def test_fewer_than_two_clusters_have_no_silhouette(labels: list[int], words: str) -> None:
    with pytest.raises(MetricError, match=f"requires two clusters, but there is {words} among 3 images"):
        unsupervised.silhouette(AXES[:3], np.array(labels))


def test_density_by_hand() -> None:
    """Of axes at right angles all others are equally near: entropy log(N - 1), the most there is."""
    assert unsupervised.soft_neighbourhood_density(AXES) == pytest.approx(math.log(3), abs=1e-12)


def test_density_of_pairs_by_hand() -> None:
    """Vectors 0 and 1 are equal, 2 is opposite: at temperature 2 the neighbours of 0 weigh e^(1/2) and e^(-1/2)."""
    points = np.array([[1.0, 0], [2.0, 0], [-1.0, 0]])
    p = math.exp(0.5) / (math.exp(0.5) + math.exp(-0.5))
    uneven = -p * math.log(p) - (1 - p) * math.log(1 - p)
    expected = (2 * uneven + math.log(2)) / 3  # to 2 both others are equally far
    assert unsupervised.soft_neighbourhood_density(points, 2.0) == pytest.approx(expected, abs=1e-12)


def test_density_is_the_mean_entropy_of_scipy() -> None:
    """Row by row, with scipy's entropy, over more vectors than fit one block."""
    from scipy.special import softmax
    from scipy.stats import entropy

    points = np.random.default_rng(4).normal(size=(unsupervised.BLOCK_ROWS + 20, 6))
    rows = points / np.linalg.norm(points, axis=1, keepdims=True)
    each = [entropy(softmax(np.delete(rows @ row, i) / 0.05)) for i, row in enumerate(rows)]
    assert unsupervised.soft_neighbourhood_density(points) == pytest.approx(np.mean(each), rel=1e-9)


def test_density_of_two_images_is_refused() -> None:
    with pytest.raises(MetricError, match="requires at least three images, not 2"):
        unsupervised.soft_neighbourhood_density(AXES[:2])


@pytest.mark.parametrize(("value", "words"), [(0.0, "row 2 is a zero vector"), (np.nan, "row 2 contains NaN")])
def test_features_without_a_direction_are_refused(value: float, words: str) -> None:
    points = AXES.copy()
    points[2] = value
    with pytest.raises(MetricError, match=words):
        unsupervised.soft_neighbourhood_density(points)
    with pytest.raises(MetricError, match=words):
        unsupervised.silhouette(points, np.array([0, 0, 1, 1]))


def test_the_criteria_find_clusters_themselves() -> None:
    """Twelve tight groups of eight in 40 dimensions: DBSCAN finds them, and the silhouette is nearly 1."""
    drawn = np.random.default_rng(5)
    centres = np.repeat(drawn.normal(size=(12, 40)), 8, axis=0)
    points = (centres + 0.02 * drawn.normal(size=centres.shape)).astype(np.float32)
    found = unsupervised.CRITERIA["silhouette"](points)
    assert found["clusters"] >= 2
    truth = np.repeat(np.arange(12), 8)
    assert unsupervised.silhouette(points, truth) > 0.95
    worse = unsupervised.silhouette(points, np.random.default_rng(6).permutation(truth))
    assert worse < 0
    assert set(unsupervised.CRITERIA["snd"](points)) == {"snd"}


def test_features_that_separate_nothing_have_no_density_as_a_criterion() -> None:
    """All in one direction is the highest density, log(N - 1), of a network that is of no use."""
    points = np.outer(np.arange(1.0, 9.0), [1.0, 2.0, 3.0])
    assert unsupervised.soft_neighbourhood_density(points) == pytest.approx(math.log(7), abs=1e-12)
    with pytest.raises(MetricError, match="the features of all 8 images point in one direction"):
        unsupervised.CRITERIA["snd"](points)
    points[0] = [3.0, 2.0, 1.0]
    assert unsupervised.CRITERIA["snd"](points)["snd"] < math.log(7) - 1e-3
