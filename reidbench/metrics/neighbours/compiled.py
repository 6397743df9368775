"""Sums of minima in a loop compiled by numba (the extra ``fast``); imported only if numba is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


def _sums(
    indptr: Ints,
    indices: Ints,
    data: Floats,
    starts: NDArray[np.int64],
    edges: Ints,
    rows: Ints,
    values: Floats,
    n: int,
) -> tuple[Floats, Ints, Ints]:
    """CSR arrays: for each row, add min(entry, entry of the same column) to the rows that share the column.

    `starts` is, for each entry of the left matrix, where its column is scanned from; `edges` is where columns end.
    """
    sums, seen = np.zeros(n, np.float32), np.empty(n, np.int32)
    found_values, found_rows = np.empty(1 << 16, np.float32), np.empty(1 << 16, np.int32)
    found_starts = np.zeros(len(indptr), np.int32)
    stop = 0
    for i in range(len(indptr) - 1):
        met = 0
        for entry in range(indptr[i], indptr[i + 1]):
            for at in range(starts[entry], edges[indices[entry] + 1]):
                row = rows[at]
                if sums[row] == 0:
                    seen[met] = row
                    met += 1
                sums[row] += min(data[entry], values[at])
        while stop + met > len(found_rows):
            found_values = np.concatenate((found_values, np.empty_like(found_values)))
            found_rows = np.concatenate((found_rows, np.empty_like(found_rows)))
        for at in range(met):
            found_rows[stop], found_values[stop] = seen[at], sums[seen[at]]
            sums[seen[at]] = 0
            stop += 1
        found_starts[i + 1] = stop
    return found_values[:stop].copy(), found_rows[:stop].copy(), found_starts


_compiled: Any = import_module("numba").njit(cache=True)(_sums)


def sums(*arrays: Any) -> tuple[Floats, Ints, Ints]:
    """(data, indices, indptr) of the sums above 0; the arguments are those of `_sums`."""
    found: tuple[Floats, Ints, Ints] = _compiled(*arrays)
    return found
