"""Retrieval protocols on stored features: cosine, Euclidean, re-ranked, query-expanded."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from reidbench import Metrics
from reidbench.components import EvaluateContext, Features
from reidbench.metrics import Ranking, Reranking, Rules, rank, rank_blocks, rerank_blocks, search

from .params import RankingParams

JUNK = -1


def cosine(ctx: EvaluateContext) -> Metrics:
    """Rank the gallery by cosine distance; rules as in `params`."""
    return _answer(_rank(ctx.query, ctx.gallery, _rules(ctx.params, "cosine")))


def euclidean(ctx: EvaluateContext) -> Metrics:
    """Rank the gallery by Euclidean distance of the features as they are."""
    return _answer(_rank(ctx.query, ctx.gallery, _rules(ctx.params, "euclidean")))


def k_reciprocal(ctx: EvaluateContext) -> Metrics:
    """Re-rank with k-reciprocal neighbours (Zhong et al., CVPR 2017) and rank by the final distances.

    Junk is left out before, as every implementation does that drops it when the files are read: it must not be
    anybody's neighbour.
    """
    params = ctx.params
    gallery = _without_junk(ctx.gallery)
    how = Reranking(params.variant, params.k1, params.k2, params.lambda_)
    blocks: Iterable[np.ndarray] = rerank_blocks(ctx.query.features, gallery.features, how, "cosine")
    query = ctx.query
    rules = _rules(params, "cosine")
    return _answer(rank_blocks(blocks, query.pids, query.camids, gallery.pids, gallery.camids, rules))


def query_expansion(ctx: EvaluateContext) -> Metrics:
    """Add to each query its nearest gallery features, weighted by similarity^alpha, and rank by cosine distance.

    Alpha query expansion (Radenovic et al., TPAMI 2019); with `gallery_too` the gallery is expanded as well.
    """
    params = ctx.params
    gallery = _without_junk(ctx.gallery)
    unit = _unit(gallery.features)
    query = _expanded(_unit(ctx.query.features), unit, params.k, params.alpha)
    # A gallery image's nearest neighbour is itself, with similarity 1, beside which k others are added.
    expanded = _expanded(unit, unit, params.k + 1, params.alpha, keep=0.0) if params.gallery_too else unit
    rules = _rules(params, "cosine")
    return _answer(
        _rank(
            Features(query, ctx.query.pids, ctx.query.camids),
            Features(expanded, gallery.pids, gallery.camids),
            rules,
        )
    )


def _expanded(rows: np.ndarray, gallery: np.ndarray, k: int, alpha: float, keep: float = 1.0) -> np.ndarray:
    """keep x row + sum of its k nearest gallery rows x similarity^alpha, of unit length again. Rows [N, D]."""
    indices = search(rows, gallery, k).indices
    neighbours = gallery[indices]  # [N, k, D]
    similarity = np.einsum("nd,nkd->nk", rows, neighbours).clip(0, None)
    return _unit(keep * rows + np.einsum("nk,nkd->nd", similarity**alpha, neighbours))


def _unit(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, dtype=np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _without_junk(gallery: Features) -> Features:
    keep = gallery.pids != JUNK
    return Features(gallery.features[keep], gallery.pids[keep], gallery.camids[keep])


def _rules(params: RankingParams, distance: str) -> Rules:
    return Rules(
        ap=params.ap,
        invalid=params.invalid,
        ties=params.ties,
        camera=params.camera,
        distance=distance,  # type: ignore[arg-type]
        gallery=params.gallery,
        repeats=params.repeats,
        seed=params.draw_seed,
    )


def _rank(query: Features, gallery: Features, rules: Rules) -> Ranking:
    return rank(query.features, query.pids, query.camids, gallery.features, gallery.pids, gallery.camids, rules)


def _answer(ranking: Ranking) -> Metrics:
    per_query = {"ap": ranking.ap, "inp": ranking.inp, "first_hit": ranking.first_hit, "valid": ranking.valid}
    notes = {
        "num_queries": ranking.num_queries,
        "num_valid": ranking.num_valid,
        "filtered": dict(ranking.filtered),
        "rules": ranking.rules.as_dict(),
    }
    return Metrics(ranking.metrics(), per_query, notes)
