"""Which gallery rows are the true matches of a query, and which are left out for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError

JUNK = -1  # pid of gallery boxes that show no person well enough to count
_INT64_MAX = np.iinfo(np.int64).max

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """Checked pids and camids of queries [Q] and gallery [G]."""

    query_pids: Ints
    query_camids: Ints
    gallery_pids: Ints
    gallery_camids: Ints

    @classmethod
    def check(cls, query_pids: Any, query_camids: Any, gallery_pids: Any, gallery_camids: Any) -> Labels:
        """Raise MetricError unless all four are integers, whole and of fitting lengths."""
        labels = cls(
            _integers("query_pids", query_pids),
            _integers("query_camids", query_camids),
            _integers("gallery_pids", gallery_pids),
            _integers("gallery_camids", gallery_camids),
        )
        for side, pids, camids in (
            ("query", labels.query_pids, labels.query_camids),
            ("gallery", labels.gallery_pids, labels.gallery_camids),
        ):
            if len(pids) != len(camids):
                raise MetricError(f"{side}_pids has {len(pids)} entries but {side}_camids has {len(camids)}")
        if not len(labels.query_pids):
            raise MetricError("there is no query")
        if not len(labels.gallery_pids):
            raise MetricError("the gallery is empty")
        return labels


def _integers(name: str, given: Any) -> Ints:
    values = np.asarray(given)
    if values.ndim != 1:
        raise MetricError(f"{name} must have one dimension, not shape {values.shape}")
    if values.size and values.dtype.kind not in "iu":
        raise MetricError(f"{name} must be integers, not {values.dtype}")
    if values.size and int(values.max()) > _INT64_MAX:
        raise MetricError(f"{name} holds {int(values.max())}, which does not fit into 64 bits with a sign")
    return values.astype(np.int64, copy=False)


@dataclass(frozen=True)
class Pairs:
    """Pairs of a query (counted within its block) and a gallery row, ordered by query, then by gallery row."""

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    def starts(self, rows: int) -> NDArray[np.intp]:
        """[rows + 1]: where the pairs of each query begin."""
        return np.searchsorted(self.rows, np.arange(rows + 1))

    def of(self, rows: NDArray[np.intp]) -> tuple[Pairs, NDArray[np.bool_]]:
        """The pairs of some queries (ascending), counted anew from 0, and which of mine they are."""
        mine = np.isin(self.rows, rows)
        return Pairs(np.searchsorted(rows, self.rows[mine]), self.cols[mine]), mine


@dataclass(frozen=True)
class InvalidQueries:
    """Queries without a true match: how many for each reason, and the first five by name."""

    reasons: dict[str, int] = field(default_factory=dict)
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(f"{n} because {reason}" for reason, n in self.reasons.items())


class Matches:
    """True matches and removed rows, looked up in the gallery sorted by pid: no Q x G mask is ever made."""

    def __init__(self, labels: Labels, camera: str) -> None:
        self.labels = labels
        self.same_camera_counts = camera == "none"
        self.order = np.argsort(labels.gallery_pids, kind="stable")
        pids = labels.gallery_pids[self.order]
        self.first = np.searchsorted(pids, labels.query_pids, "left")
        self.last = np.searchsorted(pids, labels.query_pids, "right")
        self.last = np.where(labels.query_pids == JUNK, self.first, self.last)
        self.junk = np.flatnonzero(labels.gallery_pids == JUNK)

    def block(self, start: int, stop: int) -> tuple[Pairs, Pairs]:
        """(true matches, rows removed by the camera rule) of the queries start..stop."""
        first, last = self.first[start:stop], self.last[start:stop]
        rows = np.repeat(np.arange(stop - start), last - first)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
        cols = self.order[first[rows] + within]
        if self.same_camera_counts:
            nothing = np.empty(0, np.intp)
            return Pairs(rows, cols), Pairs(nothing, nothing)
        camids = self.labels.query_camids[start:stop][rows]
        # Two images of unknown cameras (-1) may be of different ones: the rule removes what it knows.
        hit = (self.labels.gallery_camids[cols] != camids) | (camids < 0)
        return Pairs(rows[hit], cols[hit]), Pairs(rows[~hit], cols[~hit])

    def explain(self, invalid: NDArray[np.intp]) -> InvalidQueries:
        """Why these queries have no true match."""
        reasons = [self._reason(i) for i in invalid]
        named = [
            f"query {i} (pid {self.labels.query_pids[i]}, camera {self.labels.query_camids[i]}): {reason}"
            for i, reason in zip(invalid[:5], reasons[:5], strict=True)
        ]
        return InvalidQueries(dict(Counter(reasons)), tuple(named))

    def _reason(self, query: int) -> str:
        if self.labels.query_pids[query] == JUNK:
            return "their pid -1 means junk"
        if self.first[query] == self.last[query]:
            return "their pid is not in the gallery"
        return "their pid is in the gallery from their own camera only"
