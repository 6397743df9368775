"""Alternative pseudo labels: agglomerative clustering, k-means, and circular search among nearest neighbours."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import MetricError
from .neighbours.neighbours import nearest_neighbours
from .products import unit

OUTLIER = -1
# Agglomerative clustering needs all pairs: above this the matrix alone would take more than 3 GiB.
MOST_PAIRED = 28_000


def agglomerative(features: NDArray[Any], threshold: float = 0.43) -> NDArray[np.int64]:
    """Cluster features [N, D] by average linkage on cosine distances up to `threshold`; returns labels [N].

    A singleton is an outlier, -1. Needs all N x N distances. Raises MetricError above 28,000 vectors.
    """
    from sklearn.cluster import AgglomerativeClustering

    if len(features) > MOST_PAIRED:
        raise MetricError(f"agglomerative clustering of {len(features)} vectors requires too many pairs; use DBSCAN")
    if len(features) < 2:
        return np.full(len(features), OUTLIER, dtype=np.int64)
    rows = unit(features)
    distances = np.clip(1 - rows @ rows.T, 0, None)
    model = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=threshold
    )
    return consecutive(model.fit_predict(distances))


def k_means(features: NDArray[Any], clusters: int, seed: int = 0) -> NDArray[np.int64]:
    """Cluster features [N, D], normalised to length 1, by k-means; returns labels [N]. Singletons are outliers, -1.

    Raises MetricError for `clusters` below 1.
    """
    from sklearn.cluster import KMeans

    if clusters < 1:
        raise MetricError(f"clusters={clusters} must be at least 1")
    model = KMeans(n_clusters=min(clusters, len(features)), n_init=1, random_state=seed)
    return consecutive(model.fit_predict(unit(features).astype(np.float64)))


def circular_search(
    features: NDArray[Any],
    threshold: float = 0.5,
    chains: Literal["union", "parent"] = "union",
    mutual: Literal["keep", "drop"] = "keep",
    self_match: Literal["never", "allowed"] = "never",
    ties: Literal["first", "last"] = "first",
) -> NDArray[np.int64]:
    """Give each vector of features [N, D] the identity of its nearest neighbour, if near enough; returns labels [N].

    Each vector searches all others; the nearest one at a cosine distance below `threshold` is its parent.

    chains: with i -> j -> k, ``union`` makes one identity of all three; ``parent`` makes each vector that is a parent a
    separate identity, and gives the others that of their parent.
    mutual: if two vectors are each other's parent, ``keep`` makes them one identity, ``drop`` removes both links (the
    rule of the competition system that this method comes from).
    self_match: with ``allowed`` a vector may match itself, and then has no parent unless another vector has the same
    direction.
    ties: whether the first or the last of equally near vectors is the parent, in the order of the features.

    Identities of one vector are outliers, -1.
    """
    count = len(features)
    if count < 2:
        return np.full(count, OUTLIER, dtype=np.int64)
    parent = _parents(features, threshold, self_match, ties)
    named = np.flatnonzero(parent >= 0)
    if mutual == "drop":
        both = named[parent[parent[named]] == named]
        parent[both] = OUTLIER
        named = np.flatnonzero(parent >= 0)
    if chains == "union":
        return consecutive(_connected(count, named, parent[named]))
    labels = np.arange(count)
    is_parent = np.isin(labels, parent[named])
    followers = named[~is_parent[named]]
    labels[followers] = parent[followers]
    if mutual == "keep":  # of a mutual pair, the first is the root
        both = named[parent[parent[named]] == named]
        labels[both] = np.minimum(both, parent[both])
        moved = followers[np.isin(parent[followers], both)]
        labels[moved] = labels[parent[moved]]
    return consecutive(labels)


def _parents(features: NDArray[Any], threshold: float, self_match: str, ties: str) -> NDArray[np.int64]:
    """Nearest other vector of each vector; -1 if none is near enough."""
    rows = np.arange(len(features))
    order = rows[::-1] if ties == "last" else rows  # lists order equal distances by index
    near = nearest_neighbours(features[order], 2).indices[order]
    first, second = order[near[:, 0]], order[near[:, 1]]
    if self_match == "allowed":
        parent = np.where(first == rows, OUTLIER, first)
    else:  # among equal vectors, another one may precede the vector itself
        parent = np.where(first == rows, second, first)
    directions = unit(features)
    distance = 1 - np.einsum("nd,nd->n", directions, directions[parent])
    return np.where(distance < threshold, parent, OUTLIER)


def _connected(count: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def consecutive(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Renumber labels as 0, 1, ... in order of first appearance; singletons and -1 become -1."""
    values, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    kept = (sizes > 1) & (values != OUTLIER)
    order = np.argsort(np.where(kept, first, np.iinfo(np.int64).max), kind="stable")
    number = np.full(len(values), OUTLIER, dtype=np.int64)
    number[order[: kept.sum()]] = np.arange(kept.sum())
    return number[inverse]
