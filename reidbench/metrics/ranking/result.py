"""Result of a ranking: means over queries, and over the draws of a gallery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError

from .cameras import ByCamera
from .matches import InvalidQueries, explained
from .rules import Rules, Ties
from .scores import Tied
from .tally import BOUNDS, Results

Doubles = NDArray[np.float64]
HEADLINE_RANKS = (1, 5, 10, 20)
_CURE = "check the network or the file that they come from"


@dataclass(frozen=True, eq=False)
class Ranking:
    """Result of a ranking, with its rules. Metrics are fractions, not per cent.

    `ap` and `inp` [Q] are NaN and `first_hit` [Q] is 0 if a query has no true match; `first_hit` counts images, or
    identities with cmc=identities, from 1. `cmc[k - 1]` is CMC at rank k. `ties`: effect of equal distances. `flat`:
    number of valid queries whose gallery rows are all at equal distances, or at cosines that float32 cannot
    distinguish. `unopposed`: number of valid queries without another identity in their gallery, which score 1 for any
    features. `filtered`: "junk" counts the gallery rows with pid -1, once each; "same_image", if images are numbered,
    pairs of a query and its own image; "same_camera" further pairs of a query and a gallery row that the camera rule
    removed, and then "same_clothes" or "different_clothes". "same_modality", and then "skipped_camera", count pairs
    that were not compared, with any pid. `cameras`: results by the camera of the true matches, if requested.

    `asked` [Q] marks the query images with results: all images, unless rules leave cameras out or combine several
    images into one query. In that case results are at the first image, `num_queries` counts queries, and means cover
    queries only. If galleries are drawn, metrics are means over the draws, `first_hit` is -1 for queries with matches,
    and `ap`, `inp` and `shares` [Q, 4] (share of the draws in which the query was found up to rank 1, 5, 10, 20) are
    means over the draws in which the query has matches (with invalid=zero: over all). `valid` is whether it has matches
    in any draw; `filtered`, `ties` and `flat` are over all draws. `in_some_draws` [Q] marks queries without a match in
    some draws, which leave them out of their means. `notes`: sentences on what the rules pooled, drew or left out, or
    what is unknown.
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
    asked: NDArray[np.bool_] = field(default_factory=lambda: np.ones(0, bool))
    shares: NDArray[np.float64] | None = None
    in_some_draws: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    notes: tuple[str, ...] = ()

    @property
    def nothing_ranked(self) -> str:
        """Sentence if no query prefers any gallery row to another, as with equal vectors; otherwise empty."""
        if not self.ties.undecided or self.ties.undecided + self.unopposed < self.num_valid:
            return ""
        return (
            f"nothing was ranked: for each of the {self.ties.undecided} valid queries all gallery rows are at equal "
            f"distance, as they are when all vectors are equal; {_CURE}"
        )

    def doubts(self) -> list[str]:
        """Sentences on results that do not depend on the features; for ties see `ties`."""
        found = [self.nothing_ranked] if self.nothing_ranked else []
        if self.flat and not found and self.flat + self.unopposed == self.num_valid:
            found.append(
                f"for each of the {self.flat} valid queries the cosines of all gallery rows agree to the precision of "
                f"float32; their order may be rounding noise: {_CURE}"
            )
        if self.unopposed:
            found.append(
                f"without another identity in their gallery: {self.unopposed} of {self.num_valid} valid queries, which "
                "score 100 % with any features"
            )
        return found

    def decided(self) -> Ranking:
        """Return the ranking. Raises MetricError if nothing was ranked."""
        if self.nothing_ranked:
            raise MetricError(self.nothing_ranked)
        return self

    def metrics(self) -> dict[str, float]:
        """mAP, mINP, cmc1, cmc5, cmc10, cmc20; beyond the last kept gallery row CMC stays constant."""
        return {"mAP": self.mAP, "mINP": self.mINP} | {f"cmc{k}": v for k, v in self.cmc_at.items()}

    def per_query(self) -> dict[str, NDArray[np.float64]]:
        """mAP, mINP, cmc1, cmc5, cmc10 and cmc20 [Q]: their means are the metrics, except for a single-shot CMC.

        NaN if the rules drop a query and for images without a result, 0 if a query counts as zero. If any query is
        `in_some_draws`, these means are not the metrics, which are means over draws of means over queries.
        """
        found = {"mAP": self.ap, "mINP": self.inp}
        if self.rules.gallery == "all":
            found |= {f"cmc{k}": self._found(number, k) for number, k in enumerate(HEADLINE_RANKS)}
        fill = 0.0 if self.rules.invalid == "zero" else np.nan
        empty = np.where(self.asked, fill, np.nan)
        return {name: np.where(self.valid, values, empty) for name, values in found.items()}

    @property
    def without_intervals(self) -> str:
        """Sentence if the means of the per-query results are not the metrics; otherwise empty."""
        if not self.in_some_draws.any():
            return ""
        return (
            f"no intervals and no comparisons by query: {int(self.in_some_draws.sum())} of {self.num_queries} queries "
            "have a true match in some of the drawn galleries only, so that a mean over the queries is not the metric, "
            "which is a mean over the galleries"
        )

    def _found(self, number: int, k: int) -> NDArray[np.float64]:
        if self.shares is not None:
            return self.shares[:, number]
        return (self.first_hit <= k).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Asked:
    """Labels of all query images [total], and the images with results: all, or `lead` [Q]."""

    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    lead: NDArray[np.intp] | None = None

    def spread(self, values: NDArray[Any], empty: Any) -> NDArray[Any]:
        """Spread values [Q, ...] to their images [total, ...]; the rest is `empty`."""
        if self.lead is None:
            return values
        found = np.full((len(self.pids), *values.shape[1:]), empty, values.dtype)
        found[self.lead] = values
        return found


