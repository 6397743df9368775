"""Retrieval protocols on stored features: cosine, Euclidean, re-ranking, query expansion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from reidbench import EvaluateContext, Metrics
from reidbench.metrics import (
    Labelled,
    MetricError,
    Ranking,
    Reranking,
    Rules,
    rank_labelled,
    refuse_idle,
    rerank_blocks,
    search,
)
from reidbench.metrics.products import Products, refuse_zero, unit

from .ranking_params import ExpansionParams, RankingParams, ReciprocalParams

Own = tuple[np.ndarray, np.ndarray] | None  # image numbers of rows [N] and of the gallery [G], where they are known


def cosine(ctx: EvaluateContext[RankingParams]) -> Metrics:
    """Rank the gallery by cosine distance under the rules in `params`. Raises MetricError for zero vectors."""
    return _answer(ctx, rank_labelled(*_sides(ctx), _rules(ctx.params, "cosine")))


def euclidean(ctx: EvaluateContext[RankingParams]) -> Metrics:
    """Rank the gallery by Euclidean distance of the features, without normalisation."""
    return _answer(ctx, rank_labelled(*_sides(ctx), _rules(ctx.params, "euclidean")))


def k_reciprocal(ctx: EvaluateContext[ReciprocalParams]) -> Metrics:
    """Re-rank with k-reciprocal neighbours (Zhong et al., CVPR 2017) and rank by the final distances.

    Junk is removed first, as in every implementation that drops it when reading files: it must not become a neighbour.
    A query's own image may be a neighbour, as in other implementations, but is removed from the final ranking, and so
    are images of the same pid that the rules exclude. Queries that share a part of the gallery are re-ranked with that
    part; each drawn gallery is re-ranked separately.
    """
    params = ctx.params
    how = Reranking(params.variant, params.k1, params.k2, params.lambda_)

    def compare(query: Labelled, gallery: Labelled) -> Iterable[np.ndarray]:
        return rerank_blocks(query.features, gallery.features, how, "cosine")

    sides, rules = _sides(ctx), _rules(params, "cosine")
    flat = rank_labelled(*sides, rules).flat  # re-ranking spreads cosines that differ only by rounding
    return _answer(ctx, replace(rank_labelled(*sides, rules, compare, junk=False), flat=flat))


def query_expansion(ctx: EvaluateContext[ExpansionParams]) -> Metrics:
    """Add to each query its nearest gallery features, weighted by similarity^alpha, and rank by cosine distance.

    Alpha query expansion (Radenovic et al., TPAMI 2019). With `gallery_too` the gallery is expanded as well; with
    `among` "all" queries and gallery expand each other, as in fast-reid. A query's own image is not added to it.
    Neighbours come from the part of the gallery that the query is compared with.
    """
    params = ctx.params
    query, gallery = _sides(ctx)
    if (params.pool or params.multi_query) and query.images is not None:
        raise MetricError(
            "query-expansion cannot exclude a query's own images from pooled images, and query and gallery share some "
            "images here; remove pool and multi_query, or use cosine"
        )

    def compare(query: Labelled, gallery: Labelled) -> Products:
        sides = query, gallery
        for _ in range(params.times):
            sides = (_from_all if params.among == "all" else _from_gallery)(*sides, params)
        return Products(sides[0].features, sides[1].features, "cosine")

    return _answer(ctx, rank_labelled(query, gallery, _rules(params, "cosine"), compare, junk=False))


def _from_gallery(query: Labelled, gallery: Labelled, params: ExpansionParams) -> tuple[Labelled, Labelled]:
    rows = unit(gallery.features)
    own = None if query.images is None or gallery.images is None else (query.images, gallery.images)
    found = _expanded(unit(query.features), rows, params.k, params.alpha, own=own)
    # The nearest neighbour of a gallery image is itself, with similarity 1; k others are added.
    expanded = _expanded(rows, rows, params.k + 1, params.alpha, keep=0.0) if params.gallery_too else rows
    return replace(query, features=found), replace(gallery, features=expanded)


def _from_all(query: Labelled, gallery: Labelled, params: ExpansionParams) -> tuple[Labelled, Labelled]:
    """Replace each feature by the mean of itself and its k nearest of all, weighted by similarity^alpha.

    The mean is over the given features, which are not normalised.
    """
    for name, side in (("query_features", query), ("gallery_features", gallery)):
        refuse_zero(name, np.abs(side.features).sum(1) == 0)
    features = np.concatenate([query.features, gallery.features]).astype(np.float32)
    if query.images is None or gallery.images is None:
        numbers = np.arange(len(features))
    else:
        numbers = np.concatenate([query.images, gallery.images])
    rows = unit(features)
    indices, counted = _neighbours(rows, rows, params.k, (numbers, numbers))
    total = features.copy()
    for column, counts in zip(indices.T, counted.T, strict=True):
        similarity = np.einsum("nd,nd->n", rows, rows[column]).clip(0, None)
        total += (similarity**params.alpha * counts)[:, None] * features[column]
    found, expanded = np.split(total / (params.k + 1), [len(query.features)])
    return replace(query, features=found), replace(gallery, features=expanded)


def _expanded(
    rows: np.ndarray, gallery: np.ndarray, k: int, alpha: float, keep: float = 1.0, own: Own = None
) -> np.ndarray:
    """Return keep x row + sum of its k nearest gallery rows x similarity^alpha, normalised. Rows [N, D].

    `own`: image numbers of the rows [N] and of the gallery [G]; gallery rows with a row's own number are skipped.
    """
    indices, counted = _neighbours(rows, gallery, k, own)
    neighbours = gallery[indices]  # [N, k, D]
    similarity = np.einsum("nd,nkd->nk", rows, neighbours).clip(0, None)
    return unit(keep * rows + np.einsum("nk,nkd->nd", similarity**alpha * counted, neighbours))


def _neighbours(rows: np.ndarray, gallery: np.ndarray, k: int, own: Own) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the k nearest [N, k] and a mask; fewer than k count if most rows are own images."""
    if own is None:
        indices = search(rows, gallery, k).indices
        return indices, np.ones(indices.shape, dtype=bool)
    numbers, copies = np.unique(own[1], return_counts=True)
    at = np.searchsorted(numbers, own[0]).clip(0, len(numbers) - 1)
    most = int(np.where(numbers[at] == own[0], copies[at], 0).max())
    indices = search(rows, gallery, k + most).indices
    mine = own[1][indices] == own[0][:, None]
    others_first = np.argsort(mine, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(indices, others_first, 1), ~np.take_along_axis(mine, others_first, 1)


def _sides(ctx: EvaluateContext[RankingParams]) -> tuple[Labelled, Labelled]:
    """Return query and gallery for the metrics. Raises MetricError if a rule has no effect on their labels."""
    query, gallery = (
        Labelled(side.features, side.pids, side.camids, side.images, side.clothes, side.modality, side.tracklets)
        for side in (ctx.query, ctx.gallery)
    )
    refuse_idle(query, gallery, _rules(ctx.params, "cosine"))
    return query, gallery


def _rules(params: RankingParams, distance: Literal["cosine", "euclidean"]) -> Rules:
    names = ("ap", "invalid", "ties", "camera", "gallery", "repeats", "cmc", "exclude", "cross", "pool", "multi_query")
    given: dict[str, Any] = {name: getattr(params, name) for name in (*names, "shots", "shots_per", "skip_cameras")}
    given |= {name: getattr(params, name) or () for name in ("query_cameras", "gallery_cameras")}
    return Rules(**given, distance=distance, seed=params.draw_seed)


def _answer(ctx: EvaluateContext[RankingParams], ranking: Ranking) -> Metrics:
    """Return the metrics, and note what was excluded or does not depend on the features."""
    for text in (*ranking.notes, *([ranking.without_intervals] if ranking.without_intervals else [])):
        ctx.note(text)
    over = " (over all drawn galleries)" if ranking.shares is not None else ""
    if own := ranking.filtered.get("same_image", 0):
        pairs = f"{own} {'pair' if own == 1 else 'pairs'}"
        ctx.note(f"left out{over}: {pairs} of a query and its own image in the gallery")
    if ranking.num_valid < ranking.num_queries:
        ctx.note(_without_match(ranking))
    for doubt in ranking.doubts():
        ctx.note(doubt)
    if ranking.ties.visible:
        ctx.note(f"ties{over}: {ranking.ties}")
    notes = {
        "num_queries": ranking.num_queries,
        "num_valid": ranking.num_valid,
        "filtered": dict(ranking.filtered),
        "rules": ranking.rules.as_dict(),
        "ties": ranking.ties.as_dict(),
        "doubts": ranking.doubts(),
    }
    return Metrics(ranking.metrics(), _per_query(ranking), notes)


def _per_query(ranking: Ranking) -> dict[str, np.ndarray]:
    """Return arrays by query image: AP, INP and, with a single gallery, the rank of the first true match.

    If queries are pooled or galleries are drawn, CMC is returned as arrays as well, and the metrics are their means;
    with drawn galleries a query has no single rank. If these means are not the metrics, `in_some_draws` marks the
    queries that have a true match in only some of the drawn galleries.
    """
    plain = {"ap": ranking.ap, "inp": ranking.inp, "first_hit": ranking.first_hit, "valid": ranking.valid}
    if ranking.asked.all() and ranking.shares is None:
        return plain
    found = ranking.per_query()
    arrays = {"ap": found.pop("mAP"), "inp": found.pop("mINP"), "valid": ranking.valid, **found}
    if ranking.in_some_draws.any():
        arrays["in_some_draws"] = ranking.in_some_draws
    one_place = ranking.shares is None and ranking.rules.invalid == "drop"
    return arrays | ({"first_hit": ranking.first_hit} if one_place else {})


def _without_match(ranking: Ranking) -> str:
    """Return the note on queries without a true match: count, reason and effect on the means."""
    count = f"{ranking.num_queries - ranking.num_valid} of {ranking.num_queries} queries"
    if ranking.rules.invalid == "zero":
        return f"counted as 0 in all means: {count}, without a true match: {ranking.invalid_queries}"
    return f"left out of all means: {count}, without a true match: {ranking.invalid_queries}"
