"""How many other gallery rows come before each true match, without sorting the gallery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.matches import Pairs
from reidbench.metrics.products import Products

Counts = NDArray[np.int64]
Keys = NDArray[Any]

# A query with more near-ties than this is compared in float64 as a whole row, 16 such rows at a time.
MANY_NEAR_TIES = 2_048
_ROWS_AT_ONCE = 16


def count_before(
    keys: Keys,
    hits: Pairs,
    removed: Pairs,
    junk: NDArray[np.intp],
    ties: str,
    exact: Products | None = None,
    first_query: int = 0,
) -> Counts:
    """How many kept gallery rows that are no true match stand before each of `hits`.

    keys [b, G] are overwritten: whatever is not counted becomes infinite. With `exact`, keys are float32 products of
    the queries from `first_query` on, and those too close to tell apart are compared again in float64: the counts
    then depend neither on the BLAS library nor on the size of the blocks.
    """
    limits = keys[hits.rows, hits.cols]
    keys[hits.rows, hits.cols] = np.inf
    keys[removed.rows, removed.cols] = np.inf
    if len(junk):
        keys[:, junk] = np.inf
    if exact is None:
        return _count(keys, hits, limits, np.zeros(len(keys)), ties)[0]
    window = exact.window(first_query, first_query + len(keys))
    before, near = _count(keys, hits, limits, window, ties, collect=True)
    near.settle(before, hits, ties, exact, first_query)
    if near.crowded:
        rows = np.array(near.crowded)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            _recount(keys, hits, rows[start : start + _ROWS_AT_ONCE], before, ties, exact, first_query)
    return before


@dataclass
class NearTies:
    """Pairs (hit, gallery row) whose order float32 cannot tell, and the rows of queries with too many of them."""

    hits: list[NDArray[np.intp]] = field(default_factory=list)
    rows: list[NDArray[np.intp]] = field(default_factory=list)
    crowded: list[int] = field(default_factory=list)

    def settle(self, before: Counts, hits: Pairs, ties: str, exact: Products, first_query: int) -> None:
        """Add to `before` the near-ties that come before their hit in float64, or by the rule for ties."""
        if not self.hits:
            return
        hit, rows = np.concatenate(self.hits), np.concatenate(self.rows)
        asked, which = np.unique(hit, return_inverse=True)
        queries = hits.rows[asked] + first_query
        own = exact.pairs(queries, hits.cols[asked])
        ahead = own[which] - exact.pairs(queries[which], rows)
        tolerance = exact.tolerance(queries)[which]
        tied = np.abs(ahead) <= tolerance
        if ties == "stable":
            tied &= rows < hits.cols[hit]
        elif ties == "best":
            tied[:] = False
        np.add.at(before, hit, (ahead > tolerance) | tied)


def _count(
    keys: Keys, hits: Pairs, limits: Keys, window: NDArray[np.float64], ties: str, collect: bool = False
) -> tuple[Counts, NearTies]:
    """Count row by row; what lies within the window of a hit is a tie, or is collected as a near-tie."""
    before, near = np.zeros(len(limits), np.int64), NearTies()
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
        before[start:stop] = low = ordered.searchsorted(lower[start:stop], "left")
        high = ordered.searchsorted(upper[start:stop], "right")
        if ties == "worst" and not collect:
            before[start:stop] = high
        if (ties == "best" and not collect) or (high == low).all():
            continue
        if collect and (high - low).sum() > MANY_NEAR_TIES:
            near.crowded.append(i)
            continue
        for hit in start + np.flatnonzero(high > low):
            tied = at[np.flatnonzero((values >= lower[hit]) & (values <= upper[hit]))]
            if collect:
                near.hits.append(np.full(len(tied), hit))
                near.rows.append(tied)
            elif ties == "stable":
                before[hit] += np.count_nonzero(tied < hits.cols[hit])
    return before, near


def _recount(
    keys: Keys, hits: Pairs, rows: NDArray[np.intp], before: Counts, ties: str, exact: Products, first_query: int
) -> None:
    """Count some rows of the block again, on float64 keys; keys that are infinite stay so."""
    mine, which = hits.of(rows)
    doubles = exact.rows(rows + first_query)
    limits = doubles[mine.rows, mine.cols]
    doubles[np.isinf(keys[rows])] = np.inf
    before[which] = _count(doubles, mine, limits, exact.tolerance(rows + first_query), ties)[0]