def conclude(
    draws: Sequence[Results],
    asked: Asked,
    rules: Rules,
    max_rank: int = 50,
    cameras: ByCamera | None = None,
    notes: Sequence[str] = (),
) -> Ranking:
    """Average over the queries that the rules count, and over the draws of the gallery that have any.

    Raises MetricError if no query has a true match.
    """
    if max_rank < 1:
        raise MetricError(f"max_rank={max_rank} must be at least 1")
    valid = np.stack([results.scores[rules.ties].first_hit > 0 for results in draws])
    missing = np.flatnonzero(~valid.any(0))
    numbers = missing if asked.lead is None else asked.lead[missing]
    invalid = explained(asked.pids, asked.camids, {int(i): draws[0].reasons[int(i)] for i in numbers})
    if not valid.any():
        raise MetricError(invalid.refusal())
    means, ever = _Means(draws, rules, valid, max(max_rank, *HEADLINE_RANKS)), np.asarray(valid.any(0))
    curve, several = means.curve(rules.ties), len(draws) > 1
    some = ever & ~valid.all(0) if rules.invalid == "drop" else np.zeros(len(ever), bool)
    scores = draws[0].scores[rules.ties]
    # A single gallery keeps its results. For several, each query gets its mean.
    ap = means.of_query("ap") if several else scores.ap
    inp = means.of_query("inp") if several else scores.inp
    first = np.where(ever, -1, 0) if several else scores.first_hit
    return Ranking(
        mAP=means.metric("ap", rules.ties),
        mINP=means.metric("inp", rules.ties),
        cmc=curve[:max_rank],
        cmc_at={k: float(curve[k - 1]) for k in HEADLINE_RANKS},
        ap=asked.spread(ap, np.nan),
        inp=asked.spread(inp, np.nan),
        first_hit=asked.spread(first, 0),
        valid=asked.spread(ever, False),
        num_queries=valid.shape[1],
        num_valid=int(ever.sum()),
        filtered=_filtered(draws),
        invalid_queries=invalid,
        rules=rules,
        ties=_tied(draws, means, valid),
        flat=_always("alike", draws, valid),
        unopposed=_always("alone", draws, valid),
        cameras=cameras,
        asked=asked.spread(np.ones(valid.shape[1], bool), False),
        shares=asked.spread(means.shares(), np.nan) if several else None,
        in_some_draws=asked.spread(some, False),
        notes=(*notes, *_unmatched(valid, rules)),
    )


