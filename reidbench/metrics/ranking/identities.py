"""CMC over identities: each gallery identity counts once, at its first kept image (SYSU-MM01)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.products import Products
from reidbench.metrics.ties import farther

from .counting import Before
from .matches import Labels, Pairs

DISTRACTOR = 0


def note_on_distractors(pids: NDArray[Any], cmc: str) -> list[str]:
    """Note if several gallery rows [G] of pid 0 count as one identity, like those of any other pid.

    Equal pids are one identity. If persons are numbered from 0, that is right for pid 0; distractors are not one
    identity.
    """
    count = int(np.count_nonzero(pids == DISTRACTOR))
    if cmc != "identities" or count < 2:
        return []
    return [f"CMC counts gallery pid 0, which marks distractors in some data sets, as one identity, of {count} rows"]


class Identities:
    """Ranks of true matches among identities: 1 + the number of other identities with an image before the first."""

    def __init__(self, labels: Labels, exact: Products | None) -> None:
        self.pids, self.exact = labels.gallery_pids, exact

    def places(
        self, keys: NDArray[Any], hits: Pairs, limits: NDArray[Any], before: Before, ties: str, start: int
    ) -> NDArray[np.int64]:
        """Ranks [b] of the queries from `start` on; 0 without a true match.

        keys [b, G] are infinite except for kept images of other identities; `limits` [H] are those of `hits`.
        """
        places = np.zeros(len(keys), np.int64)
        counts, starts = before.by(ties), hits.starts(len(keys))
        for query in np.flatnonzero(np.diff(starts)).tolist():
            # The rows before one true match are a subset of those before the next, so the first has the fewest.
            first = starts[query] + int(np.argmin(counts[starts[query] : starts[query + 1]]))
            places[query] = 1
            if counts[first]:
                rows = self._before(keys[query], limits[first], int(hits.cols[first]), ties, start + query)
                places[query] += len(np.unique(self.pids[rows]))
        return places

    def _before(self, row: NDArray[Any], limit: Any, hit: int, ties: str, query: int) -> NDArray[np.intp]:
        """Gallery rows before a true match, in the order of `count_before`."""
        window = self.exact.window(query, query + 1).astype(row.dtype)[0] if self.exact else row.dtype.type(0)
        nearer = np.flatnonzero(row < limit - window)
        close = np.flatnonzero((row >= limit - window) & (row <= limit + window))
        if self.exact and len(close):
            again = np.full(len(close), query)
            own = self.exact.pairs(again[:1], np.array([hit]))
            behind = farther(self.exact, again, close, np.repeat(own, len(close)))
        else:
            behind = np.zeros(len(close))
        tied = (behind == 0) & {"best": False, "worst": True, "stable": close < hit}[ties]
        return np.concatenate([nearer, close[(behind < 0) | tied]])
