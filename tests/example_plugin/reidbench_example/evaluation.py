"""precision-at: precision among the k nearest gallery images."""

from __future__ import annotations

import numpy as np

from reidbench import EvaluateContext, Metrics

from . import EvaluatorParams


def evaluate(ctx: EvaluateContext[EvaluatorParams]) -> Metrics:
    """Return the precision among the first k by cosine similarity, without junk and same-camera true matches."""
    query, gallery = ctx.query, ctx.gallery
    similarity = _unit(query.features) @ _unit(gallery.features).T
    precision = np.zeros(len(query.pids))
    for row in range(len(precision)):
        right = gallery.pids == query.pids[row]
        counted = (gallery.pids != -1) & ~(right & (gallery.camids == query.camids[row]))
        order = np.argsort(-similarity[row][counted], kind="stable")[: ctx.params.k]
        precision[row] = right[counted][order].mean()
    return Metrics({"precision": float(precision.mean())}, {"precision": precision})


def _unit(features: np.ndarray) -> np.ndarray:
    unit: np.ndarray = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return unit