class _Means:
    """Means over queries and draws."""

    def __init__(self, draws: Sequence[Results], rules: Rules, valid: NDArray[np.bool_], longest: int) -> None:
        self.draws, self.longest, self.zero = draws, longest, rules.invalid == "zero"
        self.ties, self.valid = rules.ties, valid
        self.counted = [valid.shape[1] if self.zero else int(some.sum()) for some in valid]

    def metric(self, name: str, ties: Ties) -> float:
        """mAP (ap) or mINP (inp)."""
        sums = [np.nansum(getattr(results.scores[ties], name)) for results in self.draws]
        return float(np.mean([total / n for total, n in zip(sums, self.counted, strict=True) if n]))

    def curve(self, ties: Ties) -> Doubles:
        """CMC [longest]."""
        curves = [results.curve(ties, self.longest) for results in self.draws]
        found: Doubles = np.mean([curve / n for curve, n in zip(curves, self.counted, strict=True) if n], axis=0)
        return found

    def of_query(self, name: str) -> Doubles:
        """Mean of each query's results [Q]."""
        values = np.stack([getattr(results.scores[self.ties], name) for results in self.draws])
        return self._over_draws(np.nan_to_num(values))

    def shares(self) -> Doubles:
        """Share of the draws in which a query was found up to each of the headline ranks, [Q, ranks]."""
        first = np.stack([results.scores[self.ties].first_hit for results in self.draws])
        found = [self._over_draws((first > 0) & (first <= k)) for k in HEADLINE_RANKS]
        return np.stack(found, axis=1)

    def _over_draws(self, values: NDArray[Any]) -> Doubles:
        """Mean [Q] of values [draws, Q], with 0 if there is no match; NaN for queries that never have one."""
        ever = self.valid.sum(0)
        counted = np.full(len(ever), len(self.draws)) if self.zero else ever
        found: Doubles = np.divide(values.sum(0), counted, out=np.full(len(ever), np.nan), where=ever > 0)
        return found


def _filtered(draws: Sequence[Results]) -> dict[str, int]:
    """Removed pairs of all draws by rule; junk rows, which are never drawn, once."""
    total: Counter[str] = Counter()
    for results in draws:
        total.update(results.filtered)
    return {"junk": draws[0].filtered["junk"]} | {name: n for name, n in total.items() if name != "junk"}


def _always(name: str, draws: Sequence[Results], valid: NDArray[np.bool_]) -> int:
    """Number of queries for which `name` holds in each draw with a match, and that have other persons to rank."""
    found = np.stack([getattr(results, name) for results in draws])
    alone = np.stack([results.alone for results in draws])
    return int(np.count_nonzero((found | alone | ~valid).all(0) & found.any(0)))


def _tied(draws: Sequence[Results], means: _Means, valid: NDArray[np.bool_]) -> Tied:
    pairs = np.stack([results.tied for results in draws])
    if not pairs.any():
        return Tied()
    bounds: list[dict[str, float]] = [
        {
            "mAP": means.metric("ap", ties),
            "mINP": means.metric("inp", ties),
            "cmc1": float(means.curve(ties)[0]),
        }
        for ties in BOUNDS
    ]
    queries = int(np.count_nonzero(pairs.any(0)))
    return Tied(int(pairs.sum()), queries, _always("heap", draws, valid), *bounds)


def _unmatched(valid: NDArray[np.bool_], rules: Rules) -> list[str]:
    """Notes on queries that have no true match in some draws."""
    draws, queries = valid.shape
    some = int(np.count_nonzero(valid.any(0) & ~valid.all(0)))
    counted = "counted as 0 there" if rules.invalid == "zero" else "left out of the means of these"
    notes = [f"without a true match in some of the {draws} drawn galleries, {counted}: {some} of {queries} queries"]
    empty = int(np.count_nonzero(~valid.any(1)))
    if empty and rules.invalid == "drop":
        notes.append(
            f"without a true match for any query, so left out of all means: {empty} of {draws} drawn galleries"
        )
    return notes if some else []
