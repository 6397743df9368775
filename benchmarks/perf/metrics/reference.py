"""Straightforward reference code: sorts every row and stores every matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.perf.metrics.data import Sample


def argsort_ranking(query: Sample, gallery: Sample) -> tuple[float, float, float]:
    """(mAP, mINP, CMC at rank 1) from a stable argsort of each row of the whole distance matrix."""
    distances = 1 - query.features @ gallery.features.T
    order = np.argsort(distances, axis=1, kind="stable")
    aps, inps, firsts = [], [], []
    for i, row in enumerate(order):
        same = gallery.pids[row] == query.pids[i]
        kept = ~(same & (gallery.camids[row] == query.camids[i])) & (gallery.pids[row] != -1)
        places = np.flatnonzero(same[kept]) + 1
        if not len(places):
            continue
        aps.append(np.mean(np.arange(1, len(places) + 1) / places))
        inps.append(len(places) / places[-1])
        firsts.append(places[0] == 1)
    return float(np.mean(aps)), float(np.mean(inps)), float(np.mean(firsts))


def dense_reranking(query: NDArray[Any], gallery: NDArray[Any], k1: int = 20, k2: int = 6, share: float = 0.3) -> Any:
    """Re-ranking of Zhong et al. on N x N float32 matrices, as in most repositories: [Q, G]."""
    x = np.concatenate([query, gallery])
    n, half = len(x), round(k1 / 2) + 1
    original = 2 - 2 * (x @ x.T)
    np.maximum(original, 0, out=original)
    original /= original.max(1, keepdims=True)
    order = np.argsort(original, axis=1)
    v = _dense_weights(original, order, k1 + 1, half)
    if k2 != 1:
        v = np.stack([v[order[i, :k2]].mean(0) for i in range(n)])
    original = original[: len(query)]
    return ((1 - share) * _dense_jaccard(v, len(query)) + share * original)[:, len(query) :]


def dense_jaccard(x: NDArray[Any], k1: int = 30, k2: int = 6) -> Any:
    """Jaccard distance of SpCL's clustering on N x N float32 matrices: [N, N]."""
    squared = 2 - 2 * (x @ x.T)
    order = np.argsort(squared, axis=1)
    v = _dense_weights(squared, order, k1, round(k1 / 2) + 1)
    if k2 != 1:
        v = np.stack([v[order[i, :k2]].mean(0) for i in range(len(x))])
    return np.maximum(_dense_jaccard(v, len(x)), 0)


def _dense_weights(distances: Any, order: Any, listed: int, half: int) -> Any:
    v = np.zeros_like(distances)

    def reciprocal(i: int, k: int) -> Any:
        forward = order[i, :k]
        return forward[np.flatnonzero((order[forward, :k] == i).any(1))]

    for i in range(len(v)):
        near = reciprocal(i, listed)
        expanded = [near]
        for j in near:
            candidates = reciprocal(j, half)
            if len(np.intersect1d(candidates, near)) > 2 / 3 * len(candidates):
                expanded.append(candidates)
        at = np.unique(np.concatenate(expanded))
        weights = np.exp(-distances[i, at])
        v[i, at] = weights / weights.sum()
    return v


def _dense_jaccard(v: Any, rows: int) -> Any:
    inverted = [np.flatnonzero(v[:, i]) for i in range(len(v))]
    jaccard = np.empty((rows, len(v)), v.dtype)
    for i in range(rows):
        shared = np.zeros(len(v), v.dtype)
        for column in np.flatnonzero(v[i]):
            others = inverted[column]
            shared[others] += np.minimum(v[i, column], v[others, column])
        jaccard[i] = 1 - shared / (2 - shared)
    return jaccard
