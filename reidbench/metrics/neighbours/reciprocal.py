"""k-reciprocal neighbour sets and their weights as sparse matrices (Zhong et al., CVPR 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.products import Floats

from .neighbours import Neighbours
from .vectors import Vectors

Sparse = Any  # scipy.sparse.csr_array; scipy has no types


def expanded_sets(indices: NDArray[np.int32], k: int, half: int) -> Sparse:
    """[N, N] CSR pattern of the expanded k-reciprocal sets, from nearest-neighbour lists [N, >= k].

    R(i) holds those of i's first k that have i in their first k. The set R_half(j) of a member j, computed from the
    first `half`, is added if more than two thirds of it are in R(i).
    """
    reciprocal, small = _reciprocal(indices, k), _reciprocal(indices, half)
    shared = (reciprocal @ small.T).multiply(reciprocal).tocoo()
    accepted = 3 * shared.data > 2 * np.diff(small.indptr)[shared.col]
    joining = _pattern(shared.row[accepted], shared.col[accepted], len(indices))
    expanded = (reciprocal + joining @ small).tocsr()
    expanded.sort_indices()
    return expanded


def _reciprocal(indices: NDArray[np.int32], k: int) -> Sparse:
    listed = first_of(indices, k)
    return listed.multiply(listed.T).tocsr()


def first_of(indices: NDArray[np.int32], k: int) -> Sparse:
    """[N, N] CSR of ones at the first k neighbours of each row."""
    lists = np.sort(indices[:, :k], axis=1)
    return _pattern(np.repeat(np.arange(len(lists)), lists.shape[1]), lists.ravel(), len(lists))


def _pattern(rows: NDArray[Any], cols: NDArray[Any], n: int) -> Sparse:
    import scipy.sparse as sp

    return sp.coo_array((np.ones(len(rows), np.float32), (rows, cols)), shape=(n, n)).tocsr()


def squared_on(pattern: Sparse, vectors: Vectors, near: Neighbours) -> Floats:
    """Squared distances of the pairs of a pattern, [nnz]; those in the lists are reused, the rest computed."""
    n = len(vectors)
    rows = np.repeat(np.arange(n, dtype=np.int64), np.diff(pattern.indptr))
    if not vectors.cosine:  # list entries come from products, which lose digits far from the origin
        return vectors.squared(vectors.pairs(rows, pattern.indices))
    wanted = rows * n + pattern.indices
    order = np.argsort(near.indices, axis=1)
    known = (np.arange(n)[:, None] * n + np.take_along_axis(near.indices, order, 1)).ravel()
    at = np.searchsorted(known, wanted)
    at[at == len(known)] = 0
    found: Floats = np.take_along_axis(near.squared, order, 1).ravel()[at]
    missing = np.flatnonzero(known[at] != wanted)
    found[missing] = vectors.squared(vectors.pairs(rows[missing], pattern.indices[missing]))
    return found


def normalised(pattern: Sparse, logits: Floats) -> Sparse:
    """Softmax over the entries of each row of a pattern: exp(logit) divided by the sum of the row."""
    import scipy.sparse as sp

    lengths = np.diff(pattern.indptr)
    rows = np.repeat(np.arange(pattern.shape[0]), lengths)
    filled = np.flatnonzero(lengths)  # with many copies of one image, some lists do not contain their own vector
    largest = np.zeros(len(lengths), np.float32)
    largest[filled] = np.maximum.reduceat(logits, pattern.indptr[filled])
    weights = np.exp(logits - largest[rows])
    sums = np.bincount(rows, weights, pattern.shape[0])
    values = (weights / sums[rows]).astype(np.float32)
    found = sp.csr_array((values, pattern.indices, pattern.indptr), shape=pattern.shape)
    found.eliminate_zeros()
    return found


def query_expanded(weights: Sparse, indices: NDArray[np.int32], k2: int) -> Sparse:
    """Replace each row by the mean of the rows of its first k2 neighbours (query expansion)."""
    if k2 == 1:
        return weights
    first = first_of(indices, k2)
    first.data /= np.float32(min(k2, indices.shape[1]))
    return (first @ weights).tocsr()
