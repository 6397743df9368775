"""When two distances are equal, and which gallery row then comes first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .products import Doubles, Products, Rows

Counts = NDArray[np.int64]


def rows_before(nearer: Counts, tied: Counts, earlier: Counts, ties: str) -> Counts:
    """How many rows come before a true match: all nearer ones, and of the tied ones what the rule `ties` says.

    Of rows at equal distance those with a smaller index come first (``stable``, `earlier` of them), the true match
    (``best``), or all others (``worst``). All arrays have one shape.
    """
    if ties == "best":
        return nearer
    return nearer + (tied if ties == "worst" else earlier)


def farther(exact: Products, queries: Rows, rows: Rows, keys: Doubles) -> Doubles:
    """[m]: by how much gallery rows are farther from their queries than `keys` [m] of the same queries; 0 where tied.

    Two rows are tied where their float64 keys differ by no more than `Products.tolerance`, the rounding error of such
    keys. Float32 keys decide alone where they differ by more than `Products.window`.
    """
    difference = exact.pairs(queries, rows) - keys
    difference[np.abs(difference) <= exact.tolerance(queries)] = 0
    return difference


def in_order(keys: Doubles, indices: NDArray[np.int32], tolerance: Doubles) -> NDArray[np.intp]:
    """[m, k]: the order of each list by its float64 keys; of tied ones, and all that they are tied with, by index."""
    first = np.argsort(keys, axis=1)
    steps = np.diff(np.take_along_axis(keys, first, 1), axis=1, prepend=-np.inf) > tolerance[:, None]
    groups = np.cumsum(steps, axis=1)
    second = np.argsort(groups << 32 | np.take_along_axis(indices, first, 1), axis=1)
    return np.take_along_axis(first, second, 1)
