"""CMC, mAP and mINP under named rules, computed only from the ranks of the true matches.

The distance matrix is never stored or sorted as a whole: distances come in blocks, and for each query the gallery rows
before each of its true matches are counted. The counts give AP, INP and CMC exactly. Rules that depend on more than
pids and cameras are in `labelled.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.products import Products, features, refuse_zero

from .cameras import ByCamera
from .identities import note_on_distractors
from .matches import JUNK, Labels
from .result import Asked, Ranking, conclude
from .rules import Rules
from .tally import Tally

_DISTANCE_BYTES = 32 << 20


def rank(
    query_features: NDArray[Any],
    query_pids: NDArray[Any],
    query_camids: NDArray[Any],
    gallery_features: NDArray[Any],
    gallery_pids: NDArray[Any],
    gallery_camids: NDArray[Any],
    rules: Rules | None = None,
    max_rank: int = 50,
    query_images: NDArray[Any] | None = None,
    gallery_images: NDArray[Any] | None = None,
    by_camera: bool = False,
) -> Ranking:
    """Rank a gallery [G, D] for queries [Q, D] by `rules.distance`, exactly; for `by_camera` see `Ranking.cameras`.

    Features may have any real type and are not changed; blocks of products are float32, and float64 decides where these
    cannot order two gallery rows. pids and camids are integers [Q] and [G]; pid -1 in the gallery is junk, and pid 0 (a
    distractor) is an identity like any other, which no query of Market-1501 has. With image numbers `query_images` [Q]
    and `gallery_images` [G], a query is never compared with a gallery row of the same number, for any pid, camera and
    camera rule.

    Raises MetricError for features that are not finite, zero vectors under cosine (except junk), arrays of different
    lengths, or if no query is valid.
    """
    rules = _plain(rules or Rules())
    if rules.distance == "given":
        raise MetricError("rule distance=given is for rank_distances; rank requires cosine or euclidean")
    if by_camera and rules.cmc == "identities":
        raise MetricError("by_camera counts images, so it cannot be used with the rule cmc=identities")
    labels = Labels.check(query_pids, query_camids, gallery_pids, gallery_camids, query_images, gallery_images)
    check_rows("query", len(features("query_features", query_features)), len(labels.query_pids))
    check_rows("gallery", len(features("gallery_features", gallery_features)), len(labels.gallery_pids))
    products = Products(query_features, gallery_features, rules.distance)
    if products.cosine:
        refuse_zero("query_features", products.query_norms == 0)
        refuse_zero("gallery_features", (products.gallery_norms == 0) & (labels.gallery_pids != JUNK))
    cameras = ByCamera.of(labels) if by_camera else None
    return _rank(products.blocks(), labels, rules, max_rank, products, cameras)


def rank_distances(
    distances: NDArray[Any],
    query_pids: NDArray[Any],
    query_camids: NDArray[Any],
    gallery_pids: NDArray[Any],
    gallery_camids: NDArray[Any],
    rules: Rules | None = None,
    max_rank: int = 50,
    query_images: NDArray[Any] | None = None,
    gallery_images: NDArray[Any] | None = None,
) -> Ranking:
    """Rank by given distances [Q, G], smaller is nearer; they are not changed. Otherwise as `rank`."""
    distances = np.asarray(distances)
    labels = Labels.check(query_pids, query_camids, gallery_pids, gallery_camids, query_images, gallery_images)
    if distances.shape != (len(labels.query_pids), len(labels.gallery_pids)):
        raise MetricError(
            f"distances has shape {distances.shape} but there are {len(labels.query_pids)} queries "
            f"and {len(labels.gallery_pids)} gallery rows"
        )
    rules = dataclasses.replace(_plain(rules or Rules()), distance="given")
    step = max(1, _DISTANCE_BYTES // (8 * distances.shape[1]))
    parts = (distances[start : start + step] for start in range(0, len(distances), step))
    return _rank(finite(map(_comparable, parts)), labels, rules, max_rank)


def rank_blocks(
    blocks: Iterable[NDArray[Any]],
    query_pids: NDArray[Any],
    query_camids: NDArray[Any],
    gallery_pids: NDArray[Any],
    gallery_camids: NDArray[Any],
    rules: Rules | None = None,
    max_rank: int = 50,
    query_images: NDArray[Any] | None = None,
    gallery_images: NDArray[Any] | None = None,
) -> Ranking:
    """Rank by distances in blocks [b, G] of consecutive queries, each overwritten after it is counted.

    The blocks are float32 or float64 and may share one buffer, so that a re-ranked MSMT17 needs no 3.6 GiB matrix.
    """
    labels = Labels.check(query_pids, query_camids, gallery_pids, gallery_camids, query_images, gallery_images)
    rules = dataclasses.replace(_plain(rules or Rules()), distance="given")
    return _rank(finite(blocks), labels, rules, max_rank)


def _plain(rules: Rules) -> Rules:
    """Return the rules. Raises MetricError if any of them depends on more than pids, cameras and distances."""
    if rules.labelled:
        named = ", ".join(rules.labelled)
        raise MetricError(f"rank, rank_blocks and rank_distances cannot apply {named}; use rank_labelled")
    return rules


def _comparable(part: NDArray[Any]) -> NDArray[Any]:
    """Copy with a type that represents every distance exactly, and infinity."""
    if part.dtype.kind not in "fiu":
        raise MetricError(f"distances must be real numbers, not {part.dtype}")
    exact = np.float32 if part.dtype in (np.float16, np.float32) else np.float64
    return part.astype(exact)


def finite(blocks: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield the blocks. Raises MetricError for the first row that is not finite."""
    start = 0
    for block in blocks:
        good = np.isfinite(block).all(1)
        if not good.all():
            row = start + int(np.argmin(good))
            raise MetricError(
                f"distances row {row} contains NaN or infinity; use a large finite number for pairs that must come last"
            )
        start += len(block)
        yield block


def check_rows(side: str, rows: int, labels: int) -> None:
    """Raise MetricError if the numbers of features and labels differ."""
    if rows != labels:
        raise MetricError(f"{side}_features has {rows} rows but {side}_pids has {labels} entries")


def _rank(
    blocks: Iterable[NDArray[Any]],
    labels: Labels,
    rules: Rules,
    max_rank: int,
    exact: Products | None = None,
    cameras: ByCamera | None = None,
) -> Ranking:
    results = Tally(labels, rules, exact, cameras).count(blocks)
    results.filtered["junk"] = int(np.count_nonzero(labels.gallery_pids == JUNK))
    asked, notes = Asked(labels.query_pids, labels.query_camids), note_on_distractors(labels.gallery_pids, rules.cmc)
    return conclude([results], asked, rules, max_rank, cameras, notes)
