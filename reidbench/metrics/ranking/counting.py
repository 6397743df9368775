"""Count the other gallery rows before each true match, without sorting the gallery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.products import Products
from reidbench.metrics.ties import Counts, farther, rows_before

from .matches import Pairs

Keys = NDArray[Any]

# A query with more near-ties than this is compared in float64 as a whole row, 16 such rows at a time.
MANY_NEAR_TIES = 2_048
_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class Before:
    """Numbers of kept gallery rows, other than true matches, before each of some true matches, all [H].

    nearer: rows at a smaller distance. tied: rows at an equal distance. earlier: tied rows with a smaller index. close:
    rows whose distance float32 cannot distinguish from an equal one; without products, the tied rows.
    """

    nearer: Counts
    tied: Counts
    earlier: Counts
    close: Counts

    @classmethod
    def of(cls, hits: int) -> Before:
        """Create zero counts."""
        return cls(*(np.zeros(hits, np.int64) for _ in range(4)))

    def by(self, ties: str) -> Counts:
        """Rows [H] before each true match under a rule for ties (stable, best or worst)."""
        return rows_before(self.nearer, self.tied, self.earlier, ties)

    def put(self, which: NDArray[np.bool_], other: Before) -> None:
        """Replace some of the counts, except the close ones."""
        self.nearer[which], self.tied[which], self.earlier[which] = other.nearer, other.tied, other.earlier


def count_before(
    keys: Keys,
    hits: Pairs,
    removed: tuple[Pairs, ...],
    junk: NDArray[np.intp],
    exact: Products | None = None,
    first_query: int = 0,
) -> Before:
    """Count the kept gallery rows, other than true matches, before each of `hits`.

    keys [b, G] are overwritten: rows that do not count become infinite. With `exact`, keys are float32 products of the
    queries from `first_query` on, and keys that are too close are compared again in float64, so that the counts depend
    neither on the BLAS library nor on the block size.
    """
    limits = keys[hits.rows, hits.cols]
    for pairs in (hits, *removed):
        keys[pairs.rows, pairs.cols] = np.inf
    if len(junk):
        keys[:, junk] = np.inf
    if exact is None:
        return _count(keys, hits, limits, np.zeros(len(keys)))[0]
    window = exact.window(first_query, first_query + len(keys))
    before, near = _count(keys, hits, limits, window, collect=True)
    near.settle(before, hits, exact, first_query)
    if near.crowded:
        rows = np.array(near.crowded)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            _recount(keys, hits, rows[start : start + _ROWS_AT_ONCE], before, exact, first_query)
    return before


@dataclass
class NearTies:
    """Pairs (hit, gallery row) that float32 cannot order, and the rows of queries with too many of them."""

    hits: list[NDArray[np.intp]] = field(default_factory=list)
    rows: list[NDArray[np.intp]] = field(default_factory=list)
    crowded: list[int] = field(default_factory=list)

    def settle(self, before: Before, hits: Pairs, exact: Products, first_query: int) -> None:
        """Add to `before` the near-ties that float64 finds nearer than their hit, or tied with it."""
        if not self.hits:
            return
        hit, rows = np.concatenate(self.hits), np.concatenate(self.rows)
        asked, which = np.unique(hit, return_inverse=True)
        queries = hits.rows[asked] + first_query
        own = exact.pairs(queries, hits.cols[asked])
        behind = farther(exact, queries[which], rows, own[which])
        tied = behind == 0
        size = len(before.tied)
        before.nearer[:] += np.bincount(hit[behind < 0], minlength=size)
        before.tied[:] += np.bincount(hit[tied], minlength=size)
        before.earlier[:] += np.bincount(hit[tied & (rows < hits.cols[hit])], minlength=size)


def _count(
    keys: Keys, hits: Pairs, limits: Keys, window: NDArray[np.float64], collect: bool = False
) -> tuple[Before, NearTies]:
    """Count row by row; values within the window of a hit are ties, or are collected as near-ties."""
    before, near = Before.of(len(limits)), NearTies()
    starts = hits.starts(len(keys)).tolist()
    reach = window.astype(limits.dtype)[hits.rows]
    lower, upper = limits - reach, limits + reach
    queries, first = np.unique(hits.rows, return_index=True)
    farthest = np.maximum.reduceat(upper, first) if len(first) else upper
    for i, end in zip(queries.tolist(), farthest, strict=True):
        start, stop = starts[i], starts[i + 1]
        # Few rows are nearer than the farthest true match; `take` is twice as fast as a Boolean mask.
        row = keys[i]
        at = np.flatnonzero(row <= end)
        values = row.take(at)
        ordered = np.sort(values)
        before.nearer[start:stop] = low = ordered.searchsorted(lower[start:stop], "left")
        within = ordered.searchsorted(upper[start:stop], "right") - low
        before.close[start:stop] = within
        if not within.any():
            continue
        if collect and within.sum() > MANY_NEAR_TIES:
            near.crowded.append(i)
            continue
        if not collect:
            before.tied[start:stop] = within
        for hit in start + np.flatnonzero(within):
            tied = at[np.flatnonzero((values >= lower[hit]) & (values <= upper[hit]))]
            if collect:
                near.hits.append(np.full(len(tied), hit))
                near.rows.append(tied)
            else:
                before.earlier[hit] = np.count_nonzero(tied < hits.cols[hit])
    return before, near


def _recount(
    keys: Keys, hits: Pairs, rows: NDArray[np.intp], before: Before, exact: Products, first_query: int
) -> None:
    """Count some rows of the block again, on float64 keys; infinite keys stay infinite."""
    mine, which = hits.of(rows)
    doubles = exact.rows(rows + first_query)
    limits = doubles[mine.rows, mine.cols]
    doubles[np.isinf(keys[rows])] = np.inf
    before.put(which, _count(doubles, mine, limits, exact.tolerance(rows + first_query))[0])
