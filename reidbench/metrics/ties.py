"""Equality of distances, and the order of gallery rows at equal distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .products import Doubles, Products, Rows

Counts = NDArray[np.int64]


def rows_before(nearer: Counts, tied: Counts, earlier: Counts, ties: str) -> Counts:
    """Number of rows before a true match: all nearer ones, and the tied ones that the rule `ties` puts first.

    Of rows at equal distance, those with a smaller index come first (``stable``, `earlier` of them), the true match
    (``best``), or all others (``worst``). All arrays have one shape.
    """
    if ties == "best":
        return nearer
    return nearer + (tied if ties == "worst" else earlier)


def farther(exact: Products, queries: Rows, rows: Rows, keys: Doubles) -> Doubles:
    """Excess [m] of gallery rows' distances over `keys` [m] of the same queries; 0 if tied.

    Two rows are tied if their float64 keys differ by at most `Products.tolerance`, the rounding error of such keys.
    Float32 keys alone decide if they differ by more than `Products.window`.
    """
    difference = exact.pairs(queries, rows) - keys
    difference[np.abs(difference) <= exact.tolerance(queries)] = 0
    return difference


def in_order(keys: Doubles, indices: NDArray[np.int32], tolerance: Doubles) -> NDArray[np.intp]:
    """Order [m, k] of each list by its float64 keys; chains of tied ones by index."""
    first = np.argsort(keys, axis=1)
    steps = np.diff(np.take_along_axis(keys, first, 1), axis=1, prepend=-np.inf) > tolerance[:, None]
    groups = np.cumsum(steps, axis=1)
    second = np.argsort(groups << 32 | np.take_along_axis(indices, first, 1), axis=1)
    return np.take_along_axis(first, second, 1)
