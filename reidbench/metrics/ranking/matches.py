"""True matches of a query, and gallery rows that are left out for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError

JUNK = -1  # pid of gallery boxes that show no person well enough to count
_INT64_MAX = np.iinfo(np.int64).max

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """Validated pids and camids of queries [Q] and gallery [G], their clothes, and their image numbers if known.

    `own`, ascending, holds q * G + g of each query q and kept gallery row g that are the same image: the same file or
    the same bytes. `query_clothes` and `gallery_clothes` are numbers within a pid; -1 is unknown.
    """

    query_pids: Ints
    query_camids: Ints
    gallery_pids: Ints
    gallery_camids: Ints
    own: Ints | None = None
    query_clothes: Ints | None = None
    gallery_clothes: Ints | None = None

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
        """Validate labels. Raises MetricError for non-integers, unequal lengths, and image numbers for one side only.

        Equal numbers in `query_images` [Q] and `gallery_images` [G] are the same image.
        """
        given = {"query_pids": query_pids, "query_camids": query_camids}
        given |= {"gallery_pids": gallery_pids, "gallery_camids": gallery_camids}
        if (query_images is None) != (gallery_images is None):
            missing = "query_images" if query_images is None else "gallery_images"
            raise MetricError(f"{missing} is missing: pass image numbers for both queries and gallery, or for neither")
        if query_images is not None:
            given |= {"query_images": query_images, "gallery_images": gallery_images}
        checked = {name: integers(name, values) for name, values in given.items()}
        for name, values in checked.items():
            pids = f"{name.split('_')[0]}_pids"
            if len(values) != len(checked[pids]):
                raise MetricError(f"{pids} has {len(checked[pids])} entries but {name} has {len(values)}")
        query, gallery = checked.pop("query_images", None), checked.pop("gallery_images", None)
        labels = cls(**checked)
        if not len(labels.query_pids):
            raise MetricError("there are no queries")
        if not len(labels.gallery_pids):
            raise MetricError("the gallery is empty")
        if query is None or gallery is None:
            return labels
        pairs = Lookup(query, gallery, np.flatnonzero(labels.gallery_pids != JUNK)).pairs(0, len(query))
        return replace(labels, own=pairs.keys(len(gallery)))


def integers(name: str, given: Any) -> Ints:
    """Convert an array [N] to int64. Raises MetricError for other shapes and types."""
    values = np.asarray(given)
    if values.ndim != 1:
        raise MetricError(f"{name} must have one dimension, not shape {values.shape}")
    if values.size and values.dtype.kind not in "iu":
        raise MetricError(f"{name} must be integers, not {values.dtype}")
    if values.size and int(values.max()) > _INT64_MAX:
        raise MetricError(f"{name} contains {int(values.max())}, which does not fit into a signed 64-bit integer")
    return values.astype(np.int64, copy=False)


@dataclass(frozen=True)
class Pairs:
    """Pairs of a query (counted within its block) and a gallery row, ordered by query, then by gallery row."""

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    def keys(self, columns: int) -> Ints:
        """row * columns + col of each pair [m], ascending."""
        return self.rows * columns + self.cols

    @classmethod
    def of_keys(cls, keys: Ints, columns: int) -> Pairs:
        """Pairs from such keys."""
        return cls(*np.divmod(keys, columns))

    def where(self, chosen: NDArray[np.bool_]) -> Pairs:
        """The selected pairs."""
        return Pairs(self.rows[chosen], self.cols[chosen])

    def starts(self, rows: int) -> NDArray[np.intp]:
        """Start of each query's pairs [rows + 1]."""
        return np.searchsorted(self.rows, np.arange(rows + 1))

    def of(self, rows: NDArray[np.intp]) -> tuple[Pairs, NDArray[np.bool_]]:
        """Pairs of the given queries (ascending), renumbered from 0, and a mask of these pairs."""
        mine = np.isin(self.rows, rows)
        return Pairs(np.searchsorted(rows, self.rows[mine]), self.cols[mine]), mine


# Reasons why a gallery row of the query's own pid is not a true match. A pair counts under the first that applies.
OWN_CAMERA = "from their own camera"
REASONS = {
    "same_image": "as their own image",
    "same_camera": OWN_CAMERA,
    "same_clothes": "in the same clothes",
    "different_clothes": "in other clothes",
}
_CODES = {name: code for code, name in enumerate(REASONS, 1)}
_SHOWN = ("same_camera", "same_image", "same_clothes", "different_clothes")
CURE = "(to keep matches from the query's own camera, use --no-camera, or `camera: none` in a matrix file)"


@dataclass(frozen=True)
class InvalidQueries:
    """Queries without a true match: their number for each reason, and the first five with names."""

    reasons: dict[str, int] = field(default_factory=dict)
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(f"{n} because {reason}" for reason, n in self.reasons.items())

    def refusal(self) -> str:
        """Error sentence for a set in which no query has a true match, with a fix if there is one."""
        count = sum(self.reasons.values())
        several = f"; the same holds for all {count} queries" if count > 1 else ""
        if len(self.reasons) > 1:
            several = f"; of {count} queries, {self}"
        cure = f" {CURE}" if any(OWN_CAMERA in reason for reason in self.reasons) else ""
        return f"no query has a true match in the gallery: {self.first[0]}{several}{cure}"


