"""Criteria without labels: quality of an embedder from the features of unlabelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MetricError
from .pseudo_labels import OUTLIER, cluster

Values = dict[str, float]

TEMPERATURE = 0.05  # of Saito et al.
BLOCK_ROWS = 512
COLLAPSED = 1e-6  # nats below the highest soft neighbourhood density


def silhouette(features: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean silhouette (Rousseeuw, 1987) of vectors [N, D] in clusters [N], by cosine distance; from -1 to 1.

    s(i) = (b - a) / max(a, b), where a is the mean distance to the other members of the vector's cluster and b that to
    the members of the nearest other cluster. An outlier, -1, is a cluster of one, whose s(i) is 0 by Rousseeuw's
    definition, so that leaving images out does not improve a clustering. Raises MetricError for fewer than two clusters
    of two or more.
    """
    inside = labels != OUTLIER
    found = np.unique(labels[inside])
    if len(found) < 2:
        count = "one cluster" if len(found) else "no cluster"
        raise MetricError(
            f"the silhouette requires two clusters, but there is {count} among {len(labels)} images "
            f"({int((~inside).sum())} outliers)"
        )
    own = np.empty(len(labels), np.int64)  # clusters 0, 1, ..., then one for each outlier
    own[inside] = np.searchsorted(found, labels[inside])
    own[~inside] = np.arange(len(found), len(found) + int((~inside).sum()))
    rows = _unit(features)
    sizes = np.bincount(own)
    sums = np.zeros((len(sizes), rows.shape[1]))
    np.add.at(sums, own, rows)
    parts = (_silhouettes(rows[block], own[block], sums, sizes) for block in _blocks(len(rows)))
    return float(np.concatenate(list(parts)).mean())


def _silhouettes(
    rows: NDArray[np.float64], own: NDArray[np.int64], sums: NDArray[np.float64], sizes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """s(i) [B] of unit vectors [B, D]; the cosine distances to a cluster add up to its size minus f . sum."""
    totals = sizes - rows @ sums.T
    at = np.arange(len(rows))
    others = sizes[own] - 1
    within = np.maximum(totals[at, own], 0) / np.maximum(others, 1)
    means = totals / sizes
    means[at, own] = np.inf
    between = np.maximum(means.min(1), 0)
    largest = np.maximum(within, between)
    return np.where((others > 0) & (largest > 0), (between - within) / np.where(largest > 0, largest, 1), 0.0)


def soft_neighbourhood_density(features: NDArray[Any], temperature: float = TEMPERATURE) -> float:
    """Mean entropy of each vector's soft neighbourhood (Saito et al., ICCV 2021), in nats, from 0 to log(N - 1).

    P_ij is the softmax over all j other than i of cosine(i, j) / `temperature`; more is better. The paper uses the
    softmax outputs of a classifier; features [N, D] of persons have no classes, so they are used directly. Features
    that all point in one direction have the highest value: compare only embedders that rank something. Raises
    MetricError for fewer than three vectors.
    """
    if len(features) < 3:
        raise MetricError(f"soft neighbourhood density requires at least three images, not {len(features)}")
    rows = _unit(features)
    return float(np.concatenate([_entropies(rows, block, temperature) for block in _blocks(len(rows))]).mean())


def _entropies(rows: NDArray[np.float64], block: slice, temperature: float) -> NDArray[np.float64]:
    scores = rows[block] @ rows.T / temperature
    scores[np.arange(len(scores)), np.arange(block.start, block.start + len(scores))] = -np.inf
    scores -= scores.max(1, keepdims=True)
    weights = np.exp(scores)
    totals = weights.sum(1)
    # -sum p log p with p = w / t is log t - sum w s / t; the vector itself has w = 0 and adds nothing.
    return np.asarray(np.log(totals) - (weights * np.where(weights > 0, scores, 0)).sum(1) / totals)


def _unit(features: NDArray[Any]) -> NDArray[np.float64]:
    """Vectors [N, D] at length 1, in float64. Raises MetricError for a vector that is zero or not finite."""
    rows = np.asarray(features, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(wrong):
        what = "is a zero vector" if lengths[wrong[0]] == 0 else "contains NaN or infinity"
        raise MetricError(f"features row {wrong[0]} {what} (as are {len(wrong)} of {len(rows)} rows)")
    return np.asarray(rows / lengths)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS))


# ---------------------------------------------------------------------- criteria by name
def _of_clusters(features: NDArray[Any]) -> Values:
    """Silhouette of the clusters that DBSCAN finds on Jaccard distances, with the defaults of clustering methods."""
    labels = cluster(features)
    value = silhouette(features, labels)
    return {"silhouette": value, "clusters": float(labels.max() + 1), "outliers": float((labels == OUTLIER).sum())}


def _density(features: NDArray[Any]) -> Values:
    """Soft neighbourhood density; an error for its highest value, which a network that separates no images has."""
    value = soft_neighbourhood_density(features)
    if np.log(len(features) - 1) - value < COLLAPSED:
        raise MetricError(f"the features of all {len(features)} images point in one direction")
    return {"snd": value}


# Names for `select: {unsupervised: NAME}`, each with a function of features [N, D]. More is better.
CRITERIA: Mapping[str, Callable[[NDArray[Any]], Values]] = {"silhouette": _of_clusters, "snd": _density}
