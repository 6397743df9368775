"""Retrieval by distance."""

from __future__ import annotations

from reidbench import Metrics
from reidbench.components import EvaluateContext
from reidbench.metrics.ranking import Rules, rank


def cosine(ctx: EvaluateContext) -> Metrics:
    """Rank the gallery by cosine distance; rules as in `params`."""
    params = ctx.params
    rules = Rules(ap=params.ap, invalid=params.invalid, ties=params.ties, camera=params.camera, distance="cosine")
    query, gallery = ctx.query, ctx.gallery
    ranking = rank(query.features, query.pids, query.camids, gallery.features, gallery.pids, gallery.camids, rules)
    per_query = {"ap": ranking.ap, "inp": ranking.inp, "first_hit": ranking.first_hit, "valid": ranking.valid}
    notes = {"num_queries": ranking.num_queries, "num_valid": ranking.num_valid, "filtered": dict(ranking.filtered)}
    return Metrics(ranking.metrics(), per_query, notes)
