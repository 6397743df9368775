"""Histograms of the distances between queries and gallery: positives and negatives, by pair of cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reidbench.report.breakdown.scored import JUNK, distances_of

BINS = 40
MOST_PAIRS = 20_000_000  # pairs of images; with more, queries are taken at equal intervals
MOST_CAMERAS = 12  # with more, there are no histograms of single pairs of cameras
WIDTH, HEIGHT = 400, 120  # of a drawing, in its own units


@dataclass(frozen=True)
class Histogram:
    """Counts [BINS] of positive and negative pairs, their mean distances (None without pairs), and their overlap.

    `overlap` is the shared area of the two histograms of unit area, from 0 (separate) to 1 (equal); None if one is
    empty.
    """

    name: str
    positives: np.ndarray
    negatives: np.ndarray
    means: tuple[float | None, float | None]

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of positive and negative pairs."""
        return int(self.positives.sum()), int(self.negatives.sum())

    @property
    def overlap(self) -> float | None:
        """Overlapping coefficient (Inman and Bradley, 1989) of the binned distances."""
        if not all(self.counts):
            return None
        return float(np.minimum(*self.shares()).sum())

    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """Share of the positives, and of the negatives, in each bin [BINS]."""
        shares = [counts / max(counts.sum(), 1) for counts in (self.positives, self.negatives)]
        return shares[0], shares[1]

    def outlines(self) -> tuple[str, str]:
        """SVG paths of the outlines of positives and negatives; the highest share of both has the full height."""
        shares = self.shares()
        most = max(float(np.concatenate(shares).max()), 1e-12)
        return _outline(shares[0] / most), _outline(shares[1] / most)


@dataclass(frozen=True)
class Histograms:
    """All histograms of a row, between distances `low` and `high`: groups of pairs, then single pairs of cameras."""

    low: float
    high: float
    distance: str
    groups: tuple[Histogram, ...]
    pairs: tuple[Histogram, ...]
    sentence: str


def histograms(columns: Mapping[str, Any], distance: str) -> Histograms | None:
    """Return histograms of the distances of all pairs of a query and a gallery image; None without any.

    A pair is positive if both show one identity. Junk is left out, and so are pairs of one image, but not pairs of one
    identity by one camera, which rankings ignore.
    """
    queries, sentence = _queries(columns)
    gallery = np.flatnonzero(columns["gallery_pids"] != JUNK)
    if not len(queries) or not len(gallery):
        return None
    distances = np.stack([_distances(columns, int(query), gallery, distance) for query in queries])
    kept = np.stack([_kept(columns, int(query), gallery) for query in queries])
    if not kept.any():
        return None
    low, high = float(distances[kept].min()), float(distances[kept].max())
    cells = _Cells(columns, queries, gallery, low, high)
    for row, query in enumerate(queries):
        cells.add(int(query), distances[row], kept[row])
    pairs = cells.pairs() if len(cells.cameras) <= MOST_CAMERAS else ()
    if not pairs:
        sentence += f" There are more than {MOST_CAMERAS} cameras, so single pairs are not shown."
    return Histograms(low, high, distance, cells.groups(), pairs, sentence.strip())


class _Cells:
    """Counts and sums of distances by query camera, gallery camera and kind (negative, positive)."""

    def __init__(
        self, columns: Mapping[str, Any], queries: np.ndarray, gallery: np.ndarray, low: float, high: float
    ) -> None:
        self.columns, self.gallery, self.low = columns, gallery, low
        self.width = (high - low) / BINS or 1.0
        self.camids = columns["gallery_camids"][gallery]
        self.cameras = np.unique(np.concatenate([columns["query_camids"][queries], self.camids]))
        shape = len(self.cameras), len(self.cameras), 2
        self.counts = np.zeros((*shape, BINS), dtype=np.int64)
        self.sums = np.zeros(shape)
        self.theirs = np.searchsorted(self.cameras, self.camids)

    def add(self, query: int, distances: np.ndarray, kept: np.ndarray) -> None:
        """Add the distances [G] of one query."""
        own = np.searchsorted(self.cameras, self.columns["query_camids"][query])
        positive = self.columns["gallery_pids"][self.gallery] == self.columns["query_pids"][query]
        bins = np.clip(((distances - self.low) / self.width).astype(np.int64), 0, BINS - 1)
        cell = 2 * self.theirs + positive
        size = self.counts[own].size
        self.counts[own] += np.bincount((cell * BINS + bins)[kept], minlength=size).reshape(self.counts[own].shape)
        sums = np.bincount(cell[kept], distances[kept], self.sums[own].size)
        self.sums[own] += sums.reshape(self.sums[own].shape)

    def groups(self) -> tuple[Histogram, ...]:
        """All pairs, those of one camera, and those of two cameras; pairs of an unknown camera only in the first."""
        known = self.cameras >= 0
        same = np.diag(known)
        across = known[:, None] & known[None] & ~same
        every = np.ones_like(same)
        found = [("All pairs", every), ("Same camera", same), ("Different cameras", across)]
        return tuple(one for one in (self._histogram(*group) for group in found) if any(one.counts))

    def pairs(self) -> tuple[Histogram, ...]:
        """Each pair of a query's and a gallery image's camera that has distances."""
        names = [f"camera {camera}" if camera >= 0 else "unknown camera" for camera in self.cameras.tolist()]
        found = []
        for own, theirs in np.argwhere(self.counts.sum((2, 3)) > 0).tolist():
            chosen = np.zeros(self.counts.shape[:2], dtype=bool)
            chosen[own, theirs] = True
            found.append(self._histogram(f"{names[own]} → {names[theirs]}", chosen))
        return tuple(found)

    def _histogram(self, name: str, chosen: np.ndarray) -> Histogram:
        negatives, positives = self.counts[chosen].sum(0)
        sums = self.sums[chosen].sum(0)
        means = [float(sums[kind]) / int(n.sum()) if n.sum() else None for kind, n in ((1, positives), (0, negatives))]
        return Histogram(name, positives, negatives, (means[0], means[1]))


def _queries(columns: Mapping[str, Any]) -> tuple[np.ndarray, str]:
    """Return the queries of the histograms, without junk, and a sentence if some are left out."""
    there = np.flatnonzero(columns["query_pids"] != JUNK)
    most = max(1, MOST_PAIRS // max(1, len(columns["gallery_pids"])))
    if len(there) <= most:
        return there, ""
    chosen = there[np.linspace(0, len(there) - 1, most).astype(int)]
    return chosen, f"{most} of {len(there)} queries, taken at equal intervals."


def _distances(columns: Mapping[str, Any], query: int, gallery: np.ndarray, distance: str) -> np.ndarray:
    found = distances_of(columns["query_features"][query], columns["gallery_features"], distance)[gallery]
    return np.asarray(found if distance == "cosine" else np.sqrt(np.maximum(found, 0)))


def _kept(columns: Mapping[str, Any], query: int, gallery: np.ndarray) -> np.ndarray:
    """Return [G] bool: gallery images other than the query image itself."""
    own, theirs = columns.get("query_images"), columns.get("gallery_images")
    if own is None or theirs is None:
        return np.ones(len(gallery), dtype=bool)
    return np.asarray(theirs[gallery] != own[query])


def _outline(heights: Sequence[float] | np.ndarray) -> str:
    step = WIDTH / BINS
    parts = [f"M0 {HEIGHT}"]
    for number, height in enumerate(np.asarray(heights).tolist()):
        parts.append(f"V{HEIGHT - height * (HEIGHT - 4):.1f}H{(number + 1) * step:g}")
    return "".join([*parts, f"V{HEIGHT}Z"])
