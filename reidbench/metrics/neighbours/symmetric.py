"""Nearest neighbours among N vectors, from half of the N x N product, one block in memory at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.products import Floats

from .vectors import Vectors

BLOCK = 2_048

Rows = NDArray[np.int64]
Visit = Callable[[slice, slice, Floats], None]


class NearestLists:
    """The k most similar vectors so far of each of N vectors: `similarities` [N, k] descending, `indices` [N, k]."""

    def __init__(self, n: int, k: int) -> None:
        self.similarities = np.full((n, k), -np.inf, np.float32)
        self.indices = np.full((n, k), -1, np.int32)

    @property
    def floors(self) -> Floats:
        """Similarity that a new candidate must exceed, [N]."""
        return self.similarities[:, -1]

    def merge(self, rows: Rows, cols: Rows, similarities: Floats) -> None:
        """Merge candidates (row, column, similarity), ordered by row."""
        if not len(rows):
            return
        k = self.similarities.shape[1]
        touched, slot, counts = np.unique(rows, return_inverse=True, return_counts=True)
        slots = np.concatenate([np.repeat(np.arange(len(touched)), k), slot])
        sims = np.concatenate([self.similarities[touched].ravel(), similarities])
        order = np.argsort(slots << 32 | _descending(sims))
        firsts = np.cumsum(counts + k) - (counts + k)
        best = order[firsts[:, None] + np.arange(k)]
        self.similarities[touched] = sims[best]
        self.indices[touched] = np.concatenate([self.indices[touched].ravel(), cols.astype(np.int32)])[best]


def _descending(values: Floats) -> NDArray[np.int64]:
    """Map values to integers from 0 to 2^32 - 1 in reverse order, so that one integer sort suffices."""
    bits = (-values).view(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) + 2**31


def nearest(
    vectors: Vectors, k: int, farthest: bool = False, visit: Visit | None = None
) -> tuple[NearestLists, Floats | None]:
    """(lists of the k <= N most similar, including the vector itself; least similarity [N] if `farthest`).

    A block's candidates are the entries above the current floors of its rows and columns, which the diagonal blocks set
    first. `visit(rows, cols, block)` receives each block on and above the diagonal.
    """
    n = len(vectors)
    lists, least = NearestLists(n, k), np.full(n, np.inf, np.float32) if farthest else None
    parts = blocks(n)
    size = max(part.stop - part.start for part in parts)
    space, mask = np.empty(size * size, np.float32), np.empty(size * size, bool)
    for part in parts:
        block = _product(vectors, part, part, space)
        _seed(lists, part, block)
        if visit:
            visit(part, part, block)
        if least is not None:
            least[part] = block.min(1)
    for i, rows in enumerate(parts):
        for cols in parts[i + 1 :]:
            block = _product(vectors, rows, cols, space)
            if visit:
                visit(rows, cols, block)
            above = mask[: block.size].reshape(block.shape)
            _take(lists, rows, cols, block, np.greater(block, lists.floors[rows, None], out=above), False)
            _take(lists, rows, cols, block, np.greater(block, lists.floors[cols], out=above), True)
            if least is not None:
                np.minimum(least[rows], block.min(1), out=least[rows])
                np.minimum(least[cols], block.min(0), out=least[cols])
    return lists, least


def blocks(n: int) -> list[slice]:
    """Consecutive rows in blocks of at most BLOCK, of nearly equal size."""
    edges = np.linspace(0, n, -(-n // BLOCK) + 1).astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _product(vectors: Vectors, rows: slice, cols: slice, space: Floats) -> Floats:
    shape = rows.stop - rows.start, cols.stop - cols.start
    return vectors.block(rows, cols, out=space[: shape[0] * shape[1]].reshape(shape))


def _seed(lists: NearestLists, part: slice, block: Floats) -> None:
    """Initialise lists from a diagonal block."""
    k = min(lists.similarities.shape[1], len(block))
    best = np.argpartition(block, len(block) - k, axis=1)[:, len(block) - k :]
    found = np.take_along_axis(block, best, 1)
    order = np.argsort(-found, axis=1)
    lists.similarities[part, :k] = np.take_along_axis(found, order, 1)
    lists.indices[part, :k] = np.take_along_axis(best, order, 1) + part.start


def _take(lists: NearestLists, rows: slice, cols: slice, block: Floats, above: NDArray[np.bool_], turned: bool) -> None:
    """Merge the marked entries into the lists of the block's rows, or of its columns if `turned`."""
    at = np.flatnonzero(above)
    i, j = np.divmod(at, block.shape[1])
    found: Any = block.ravel()[at]
    if not turned:
        lists.merge(i + rows.start, j + cols.start, found)
        return
    order = np.argsort(j, kind="stable")
    lists.merge(j[order] + cols.start, i[order] + rows.start, found[order])
