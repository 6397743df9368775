"""CMC of the classic CUHK03 protocol: one gallery row of each person, drawn several times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.matches import Matches, Pairs
from reidbench.metrics.rules import Rules


class SingleShot:
    """Adds up the CMC of `rules.repeats` drawn galleries per query, after torchreid's eval_cuhk03.

    A draw depends on the seed and the number of the query, not on blocks or on a global generator as there.
    """

    def __init__(self, matches: Matches, rules: Rules) -> None:
        self.rules = rules
        kept = matches.order[len(matches.junk) :]  # junk has the smallest pid, -1
        pids = matches.labels.gallery_pids[kept]
        self.people, self.start, self.size = np.unique(pids, return_index=True, return_counts=True)
        self.kept, self.query_pids = kept, matches.labels.query_pids
        self.places = np.zeros(len(self.people) + 1, np.int64)

    def add(self, keys: NDArray[Any], hits: Pairs, first_query: int) -> None:
        """Draw for the queries of one block of distances [b, G]; the block is left as it is."""
        starts = hits.starts(len(keys))
        for i in np.flatnonzero(np.diff(starts)):
            mine = hits.cols[starts[i] : starts[i + 1]]
            drawn = self._draw(first_query + int(i), mine)
            own = np.searchsorted(self.people, self.query_pids[first_query + i])
            self.places += np.bincount(self._places(keys[i][drawn], drawn, own), minlength=len(self.places))

    def _draw(self, query: int, mine: NDArray[np.intp]) -> NDArray[np.intp]:
        """[repeats, people]: gallery rows; of the query's own pid only its true matches can be drawn."""
        chance = np.random.default_rng([self.rules.seed, query]).random((self.rules.repeats, len(self.people)))
        drawn = self.kept[self.start + (chance * self.size).astype(np.intp)]
        own = np.searchsorted(self.people, self.query_pids[query])
        drawn[:, own] = mine[(chance[:, own] * len(mine)).astype(np.intp)]
        return drawn

    def _places(self, distances: NDArray[Any], drawn: NDArray[np.intp], own: np.intp) -> NDArray[np.int64]:
        """[repeats]: the place, from 1, of the drawn true match."""
        limit = distances[:, own, None]
        before = distances < limit
        if self.rules.ties == "stable":
            before |= (distances == limit) & (drawn < drawn[:, own, None])
        elif self.rules.ties == "worst":
            before |= distances == limit
            before[:, own] = False
        return np.asarray(before.sum(1) + 1)

    def curve(self, longest: int) -> NDArray[np.float64]:
        """[longest]: number of queries found up to each rank, each the mean of its repeats."""
        counts = np.zeros(longest + 1)
        counts[: len(self.places)] = self.places[: longest + 1]
        return counts[1:].cumsum() / self.rules.repeats
