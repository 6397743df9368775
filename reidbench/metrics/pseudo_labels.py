"""Pseudo labels: DBSCAN on the k-reciprocal Jaccard distance, as in SpCL and its successors, and alternatives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MetricError
from .groupings import OUTLIER, agglomerative, circular_search, k_means
from .neighbours.minima import Minima
from .neighbours.neighbours import Backend, nearest_of
from .neighbours.reciprocal import expanded_sets, normalised, query_expanded, squared_on
from .neighbours.vectors import Vectors

Sparse = Any  # scipy.sparse.csr_array; scipy has no types

BLOCK_ROWS = 512

__all__ = ["OUTLIER", "agglomerative", "circular_search", "cluster", "dbscan", "jaccard_graph", "k_means"]


def jaccard_graph(
    features: NDArray[Any],
    k1: int = 30,
    k2: int = 6,
    radius: float = 0.6,
    backend: Backend = "auto",
) -> Sparse:
    """Jaccard distances up to `radius`, as CSR [N, N] of float32 with stored zeros on the diagonal.

    Follows SpCL, Cluster Contrast and OpenUnReID: features [N, D] at length 1, lists of k1 (including the vector
    itself), half lists of around(k1 / 2) + 1, weights softmax(-squared distance), query expansion over k2. All pairs
    that are not stored are farther apart; memory grows with N * k1.

    Raises MetricError for features that are not finite, k1 or k2 < 1, or a radius outside 0..1.
    """
    if k1 < 1 or k2 < 1:
        raise MetricError(f"the Jaccard distance requires k1 >= 1 and k2 >= 1, not k1={k1} and k2={k2}")
    if not 0 <= radius < 1:
        raise MetricError(f"radius={radius} must be in [0, 1): pairs without common neighbours have distance 1")
    vectors = Vectors({"features": features}, "cosine")
    near = nearest_of(vectors, max(k1, k2), backend)
    sets = expanded_sets(near.indices, k1, round(k1 / 2) + 1)
    weights = normalised(sets, -squared_on(sets, vectors, near))
    return _within(query_expanded(weights, near.indices, k2), radius)


def _within(weights: Sparse, radius: float) -> Sparse:
    """Pairs of rows whose Jaccard distance 1 - s / (2 - s) is at most `radius`, as a symmetric graph."""
    import scipy.sparse as sp

    least = np.float32(2 * (1 - radius) / (2 - radius) * (1 - 1e-5))  # the same bound on s, slightly wider
    rows, cols, sums = [], [], []
    for start, found in Minima(weights).blocks(BLOCK_ROWS):
        kept = found.data >= least
        rows.append(np.repeat(np.arange(start, start + found.shape[0]), np.diff(found.indptr))[kept])
        cols.append(found.indices[kept])
        sums.append(found.data[kept])
    i, j, s = (np.concatenate(parts) for parts in (rows, cols, sums))
    distances = np.maximum(1 - s / (2 - s), np.float32(0))
    i, j, distances = (part[distances <= radius] for part in (i, j, distances))
    diagonal = np.arange(weights.shape[0])
    graph = sp.coo_array(
        (
            np.concatenate([distances, distances, np.zeros(len(diagonal), np.float32)]),
            (np.concatenate([i, j, diagonal]), np.concatenate([j, i, diagonal])),
        ),
        shape=weights.shape,
    ).tocsr()
    graph.sort_indices()
    return graph


def dbscan(graph: Sparse, eps: float = 0.6, min_samples: int = 4) -> NDArray[np.int64]:
    """Cluster a distance graph with scikit-learn's DBSCAN; returns labels [N], -1 for outliers.

    Pairs that are not stored count as farther than eps, so the graph's radius must be at least eps.
    """
    from scipy.sparse import csr_matrix
    from sklearn.cluster import DBSCAN

    found = DBSCAN(eps=float(eps), min_samples=min_samples, metric="precomputed").fit_predict(csr_matrix(graph))
    return np.asarray(found, np.int64)


def cluster(
    features: NDArray[Any],
    eps: float = 0.6,
    min_samples: int = 4,
    k1: int = 30,
    k2: int = 6,
    backend: Backend = "auto",
) -> NDArray[np.int64]:
    """Cluster features [N, D]; returns labels [N], -1 for outliers. `jaccard_graph`, then `dbscan`."""
    return dbscan(jaccard_graph(features, k1, k2, eps, backend), eps, min_samples)
