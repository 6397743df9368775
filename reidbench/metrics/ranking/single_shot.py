"""CMC of the classic CUHK03 protocol: one gallery row per person, drawn several times."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.products import Products
from reidbench.metrics.ties import farther, rows_before

from .matches import Matches, Pairs
from .rules import Rules, Ties

Rows = NDArray[np.intp]
Doubles = NDArray[np.float64]


class SingleShot:
    """CMC summed over `rules.repeats` drawn galleries per query, after torchreid's eval_cuhk03.

    A draw depends on the seed and the number of the query, not on blocks or, as in torchreid, on a global generator.
    With `exact`, distances are float32 products, and float64 decides those that are too close.
    """

    def __init__(self, matches: Matches, rules: Rules, exact: Products | None, numbers: Rows) -> None:
        """`numbers` [Q]: numbers of the queries, which determine their draws."""
        self.rules, self.exact, self.numbers = rules, exact, numbers
        kept = matches.order[len(matches.junk) :]  # junk has the smallest pid, -1
        pids = matches.labels.gallery_pids[kept]
        self.people, self.start, self.size = np.unique(pids, return_index=True, return_counts=True)
        self.kept, self.query_pids = kept, matches.labels.query_pids
        # For each rule for ties: number of draws that found the true match at each rank.
        self.places = {ties: np.zeros(len(self.people) + 1, np.int64) for ties in get_args(Ties)}

    def add(self, keys: NDArray[Any], hits: Pairs, own: Pairs, first_query: int) -> None:
        """Draw for the queries of one block of distances [b, G], which is not changed; never draw `own` images."""
        starts, own_starts = hits.starts(len(keys)), own.starts(len(keys))
        for i in np.flatnonzero(np.diff(starts)):
            query = first_query + int(i)
            mine, away = hits.cols[starts[i] : starts[i + 1]], own.cols[own_starts[i] : own_starts[i + 1]]
            drawn, absent = self._draw(query, mine, away)
            person = int(np.searchsorted(self.people, self.query_pids[query]))
            ahead = self._ahead(keys[i], drawn, person, query)
            ahead[absent] = np.inf
            self._count(ahead, drawn, person)

    def _draw(self, query: int, mine: Rows, away: Rows) -> tuple[Rows, NDArray[np.bool_]]:
        """(gallery rows [repeats, people], people without one); only true matches are drawn of the query's pid."""
        chance = np.random.default_rng([self.rules.seed, int(self.numbers[query])]).random(
            (self.rules.repeats, len(self.people))
        )
        drawn = self.kept[self.start + (chance * self.size).astype(np.intp)]
        absent = np.zeros(drawn.shape, bool)
        own = np.searchsorted(self.people, self.query_pids[query])
        for person in np.flatnonzero(np.isin(drawn, away).any(0)):
            start = self.start[person]
            rest = np.setdiff1d(self.kept[start : start + self.size[person]], away)
            absent[:, person] = not len(rest)
            if len(rest):
                drawn[:, person] = rest[(chance[:, person] * len(rest)).astype(np.intp)]
        drawn[:, own] = mine[(chance[:, own] * len(mine)).astype(np.intp)]
        absent[:, own] = False
        return drawn, absent

    def _ahead(self, keys: NDArray[Any], drawn: Rows, own: int, query: int) -> Doubles:
        """Distance minus that of the drawn true match [repeats, people]; 0 if both are equal."""
        ahead: Doubles = keys[drawn].astype(np.float64) - keys[drawn[:, own], None]
        if self.exact:
            near = np.abs(ahead) <= self.exact.window(query, query + 1)
            near[:, own] = False
            draw, person = np.nonzero(near)
            again = np.full(len(draw), query)
            keys = self.exact.pairs(again, drawn[draw, own])
            ahead[draw, person] = farther(self.exact, again, drawn[draw, person], keys)
        return ahead

    def _count(self, ahead: Doubles, drawn: Rows, own: int) -> None:
        """Add the ranks, from 1, of the drawn true matches."""
        nearer, tied = (ahead < 0).sum(1), ahead == 0
        tied[:, own] = False
        earlier = tied & (drawn < drawn[:, own, None])
        for ties, places in self.places.items():
            before = rows_before(nearer, tied.sum(1), earlier.sum(1), ties)
            places += np.bincount(before + 1, minlength=len(places))

    def curve(self, longest: int, ties: Ties) -> Doubles:
        """Number of queries found up to each rank [longest], each averaged over its repeats."""
        counts = np.zeros(longest + 1)
        counts[: len(self.places[ties])] = self.places[ties][: longest + 1]
        return counts[1:].cumsum() / self.rules.repeats
