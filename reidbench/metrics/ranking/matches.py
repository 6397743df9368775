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
    """Checked pids and camids of queries [Q] and gallery [G], and the numbers of their pictures where these are known.

    Equal numbers in `query_images` and `gallery_images` mean the same picture: the same file, or the same bytes.
    """

    query_pids: Ints
    query_camids: Ints
    gallery_pids: Ints
    gallery_camids: Ints
    query_images: Ints | None = None
    gallery_images: Ints | None = None

    @classmethod
    def check(
        cls,
        query_pids: Any,
        query_camids: Any,
        gallery_pids: Any,
        gallery_camids: Any,
        query_images: Any = None,
        gallery_images: Any = None,
    ) -> Labels:
        """Raise MetricError unless all are integers, whole and of fitting lengths, and images come for both sides."""
        given = {"query_pids": query_pids, "query_camids": query_camids}
        given |= {"gallery_pids": gallery_pids, "gallery_camids": gallery_camids}
        if (query_images is None) != (gallery_images is None):
            missing = "query_images" if query_images is None else "gallery_images"
            raise MetricError(f"{missing} is missing: pictures are compared only where both sides number them")
        if query_images is not None:
            given |= {"query_images": query_images, "gallery_images": gallery_images}
        checked = {name: _integers(name, values) for name, values in given.items()}
        for name, values in checked.items():
            pids = f"{name.split('_')[0]}_pids"
            if len(values) != len(checked[pids]):
                raise MetricError(f"{pids} has {len(checked[pids])} entries but {name} has {len(values)}")
        labels = cls(**checked)
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
        """The pairs of some queries (ascending), counted from 0 again, and which of mine they are."""
        mine = np.isin(self.rows, rows)
        return Pairs(np.searchsorted(rows, self.rows[mine]), self.cols[mine]), mine


OWN_CAMERA = "their pid is in the gallery from their own camera only"
OWN_CAMERA_OR_PICTURE = "their pid is in the gallery from their own camera or as their own picture only"
CURE = "(to keep matches of the own camera: --no-camera, or `camera: none` in a matrix file)"


@dataclass(frozen=True)
class InvalidQueries:
    """Queries without a true match: how many for each reason, and the first five by name."""

    reasons: dict[str, int] = field(default_factory=dict)
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(f"{n} because {reason}" for reason, n in self.reasons.items())

    def refusal(self) -> str:
        """One sentence for a set in which no query has a true match; it ends with the cure where there is one."""
        count = sum(self.reasons.values())
        several = f"; so it is for all {count} queries" if count > 1 else ""
        if len(self.reasons) > 1:
            several = f"; of all {count} queries, {self}"
        cure = f" {CURE}" if {OWN_CAMERA, OWN_CAMERA_OR_PICTURE} & set(self.reasons) else ""
        return f"no query is valid, that is, has a true match in the gallery: {self.first[0]}{several}{cure}"


class Lookup:
    """The gallery rows that hold a query's number, by binary search: no Q x G mask is ever made."""

    def __init__(self, query: Ints, gallery: Ints, rows: NDArray[np.intp] | None = None) -> None:
        """Numbers of queries [Q] and gallery [G]; only the gallery rows `rows` (ascending) are looked at, if given."""
        self.order = np.argsort(gallery if rows is None else gallery[rows], kind="stable")
        if rows is not None:
            self.order = rows[self.order]
        numbers = gallery[self.order]
        self.first = np.searchsorted(numbers, query, "left")
        self.last = np.searchsorted(numbers, query, "right")

    def pairs(self, start: int, stop: int) -> Pairs:
        """Pairs of the queries start..stop and the gallery rows of an equal number."""
        first, last = self.first[start:stop], self.last[start:stop]
        rows = np.repeat(np.arange(stop - start), last - first)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
        return Pairs(rows, self.order[first[rows] + within])


class Matches:
    """True matches and removed rows of each query."""

    def __init__(self, labels: Labels, camera: str) -> None:
        self.labels = labels
        self.same_camera_counts = camera == "none"
        self.people = Lookup(labels.query_pids, labels.gallery_pids)
        self.people.last[labels.query_pids == JUNK] = self.people.first[labels.query_pids == JUNK]
        self.order = self.people.order
        self.junk = np.flatnonzero(labels.gallery_pids == JUNK)
        self.pictures = _pictures(labels)

    def block(self, start: int, stop: int) -> tuple[Pairs, Pairs]:
        """(true matches, rows removed by the camera rule) of the queries start..stop; own pictures are in neither."""
        found = self.people.pairs(start, stop)
        other, same_camera = self._judged(found.rows + start, found.cols)
        hit, removed = other & ~same_camera, other & same_camera
        return Pairs(found.rows[hit], found.cols[hit]), Pairs(found.rows[removed], found.cols[removed])

    def own_pictures(self, start: int, stop: int) -> Pairs:
        """Pairs of the queries start..stop and the kept gallery rows that show the same picture, whatever their pid."""
        nothing = np.empty(0, np.intp)
        return self.pictures.pairs(start, stop) if self.pictures else Pairs(nothing, nothing)

    def _judged(self, queries: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[Any, Any]:
        """(pairs of two pictures, pairs that the camera rule removes) as masks [m]."""
        labels = self.labels
        other = np.ones(len(queries), bool)
        if labels.query_images is not None and labels.gallery_images is not None:
            other = labels.query_images[queries] != labels.gallery_images[rows]
        if self.same_camera_counts:
            return other, np.zeros(len(queries), bool)
        # Two images of unknown cameras (-1) may be of different ones: the rule removes what it knows.
        camids = labels.query_camids[queries]
        return other, (labels.gallery_camids[rows] == camids) & (camids >= 0)

    def explain(self, invalid: NDArray[np.intp]) -> InvalidQueries:
        """Why these queries have no true match."""
        reasons = [self._reason(int(i)) for i in invalid]
        named = [
            f"query {i} (pid {self.labels.query_pids[i]}, camera {self.labels.query_camids[i]}): {reason}"
            for i, reason in zip(invalid[:5], reasons[:5], strict=True)
        ]
        return InvalidQueries(dict(Counter(reasons)), tuple(named))

    def _reason(self, query: int) -> str:
        if self.labels.query_pids[query] == JUNK:
            return "their pid -1 means junk"
        rows = self.people.pairs(query, query + 1).cols
        if not len(rows):
            return "their pid is not in the gallery"
        other = self._judged(np.full(len(rows), query), rows)[0]
        if not other.any():
            return "their pid is in the gallery as their own picture only"
        return OWN_CAMERA if other.all() else OWN_CAMERA_OR_PICTURE


def _pictures(labels: Labels) -> Lookup | None:
    """Junk is left out for all queries, and so is nobody's own picture."""
    if labels.query_images is None or labels.gallery_images is None:
        return None
    return Lookup(labels.query_images, labels.gallery_images, np.flatnonzero(labels.gallery_pids != JUNK))
