"""Exact nearest neighbours: lists in the order of float64 distances, with ties by index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.products import Floats, Products, refuse_zero
from reidbench.metrics.ties import in_order

from . import faiss_search, symmetric
from .vectors import Vectors

Backend = Literal["auto", "product", "faiss"]

# Candidates fetched beyond k, so that float64 can decide which is the k-th.
MARGIN = 8
CROWDED_ROWS = 16


@dataclass(frozen=True)
class Neighbours:
    """The k nearest neighbours of each vector, nearest first.

    indices: [N, k] int32. squared: [N, k] float32, squared distances (2 - 2 cos under cosine).
    farthest: [N] float32, squared distance of the farthest vector, if requested.
    """

    indices: NDArray[np.int32]
    squared: Floats
    farthest: Floats | None = None


def nearest_neighbours(
    features: NDArray[Any],
    k: int,
    distance: str = "cosine",
    backend: Backend = "auto",
) -> Neighbours:
    """Find the k nearest of the vectors [N, D] to each of them, including itself (k is at most N).

    backend: ``product`` computes half of the N x N product in blocks; ``faiss`` searches a flat index, on all GPUs if
    there are any; ``auto`` uses faiss if it finds a GPU, otherwise the product. All give the same lists.

    Raises MetricError for features that are not finite, for k < 1, and for a faiss that is missing or installed twice.
    """
    return nearest_of(Vectors({"features": features}, distance), k, backend)


def search(
    query_features: NDArray[Any],
    gallery_features: NDArray[Any],
    k: int,
    distance: str = "cosine",
) -> Neighbours:
    """Find the k nearest gallery vectors [G, D] of each query [Q, D] (k is at most G); memory grows with Q * k.

    Raises MetricError for features that are not finite or have different dimensions, zero vectors under cosine, and k <
    1.
    """
    if k < 1:
        raise MetricError(f"k={k} must be at least 1")
    exact = Products(query_features, gallery_features, distance)
    if exact.cosine:
        refuse_zero("query_features", exact.query_norms == 0)
        refuse_zero("gallery_features", exact.gallery_norms == 0)
    size, k = len(exact.gallery), min(k, len(exact.gallery))
    wide = min(k + MARGIN, size)
    indices = np.empty((len(exact.query), wide), np.int32)
    keys = np.empty(indices.shape, np.float32)
    start = 0
    for block in exact.blocks():
        part = slice(start, start + len(block))
        best = np.argpartition(block, wide - 1, axis=1)[:, :wide]
        found = np.take_along_axis(block, best, 1)
        order = np.argsort(found, axis=1)
        indices[part], keys[part] = np.take_along_axis(best, order, 1), np.take_along_axis(found, order, 1)
        start = part.stop
    settle(indices, keys, k, exact)
    squared = 2 + 2 * keys[:, :k] if exact.cosine else keys[:, :k] + exact.query_norms[:, None] ** 2
    return Neighbours(indices[:, :k], np.maximum(squared, 0))


def nearest_of(
    vectors: Vectors,
    k: int,
    backend: Backend = "auto",
    farthest: bool = False,
    visit: symmetric.Visit | None = None,
) -> Neighbours:
    """As `nearest_neighbours`, for prepared vectors, with the farthest distances if requested.

    The product passes its blocks of similarities to `visit`.
    """
    if k < 1:
        raise MetricError(f"k={k} must be at least 1")
    n, k = len(vectors), min(k, len(vectors))
    wide = min(k + MARGIN, n)
    if backend == "faiss" or (backend == "auto" and faiss_search.gpus()):
        indices, similarities, least = faiss_search.nearest(vectors, wide, farthest)
    elif backend in ("auto", "product"):
        lists, least = symmetric.nearest(vectors, wide, farthest, visit)
        indices, similarities = lists.indices, lists.similarities
    else:
        raise MetricError(f"backend={backend!r} is unknown; choose one of auto, product, faiss")
    exact = Products(vectors.values, vectors.values, vectors.distance)
    keys = -similarities if vectors.cosine else -2 * similarities
    settle(indices, keys, k, exact)
    squared = 2 + 2 * keys[:, :k] if vectors.cosine else keys[:, :k]
    return Neighbours(indices[:, :k], np.maximum(squared, 0), None if least is None else vectors.squared(least))


def settle(indices: NDArray[np.int32], keys: Floats, k: int, exact: Products) -> None:
    """Sort the first k of each list [N, > k] by float64 keys where float32 keys cannot decide.

    Lists whose candidates end within a run of near-ties are searched again over the whole row.
    """
    size, wide = len(exact.gallery), indices.shape[1]
    window = exact.window(0, len(indices))[:, None]
    doubtful = (np.diff(keys[:, : k + 1], axis=1) <= window).any(1)
    crowded = doubtful & (keys[:, wide - 1] - keys[:, k - 1] <= window[:, 0]) & (wide < size)
    rows = np.flatnonzero(doubtful & ~crowded)
    if len(rows):
        doubles = exact.pairs(np.repeat(rows, wide), indices[rows].ravel()).reshape(-1, wide)
        order = in_order(doubles, indices[rows], exact.tolerance(rows))
        indices[rows], keys[rows] = (np.take_along_axis(x[rows], order, 1) for x in (indices, keys))
    rows = np.flatnonzero(crowded)
    for start in range(0, len(rows), CROWDED_ROWS):
        part = rows[start : start + CROWDED_ROWS]
        doubles = exact.rows(part)
        everything = np.broadcast_to(np.arange(size, dtype=np.int32), doubles.shape)
        order = in_order(doubles, everything, exact.tolerance(part))[:, :wide]
        offset = 0 if exact.cosine else exact.query_norms[part, None].astype(np.float64) ** 2
        indices[part], keys[part] = order, np.take_along_axis(doubles, order, 1) + offset
