"""CMC, mAP and mINP under named rules, from the ranks of the true matches alone.

The whole distance matrix is neither held nor sorted: distances come in blocks, and for each query it is counted how
many gallery rows stand before each of its true matches. The counts give AP, INP and CMC exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.counting import count_before
from reidbench.metrics.errors import MetricError
from reidbench.metrics.matches import InvalidQueries, Labels, Matches, Pairs
from reidbench.metrics.products import Products, features
from reidbench.metrics.rules import Rules
from reidbench.metrics.single_shot import SingleShot

HEADLINE_RANKS = (1, 5, 10, 20)
_DISTANCE_BYTES = 32 << 20


@dataclass(frozen=True, eq=False)
class Ranking:
    """What a ranking is worth, with the rules it was computed under. Fractions, not per cent.

    `ap` and `inp` [Q] are NaN and `first_hit` [Q] is 0 where a query has no true match; `first_hit` counts from 1.
    `cmc[k - 1]` is CMC at rank k. `filtered`: "junk" counts the gallery rows with pid -1, once each; "same_camera" the
    pairs of a query and a gallery row that the camera rule removed.
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
) -> Ranking:
    """Rank a gallery [G, D] for queries [Q, D] by `rules.distance`, exactly.

    Features may be of any real type and stay as they are; blocks of products are float32, and where these cannot tell
    two gallery rows apart, float64 decides. pids and camids are integers [Q] and [G]; pid -1 in the gallery is junk,
    and pid 0 (a distractor) an identity like any other, which no query of Market-1501 has.

    Raises MetricError for features that are not finite, arrays that do not fit together, or no valid query.
    """
    rules = rules or Rules()
    if rules.distance == "given":
        raise MetricError("rule distance=given is for rank_distances; rank needs cosine or euclidean")
    labels = Labels.check(query_pids, query_camids, gallery_pids, gallery_camids)
    _check_rows("query", len(features("query_features", query_features)), len(labels.query_pids))
    _check_rows("gallery", len(features("gallery_features", gallery_features)), len(labels.gallery_pids))
    products = Products(query_features, gallery_features, rules.distance)
    return _rank(products.blocks(), labels, rules, max_rank, products)


def rank_distances(
    distances: NDArray[Any],
    query_pids: NDArray[Any],
    query_camids: NDArray[Any],
    gallery_pids: NDArray[Any],
    gallery_camids: NDArray[Any],
    rules: Rules | None = None,
    max_rank: int = 50,
) -> Ranking:
    """Rank by given distances [Q, G], smaller is nearer; they are not changed. Otherwise as `rank`."""
    distances = np.asarray(distances)
    labels = Labels.check(query_pids, query_camids, gallery_pids, gallery_camids)
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
) -> Ranking:
    """Rank by distances that come as blocks [b, G] of consecutive queries, each overwritten once it was counted.

    The blocks are float32 or float64 and may share one buffer, so that a re-ranked MSMT17 needs no 3.6 GiB matrix.
    """
    labels = Labels.check(query_pids, query_camids, gallery_pids, gallery_camids)
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
            raise MetricError(f"distances row {start + int(np.argmin(finite))} holds NaN or infinity")
        start += len(block)
        yield block


def _check_rows(side: str, rows: int, labels: int) -> None:
    if rows != labels:
        raise MetricError(f"{side}_features has {rows} rows but {side}_pids has {labels} entries")


def _rank(
    blocks: Iterable[NDArray[Any]], labels: Labels, rules: Rules, max_rank: int, exact: Products | None = None
) -> Ranking:
    if max_rank < 1:
        raise MetricError(f"max_rank={max_rank} must be at least 1")
    matches, total = Matches(labels, rules.camera), len(labels.query_pids)
    shots = SingleShot(matches, rules) if rules.gallery == "single-shot" else None
    ap, inp = np.full(total, np.nan), np.full(total, np.nan)
    first_hit, same_camera, stop = np.zeros(total, np.int64), 0, 0
    for keys in blocks:
        start, stop = stop, stop + len(keys)
        hits, removed = matches.block(start, stop)
        same_camera += len(removed.rows)
        if shots:
            shots.add(keys, hits, start)
        before = count_before(keys, hits, removed, matches.junk, rules.ties, exact, start)
        _score(before, hits, rules.ap, ap[start:stop], inp[start:stop], first_hit[start:stop])
    if stop != total:
        raise MetricError(f"the blocks hold distances of {stop} queries but there are {total}")
    filtered = {"junk": len(matches.junk), "same_camera": same_camera}
    invalid = matches.explain(np.flatnonzero(first_hit == 0))
    return _summary(ap, inp, first_hit, filtered, invalid, rules, max_rank, shots)


def _score(
    before: NDArray[np.int64],
    hits: Pairs,
    rule: str,
    ap: NDArray[np.float64],
    inp: NDArray[np.float64],
    first_hit: NDArray[np.int64],
) -> None:
    """Fill in the results of one block from the number of other rows before each hit."""
    if not len(before):
        return
    starts = hits.starts(len(ap))
    count = np.diff(starts)
    valid = np.flatnonzero(count)
    ordered = before[np.lexsort((before, hits.rows))]
    nth = np.arange(1, len(ordered) + 1) - starts[hits.rows]
    place = ordered + nth  # the r-th true match stands behind r - 1 others of its kind
    precision = nth / place
    if rule == "trapezoid":
        precision = (precision + np.divide(nth - 1, place - 1, out=np.ones(len(nth)), where=place > 1)) / 2
    ap[valid] = np.bincount(hits.rows, precision, len(ap))[valid] / count[valid]
    inp[valid] = count[valid] / place[starts[valid + 1] - 1]
    first_hit[valid] = place[starts[valid]]


def _summary(
    ap: NDArray[np.float64],
    inp: NDArray[np.float64],
    first_hit: NDArray[np.int64],
    filtered: dict[str, int],
    invalid: InvalidQueries,
    rules: Rules,
    max_rank: int,
    shots: SingleShot | None,
) -> Ranking:
    """Means over the queries that the rules count."""
    valid = first_hit > 0
    if not valid.any():
        raise MetricError(f"no query is valid, that is, has a true match in the gallery: {invalid.first[0]}")
    counted = int(valid.sum()) if rules.invalid == "drop" else len(valid)
    longest = max(max_rank, *HEADLINE_RANKS)
    if shots:
        curve = shots.curve(longest) / counted
    else:
        curve = np.bincount(np.minimum(first_hit[valid], longest + 1), minlength=longest + 2)[1:-1].cumsum() / counted
    return Ranking(
        mAP=float(np.nansum(ap) / counted),
        mINP=float(np.nansum(inp) / counted),
        cmc=curve[:max_rank],
        cmc_at={k: float(curve[k - 1]) for k in HEADLINE_RANKS},
        ap=ap,
        inp=inp,
        first_hit=first_hit,
        valid=valid,
        num_queries=len(valid),
        num_valid=int(valid.sum()),
        filtered=filtered,
        invalid_queries=invalid,
        rules=rules,
    )