class Lookup:
    """Binary search for the gallery rows with a query's number, without a Q x G mask."""

    def __init__(self, query: Ints, gallery: Ints, rows: NDArray[np.intp] | None = None) -> None:
        """Index the numbers of queries [Q] and gallery [G], or only the gallery rows `rows` (ascending) if given."""
        self.order = np.argsort(gallery if rows is None else gallery[rows], kind="stable")
        if rows is not None:
            self.order = rows[self.order]
        numbers = gallery[self.order]
        self.first = np.searchsorted(numbers, query, "left")
        self.last = np.searchsorted(numbers, query, "right")

    def pairs(self, start: int, stop: int) -> Pairs:
        """Pairs of the queries start..stop and the gallery rows with an equal number."""
        first, last = self.first[start:stop], self.last[start:stop]
        rows = np.repeat(np.arange(stop - start), last - first)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
        return Pairs(rows, self.order[first[rows] + within])


class Matches:
    """True matches and removed rows of each query."""

    def __init__(self, labels: Labels, camera: str, exclude: tuple[str, ...] = (), part: bool = False) -> None:
        """`part`: whether the gallery is only the part that these queries may be compared with."""
        self.labels, self.exclude, self.part = labels, exclude, part
        self.same_camera_counts = camera == "none"
        self.people = Lookup(labels.query_pids, labels.gallery_pids)
        self.people.last[labels.query_pids == JUNK] = self.people.first[labels.query_pids == JUNK]
        self.order = self.people.order
        self.junk = np.flatnonzero(labels.gallery_pids == JUNK)

    def block(self, start: int, stop: int) -> tuple[Pairs, dict[str, Pairs]]:
        """(true matches, removed rows of the query's own pid by rule) of the queries start..stop.

        The query's own images are in neither.
        """
        found = self.people.pairs(start, stop)
        why = self._judged(found.rows + start, found.cols)
        rules = ("same_camera", *(name.replace("-", "_") for name in self.exclude))
        return found.where(why == 0), {name: found.where(why == _CODES[name]) for name in rules}

    def own_pictures(self, start: int, stop: int) -> Pairs:
        """Pairs of the queries start..stop and the kept gallery rows of the same image, with any pid."""
        rows = len(self.labels.gallery_pids)
        own = self.labels.own if self.labels.own is not None else np.empty(0, np.int64)
        first, last = np.searchsorted(own, [start * rows, stop * rows])
        return Pairs.of_keys(own[first:last] - start * rows, rows)

    def unknown_clothes(self, start: int, hits: Pairs) -> int:
        """Number of true matches of the queries from `start` on that are kept because clothes are unknown."""
        query, gallery = self.labels.query_clothes, self.labels.gallery_clothes
        if not self.exclude or query is None or gallery is None:
            return 0
        return int(np.count_nonzero((query[hits.rows + start] < 0) | (gallery[hits.cols] < 0)))

    def _judged(self, queries: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int8]:
        """Code of each pair of one pid [m]: 0 for true matches, otherwise the first reason why it is not one."""
        labels, why = self.labels, np.zeros(len(queries), np.int8)
        for name in self.exclude:
            query, gallery = labels.query_clothes, labels.gallery_clothes
            assert query is not None  # checked by `rank_labelled`
            assert gallery is not None
            clothes, others = query[queries], gallery[rows]
            fits = clothes == others if name == "same-clothes" else clothes != others
            why[fits & (clothes >= 0) & (others >= 0)] = _CODES[name.replace("-", "_")]
        if not self.same_camera_counts:
            # Two unknown cameras (-1) may differ: the rule removes only known matches.
            camids = labels.query_camids[queries]
            why[(labels.gallery_camids[rows] == camids) & (camids >= 0)] = _CODES["same_camera"]
        if labels.own is not None and len(labels.own):
            keys = queries * len(labels.gallery_pids) + rows
            at = np.searchsorted(labels.own, keys).clip(max=len(labels.own) - 1)
            why[labels.own[at] == keys] = _CODES["same_image"]
        return why

    def reason(self, query: int) -> str:
        """Reason why this query has no true match."""
        if self.labels.query_pids[query] == JUNK:
            return "their pid -1 means junk"
        rows = self.people.pairs(query, query + 1).cols
        if not len(rows):
            where = "the part of the gallery that they are compared with" if self.part else "the gallery"
            return f"their pid is not in {where}"
        why = set(self._judged(np.full(len(rows), query), rows).tolist())
        if 0 in why:  # the whole gallery has a true match, the drawn one does not
            return "none of their true matches is in a drawn gallery"
        found = " or ".join(REASONS[name] for name in _SHOWN if _CODES[name] in why)
        return f"their pid is in the gallery {found} only"


def explained(pids: Ints, camids: Ints, reasons: dict[int, str]) -> InvalidQueries:
    """Group queries without a true match by reason; `reasons` are by image number, pids and camids of all images."""
    named = [f"query {i} (pid {pids[i]}, camera {camids[i]}): {reason}" for i, reason in sorted(reasons.items())[:5]]
    return InvalidQueries(dict(Counter(reason for _, reason in sorted(reasons.items()))), tuple(named))
