"""AP, INP and first hits of queries, and their bounds under ties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .matches import Pairs

Doubles = NDArray[np.float64]

# Display names of the bounded metrics.
BOUNDED = {"mAP": "mAP", "cmc1": "rank-1", "mINP": "mINP"}
# Smaller differences are invisible in a table, which shows tenths of a point.
VISIBLE = 0.0005


class Scores:
    """Results of all queries [Q], filled block by block; NaN, NaN and 0 without a true match."""

    def __init__(self, total: int) -> None:
        self.ap, self.inp = np.full(total, np.nan), np.full(total, np.nan)
        self.first_hit = np.zeros(total, np.int64)

    def take(self, part: slice, other: Scores) -> None:
        """Copy the results of some queries."""
        self.ap[part], self.inp[part], self.first_hit[part] = other.ap[part], other.inp[part], other.first_hit[part]

    def put(self, rows: NDArray[np.intp], other: Scores) -> None:
        """Copy all results of another, to the given `rows`."""
        self.ap[rows], self.inp[rows], self.first_hit[rows] = other.ap, other.inp, other.first_hit

    def fill(self, part: slice, before: NDArray[np.int64], hits: Pairs, rule: str) -> None:
        """Fill in the results of one block, from the number of other rows before each of its hits."""
        if not len(before):
            return
        rows = part.stop - part.start
        starts = hits.starts(rows)
        count = np.diff(starts)
        valid = np.flatnonzero(count)
        ordered = before[np.lexsort((before, hits.rows))]
        nth = np.arange(1, len(ordered) + 1) - starts[hits.rows]
        place = ordered + nth  # the r-th true match comes after r - 1 other true matches
        precision = nth / place
        if rule == "trapezoid":
            precision = (precision + np.divide(nth - 1, place - 1, out=np.ones(len(nth)), where=place > 1)) / 2
        self.ap[part][valid] = np.bincount(hits.rows, precision, rows)[valid] / count[valid]
        self.inp[part][valid] = count[valid] / place[starts[valid + 1] - 1]
        self.first_hit[part][valid] = place[starts[valid]]

    def curve(self, longest: int) -> Doubles:
        """Number of queries found up to each rank, [longest]."""
        first = self.first_hit[self.first_hit > 0]
        return np.bincount(np.minimum(first, longest + 1), minlength=longest + 2)[1:-1].cumsum().astype(np.float64)


@dataclass(frozen=True)
class Tied:
    """Pairs of a true match and another kept gallery row at an equal distance from the query.

    pairs, queries: number of pairs, and of queries that have any. undecided: queries whose kept gallery rows are all at
    one distance. best, worst: mAP, mINP and cmc1 (fractions) if the true matches of all pairs came first, or last;
    empty without such pairs. They bound the result under every order of the gallery.
    """

    pairs: int = 0
    queries: int = 0
    undecided: int = 0
    best: dict[str, float] | None = None
    worst: dict[str, float] | None = None

    @property
    def visible(self) -> bool:
        """Whether the bounds of mAP or rank-1 differ by 0.05 points or more, so that a table can show it."""
        if not self.best or not self.worst:
            return False
        return any(self.best[name] - self.worst[name] >= VISIBLE for name in ("mAP", "cmc1"))

    def as_dict(self) -> dict[str, Any]:
        """``{"pairs": 0}``, or all five fields."""
        if not self.pairs:
            return {"pairs": 0}
        counts = {"pairs": self.pairs, "queries": self.queries, "undecided": self.undecided}
        return {**counts, "best": self.best, "worst": self.worst}

    def __str__(self) -> str:
        """One sentence in per cent; empty without such pairs."""
        if not self.pairs or not self.best or not self.worst:
            return ""
        ranges = [
            f"{label} {100 * self.worst[name]:.2f} to {100 * self.best[name]:.2f} %" for name, label in BOUNDED.items()
        ]
        pairs = f"{self.pairs} pair{'s' * (self.pairs > 1)}"
        queries = f"{self.queries} quer{'ies' if self.queries > 1 else 'y'}"
        heaps = f" ({self.undecided} of them with all gallery rows at one distance)" if self.undecided else ""
        return (
            f"{pairs} of a true match and another image at equal distance, in {queries}{heaps}; "
            f"{', '.join(ranges)}, as they fall"
        )
