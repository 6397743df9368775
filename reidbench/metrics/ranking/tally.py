"""Accumulate the ranking of one gallery, block by block of the queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.products import Products

from .cameras import ByCamera
from .counting import Before, count_before
from .identities import Identities
from .matches import Labels, Matches, Pairs
from .rules import Rules, Ties
from .scores import Scores
from .single_shot import SingleShot

BOUNDS: tuple[Ties, Ties] = ("best", "worst")


class Results:
    """Results of queries [Q] under each rule for ties, and counts of results independent of the features.

    tied: pairs of a true match and another kept gallery row at an equal distance. heap: all kept gallery rows are at
    one distance. `alike`: at cosines that float32 cannot distinguish, or at one distance. alone: no other person is in
    the gallery. filtered: removed pairs by rule. unknown: true matches kept only because their clothes are unknown.
    """

    def __init__(self, total: int, rules: Rules) -> None:
        self.scores: dict[Ties, Scores] = {ties: Scores(total) for ties in dict.fromkeys((rules.ties, *BOUNDS))}
        self.tied = np.zeros(total, np.int64)
        self.heap, self.alike, self.alone = (np.zeros(total, bool) for _ in range(3))
        self.filtered: Counter[str] = Counter()
        self.unknown = 0
        self.shots: list[SingleShot] = []
        self.reasons: dict[int, str] = {}  # why queries have no true match, by number of the image

    def put(self, rows: NDArray[np.intp], part: Results) -> None:
        """Copy the results of some queries to the given `rows`."""
        for ties, scores in self.scores.items():
            scores.put(rows, part.scores[ties])
        for name in ("tied", "heap", "alike", "alone"):
            getattr(self, name)[rows] = getattr(part, name)
        self.filtered.update(part.filtered)
        self.unknown += part.unknown
        self.shots += part.shots
        self.reasons |= part.reasons

    def curve(self, ties: Ties, longest: int) -> NDArray[np.float64]:
        """Number of queries found up to each rank, [longest]."""
        if self.shots:
            found: NDArray[np.float64] = np.sum([shots.curve(longest, ties) for shots in self.shots], axis=0)
            return found
        return self.scores[ties].curve(longest)


class Tally:
    """Accumulates blocks of distances into `results`."""

    def __init__(
        self,
        labels: Labels,
        rules: Rules,
        exact: Products | None = None,
        cameras: ByCamera | None = None,
        numbers: NDArray[np.intp] | None = None,
        part: bool = False,
    ) -> None:
        """`numbers` [Q]: numbers of the queries among all images, which single-shot draws depend on."""
        self.labels, self.rules, self.exact, self.cameras = labels, rules, exact, cameras
        self.total = len(labels.query_pids)
        self.numbers = np.arange(self.total) if numbers is None else numbers
        self.matches = Matches(labels, rules.camera, rules.exclude, part)
        self.results = Results(self.total, rules)
        if rules.gallery == "single-shot":
            self.results.shots = [SingleShot(self.matches, rules, exact, self.numbers)]
        self.identities = Identities(labels, exact) if rules.cmc == "identities" else None
        excluded = [name.replace("-", "_") for name in rules.exclude]
        removable = ["same_camera", *excluded, *(["same_image"] if labels.own is not None else [])]
        self.results.filtered.update(dict.fromkeys(removable, 0))

    def count(self, blocks: Iterable[NDArray[Any]]) -> Results:
        """Count all blocks [b, G] of consecutive queries, which are overwritten."""
        stop = 0
        for keys in blocks:
            start, stop = stop, stop + len(keys)
            self._add(keys, start)
        if stop != self.total:
            raise MetricError(f"the blocks contain distances of {stop} queries but there are {self.total}")
        for query in np.flatnonzero(self.results.scores[self.rules.ties].first_hit == 0).tolist():
            self.results.reasons[int(self.numbers[query])] = self.matches.reason(query)
        return self.results

    def _add(self, keys: NDArray[Any], start: int) -> None:
        stop, results = start + len(keys), self.results
        hits, removed = self.matches.block(start, stop)
        removed["same_image"] = self.matches.own_pictures(start, stop)
        results.filtered.update({name: len(pairs.rows) for name, pairs in removed.items() if len(pairs.rows)})
        results.unknown += self.matches.unknown_clothes(start, hits)
        for shots in results.shots:
            shots.add(keys, hits, removed["same_image"], start)
        limits = keys[hits.rows, hits.cols] if self.identities else None
        before = count_before(keys, hits, tuple(removed.values()), self.matches.junk, self.exact, start)
        part, chosen = slice(start, stop), results.scores[self.rules.ties]
        chosen.fill(part, before.by(self.rules.ties), hits, self.rules.ap)
        if self.cameras:
            self.cameras.fill(part, before.by(self.rules.ties), hits, self.rules.ap)
        tied = bool(before.tied.any())
        for ties in BOUNDS:
            if tied:
                results.scores[ties].fill(part, before.by(ties), hits, self.rules.ap)
            else:
                results.scores[ties].take(part, chosen)
        if self.identities and limits is not None:
            for ties, scores in results.scores.items():
                scores.first_hit[part] = self.identities.places(keys, hits, limits, before, ties, start)
        self._ties(before, hits, part, np.bincount(_rows(removed), minlength=len(keys)))

    def _ties(self, before: Before, hits: Pairs, part: slice, removed: NDArray[np.int64]) -> None:
        """Count tied pairs, and find queries whose kept gallery is all tied or has no other person."""
        rows, results = len(removed), self.results
        true = np.bincount(hits.rows, minlength=rows)
        others = len(self.labels.gallery_pids) - len(self.matches.junk) - removed - true
        results.tied[part] = np.bincount(hits.rows, before.tied, rows)
        choice = (true > 0) & (others > 0)
        results.heap[part] = choice & _full(before.tied, hits, others)
        # Far from the origin, Euclidean distances that float32 products cannot distinguish may well differ.
        close = before.close if self.exact and self.exact.cosine else before.tied
        results.alike[part] = choice & _full(close, hits, others)
        results.alone[part] = (true > 0) & (others == 0)


def _rows(removed: dict[str, Pairs]) -> NDArray[np.intp]:
    return np.concatenate([pairs.rows for pairs in removed.values()])


def _full(counts: NDArray[np.int64], hits: Pairs, others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether all `others` [b] of a query are counted at each of its hits, [b]."""
    full: NDArray[np.bool_] = np.bincount(hits.rows[counts < others[hits.rows]], minlength=len(others)) == 0
    return full
