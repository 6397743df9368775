"""Sums of minima of sparse rows, sum_c min(V[i, c], W[j, c]), without a dense matrix of all pairs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from reidbench.metrics.products import Floats

Sparse = Any  # scipy.sparse.csr_array of float32; scipy has no types

# Pairs of entries expanded at a time: 4 million take 48 MiB.
EXPANDED = 4_000_000


class Minima:
    """Sums of minima of the rows of V [n, c] with the rows of W [m, c], both without stored zeros.

    Two rows interact only in shared columns, so for each entry of V the same column of W is scanned. Without W the rows
    of V are compared with each other, and only pairs with j > i are computed, since the sums are symmetric. The scan is
    one sparse product of scipy or, with numba, a compiled loop; both add the same float32 numbers in the same order.
    """

    def __init__(self, v: Sparse, w: Sparse | None = None) -> None:
        self.v = v
        columns = (v if w is None else w).tocsc()
        self.size, self.edges = columns.shape[0], columns.indptr
        self.rows, self.values = columns.indices, columns.data
        # Where the scan of each entry of V starts: at the top of its column, or after the entry itself.
        self.starts = _places(v) + 1 if w is None else self.edges[v.indices].astype(np.int64)

    def blocks(self, rows: int) -> Iterator[tuple[int, Sparse]]:
        """Yield (first row, CSR [b, m]) of all sums above 0, for at most `rows` rows of V at a time."""
        lengths = self.edges[self.v.indices + 1] - self.starts
        work = np.concatenate([[0], np.cumsum(lengths)])[self.v.indptr]
        start = 0
        while start < self.v.shape[0]:
            fits = int(np.searchsorted(work, work[start] + EXPANDED, "right")) - 1
            stop = min(max(fits, start + 1), start + rows, self.v.shape[0])
            yield start, self.block(start, stop)
            start = stop

    def block(self, start: int, stop: int) -> Sparse:
        """CSR [stop - start, m] of the sums above 0; the columns of a row are unsorted."""
        import scipy.sparse as sp

        part = slice(self.v.indptr[start], self.v.indptr[stop])
        indptr = self.v.indptr[start : stop + 1] - part.start
        if find_spec("numba"):
            from . import compiled

            walk = self.v.indices[part], self.v.data[part], self.starts[part]
            found = compiled.sums(indptr, *walk, self.edges, self.rows, self.values, self.size)
            return sp.csr_array(found, shape=(stop - start, self.size))
        expanded = self._expanded(part)
        entries = expanded.shape[0]
        ones = np.ones(entries, np.float32)
        adding = sp.csr_array((ones, np.arange(entries, dtype=np.int32), indptr), shape=(stop - start, entries))
        return adding @ expanded

    def _expanded(self, part: slice) -> Sparse:
        """CSR [entries, m]: for each entry of V the minima with the entries of its column of W."""
        import scipy.sparse as sp

        starts = self.starts[part]
        lengths = self.edges[self.v.indices[part] + 1] - starts
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        at = np.arange(indptr[-1], dtype=np.int32)
        at += np.repeat((starts - indptr[:-1]).astype(np.int32), lengths)
        minima: Floats = self.values[at]
        np.minimum(minima, np.repeat(self.v.data[part], lengths), out=minima)
        shape = len(lengths), self.size
        return sp.csr_array((minima, self.rows[at], indptr.astype(np.int32)), shape=shape)


def _places(v: Sparse) -> Any:
    """Position of each entry of a CSR matrix in its CSC form, [nnz] int64."""
    import scipy.sparse as sp

    numbered = sp.csr_array((np.arange(v.nnz), v.indices, v.indptr), shape=v.shape).tocsc()
    places = np.empty(v.nnz, np.int64)
    places[numbered.data] = np.arange(v.nnz)
    return places
