"""CMC, mAP and mINP under named rules, from the ranks of the true matches alone.

The whole distance matrix is neither held nor sorted: distances come in blocks, and for each query it is counted how
many gallery rows stand before each of its true matches. The counts give AP, INP and CMC exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.products import Products, features, refuse_zero

from .cameras import ByCamera
from .counting import Before, count_before
from .matches import JUNK, InvalidQueries, Labels, Matches, Pairs
from .rules import Rules, Ties
from .scores import Scores, Tied
from .single_shot import SingleShot

HEADLINE_RANKS = (1, 5, 10, 20)
_DISTANCE_BYTES = 32 << 20
_BOUNDS: tuple[Ties, Ties] = ("best", "worst")
_CURE = "check the network or the file that they come from"


@dataclass(frozen=True, eq=False)
class Ranking:
    """What a ranking is worth, with the rules it was computed under. Fractions, not per cent.

    `ap` and `inp` [Q] are NaN and `first_hit` [Q] is 0 where a query has no true match; `first_hit` counts from 1.
    `cmc[k - 1]` is CMC at rank k. `ties`: what equal distances leave open. `flat`: how many valid queries have all
    their gallery rows at equal distances, or at cosines that float32 cannot tell apart. `unopposed`: how many have no
    other person in their gallery, and so score 1 whatever the features.
    `filtered`: "junk" counts the gallery rows with pid -1, once each; "same_image", where images are numbered, pairs of
    a query and its own picture; "same_camera" further pairs of a query and a gallery row that the camera rule removed.
    `cameras`: the same by the camera of the true matches, where it was asked for.
    """

    mAP: float  # noqa: N815 - the field's own spelling
    mINP: float  # noqa: N815
    cmc: NDArray[np.float64]
    cmc_at: dict[int, float]
    ap: NDArray[np.float64]
    inp: NDArray[np.float64]
    first_hit: NDArray[np.int64]
    valid: NDArray[np.bool_]
    num_queries: int
    num_valid: int
    filtered: dict[str, int]
    invalid_queries: InvalidQueries
    rules: Rules
    ties: Tied = field(default_factory=Tied)
    flat: int = 0
    unopposed: int = 0
    cameras: ByCamera | None = None

    @property
    def nothing_ranked(self) -> str:
        """A sentence where no query prefers any gallery row to another, as with equal vectors; else empty."""
        if not self.ties.undecided or self.ties.undecided + self.unopposed < self.num_valid:
            return ""
        return (
            f"nothing was ranked: for each of the {self.ties.undecided} valid queries all gallery rows are at equal "
            f"distance, as they are when all vectors are equal; {_CURE}"
        )

    def doubts(self) -> list[str]:
        """Sentences on what of the numbers does not come from the features; ties aside, see `ties`."""
        found = [self.nothing_ranked] if self.nothing_ranked else []
        if self.flat and not found and self.flat + self.unopposed == self.num_valid:
            found.append(
                f"for each of the {self.flat} valid queries the cosines of all gallery rows agree to the precision of "
                f"float32; their order may be rounding noise: {_CURE}"
            )
        if self.unopposed:
            found.append(
                f"without another person in their gallery: {self.unopposed} of {self.num_valid} valid queries, which "
                "score 100 % whatever the features"
            )
        return found

    def decided(self) -> Ranking:
        """The ranking itself; MetricError where nothing was ranked."""
        if self.nothing_ranked:
            raise MetricError(self.nothing_ranked)
        return self

    def metrics(self) -> dict[str, float]:
        """mAP, mINP, cmc1, cmc5, cmc10, cmc20; beyond the last kept gallery row CMC stays what it was there."""
        return {"mAP": self.mAP, "mINP": self.mINP} | {f"cmc{k}": v for k, v in self.cmc_at.items()}


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
    """Rank a gallery [G, D] for queries [Q, D] by `rules.distance`, exactly; with `by_camera` see `Ranking.cameras`.

    Features may be of any real type and stay as they are; blocks of products are float32, and where these cannot tell
    two gallery rows apart, float64 decides. pids and camids are integers [Q] and [G]; pid -1 in the gallery is junk,
    and pid 0 (a distractor) an identity like any other, which no query of Market-1501 has. Where `query_images` [Q] and
    `gallery_images` [G] number the pictures, no query meets a gallery row of its own number, whatever pid, camera and
    camera rule say.

    Raises MetricError for features that are not finite, zero vectors under cosine (junk aside), arrays that do not fit
    together, or no valid query.
    """
    rules = rules or Rules()
    if rules.distance == "given":
        raise MetricError("rule distance=given is for rank_distances; rank needs cosine or euclidean")
    labels = Labels.check(query_pids, query_camids, gallery_pids, gallery_camids, query_images, gallery_images)
    _check_rows("query", len(features("query_features", query_features)), len(labels.query_pids))
    _check_rows("gallery", len(features("gallery_features", gallery_features)), len(labels.gallery_pids))
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
    step = max(1, _DISTANCE_BYTES // (8 * distances.shape[1]))
    parts = (distances[start : start + step] for start in range(0, len(distances), step))
    rules = dataclasses.replace(rules or Rules(), distance="given")
    return _rank(_finite(map(_comparable, parts)), labels, rules, max_rank)


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
    """Rank by distances that come as blocks [b, G] of consecutive queries, each overwritten once it was counted.

    The blocks are float32 or float64 and may share one buffer, so that a re-ranked MSMT17 needs no 3.6 GiB matrix.
    """
    labels = Labels.check(query_pids, query_camids, gallery_pids, gallery_camids, query_images, gallery_images)
    rules = dataclasses.replace(rules or Rules(), distance="given")
    return _rank(_finite(blocks), labels, rules, max_rank)


def _comparable(part: NDArray[Any]) -> NDArray[Any]:
    """A copy whose type holds every distance exactly, and infinity."""
    if part.dtype.kind not in "fiu":
        raise MetricError(f"distances must be real numbers, not {part.dtype}")
    exact = np.float32 if part.dtype in (np.float16, np.float32) else np.float64
    return part.astype(exact)


def _finite(blocks: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    start = 0
    for block in blocks:
        finite = np.isfinite(block).all(1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise MetricError(
                f"distances row {row} holds NaN or infinity; give pairs that must come last a large finite number"
            )
        start += len(block)
        yield block


def _check_rows(side: str, rows: int, labels: int) -> None:
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
    if max_rank < 1:
        raise MetricError(f"max_rank={max_rank} must be at least 1")
    tally, stop = _Tally(labels, rules, exact, cameras), 0
    for keys in blocks:
        start, stop = stop, stop + len(keys)
        tally.add(keys, start)
    if stop != tally.total:
        raise MetricError(f"the blocks hold distances of {stop} queries but there are {tally.total}")
    return tally.ranking(max_rank)


class _Tally:
    """Adds up one ranking, block by block of the queries."""

    def __init__(self, labels: Labels, rules: Rules, exact: Products | None, cameras: ByCamera | None) -> None:
        self.labels, self.rules, self.exact, self.cameras = labels, rules, exact, cameras
        self.matches, self.total = Matches(labels, rules.camera), len(labels.query_pids)
        self.shots = SingleShot(self.matches, rules, exact) if rules.gallery == "single-shot" else None
        self.scores: dict[Ties, Scores] = {ties: Scores(self.total) for ties in dict.fromkeys((rules.ties, *_BOUNDS))}
        self.filtered = {"junk": len(self.matches.junk), "same_camera": 0}
        if labels.query_images is not None:
            self.filtered["same_image"] = 0
        self.pairs = self.queries = self.undecided = self.flat = self.unopposed = 0

    def add(self, keys: NDArray[Any], start: int) -> None:
        """Count the block of distances [b, G] of the queries from `start` on; it is overwritten."""
        stop = start + len(keys)
        hits, same_camera = self.matches.block(start, stop)
        own = self.matches.own_pictures(start, stop)
        self.filtered["same_camera"] += len(same_camera.rows)
        if "same_image" in self.filtered:
            self.filtered["same_image"] += len(own.rows)
        if self.shots:
            self.shots.add(keys, hits, own, start)
        before = count_before(keys, hits, (same_camera, own), self.matches.junk, self.exact, start)
        part, chosen = slice(start, stop), self.scores[self.rules.ties]
        chosen.fill(part, before.by(self.rules.ties), hits, self.rules.ap)
        if self.cameras:
            self.cameras.fill(part, before.by(self.rules.ties), hits, self.rules.ap)
        tied = bool(before.tied.any())
        for ties in _BOUNDS:
            if tied:
                self.scores[ties].fill(part, before.by(ties), hits, self.rules.ap)
            else:
                self.scores[ties].take(part, chosen)
        self._ties(before, hits, np.bincount(np.concatenate([same_camera.rows, own.rows]), minlength=len(keys)))

    def _ties(self, before: Before, hits: Pairs, removed: NDArray[np.int64]) -> None:
        """Count tied pairs, and the queries whose kept gallery is one heap or holds nobody else."""
        rows = len(removed)
        true = np.bincount(hits.rows, minlength=rows)
        others = len(self.labels.gallery_pids) - len(self.matches.junk) - removed - true
        self.pairs += int(before.tied.sum())
        self.queries += len(np.unique(hits.rows[before.tied > 0]))
        choice = (true > 0) & (others > 0)
        self.undecided += _full(before.tied, hits, others, choice)
        # Euclidean distances that float32 products cannot tell apart may well differ, far from the origin.
        alike = before.close if self.exact and self.exact.cosine else before.tied
        self.flat += _full(alike, hits, others, choice)
        self.unopposed += int(np.count_nonzero((true > 0) & (others == 0)))

    def ranking(self, max_rank: int) -> Ranking:
        """Means over the queries that the rules count."""
        chosen = self.scores[self.rules.ties]
        valid = chosen.first_hit > 0
        invalid = self.matches.explain(np.flatnonzero(~valid))
        if not valid.any():
            raise MetricError(invalid.refusal())
        counted = int(valid.sum()) if self.rules.invalid == "drop" else len(valid)
        longest = max(max_rank, *HEADLINE_RANKS)
        curve = self._curve(self.rules.ties, longest) / counted
        return Ranking(
            mAP=float(np.nansum(chosen.ap) / counted),
            mINP=float(np.nansum(chosen.inp) / counted),
            cmc=curve[:max_rank],
            cmc_at={k: float(curve[k - 1]) for k in HEADLINE_RANKS},
            ap=chosen.ap,
            inp=chosen.inp,
            first_hit=chosen.first_hit,
            valid=valid,
            num_queries=len(valid),
            num_valid=int(valid.sum()),
            filtered=self.filtered,
            invalid_queries=invalid,
            rules=self.rules,
            ties=self._tied(counted),
            flat=self.flat,
            unopposed=self.unopposed,
            cameras=self.cameras,
        )

    def _curve(self, ties: Ties, longest: int) -> NDArray[np.float64]:
        return self.shots.curve(longest, ties) if self.shots else self.scores[ties].curve(longest)

    def _tied(self, counted: int) -> Tied:
        if not self.pairs:
            return Tied()
        best, worst = (self._means(ties, counted) for ties in _BOUNDS)
        return Tied(self.pairs, self.queries, self.undecided, best, worst)

    def _means(self, ties: Ties, counted: int) -> dict[str, float]:
        found = self.scores[ties]
        means = {"mAP": float(np.nansum(found.ap) / counted), "mINP": float(np.nansum(found.inp) / counted)}
        return means | {"cmc1": float(self._curve(ties, 1)[0] / counted)}


def _full(counts: NDArray[np.int64], hits: Pairs, others: NDArray[np.int64], asked: NDArray[np.bool_]) -> int:
    """How many of the queries `asked` [b] have all others [b] counted at each of their hits."""
    less = np.bincount(hits.rows[counts < others[hits.rows]], minlength=len(others))
    return int(np.count_nonzero(asked & (less == 0)))
