"""Quality of a relevance score and of the images that a selection keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MetricError
from .statistics import Interval

Doubles = NDArray[np.float64]
SAMPLES = 1_000  # of the bootstrap


def relevance_auc(scores: Any, relevant: Any, level: float = 0.95, samples: int = SAMPLES, seed: int = 0) -> Interval:
    """Area under the ROC curve of scores [N] against relevance [N] (bool), with a bootstrap interval; n is N.

    The probability that a relevant image scores higher than an irrelevant one, counting ties half (Mann-Whitney).
    Relevant and irrelevant images are resampled separately with replacement, `samples` times; the ends are Efron's
    percentiles, NaN if `samples` is 0. Raises MetricError for an empty group, unequal lengths, and scores that are not
    finite numbers.
    """
    values, labels = _checked(scores, relevant)
    groups = np.unique(values, return_inverse=True)[1].reshape(-1)
    if labels.all() or not labels.any():
        raise MetricError(
            f"an AUC requires relevant and irrelevant images; {int(labels.sum())} of {len(labels)} are relevant"
        )
    width = int(groups.max()) + 1
    positive, negative = groups[labels], groups[~labels]
    value = _auc(np.bincount(positive, minlength=width), np.bincount(negative, minlength=width))
    if not 0 < level < 1:
        raise MetricError(f"level={level} must be between 0 and 1")
    if samples == 0:
        return Interval(value, float("nan"), float("nan"), len(values), level)
    rng = np.random.default_rng(seed)
    drawn = [_auc(_again(positive, width, rng), _again(negative, width, rng)) for _ in range(samples)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), len(values), level)


def selection_quality(scores: Any, indices: Any, relevant: Any, samples: int = SAMPLES) -> dict[str, float]:
    """Quality of a selection given the true relevance [N] (bool), as fractions by name.

    relevant_in_pool and relevant_in_kept are the shares of relevant images in the pool (chance) and in the selection
    (precision); relevant_kept is the share of all relevant images that was kept (recall). relevance_auc is the score's
    AUC, with the ends of its 95 % interval; it is left out without relevant or without irrelevant images. Raises
    MetricError for indices that repeat or are out of range.
    """
    values, labels = _checked(scores, relevant)
    kept = np.asarray(indices, dtype=np.int64).reshape(-1)
    if not len(kept) or kept.min() < 0 or kept.max() >= len(labels) or len(np.unique(kept)) < len(kept):
        raise MetricError(f"a selection requires one or more distinct indices from 0 to {len(labels) - 1}")
    found = {
        "relevant_in_pool": float(labels.mean()),
        "relevant_in_kept": float(labels[kept].mean()),
    }
    if labels.any():
        found["relevant_kept"] = float(labels[kept].sum() / labels.sum())
    if labels.any() and not labels.all():
        auc = relevance_auc(values, labels, samples=samples)
        found |= {"relevance_auc": auc.value, "relevance_auc_low": auc.low, "relevance_auc_high": auc.high}
    return found


def _auc(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> float:
    """AUC from the counts of each distinct score, in ascending order, among relevant and irrelevant images."""
    below = np.cumsum(negative) - negative
    wins = float(positive @ (below + negative / 2))
    return wins / (float(positive.sum()) * float(negative.sum()))


def _again(groups: NDArray[np.int64], width: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.bincount(groups[rng.integers(len(groups), size=len(groups))], minlength=width)


def _checked(scores: Any, relevant: Any) -> tuple[Doubles, NDArray[np.bool_]]:
    values: Doubles = np.asarray(scores, np.float64)
    labels = np.asarray(relevant)
    if values.ndim != 1 or values.shape != labels.shape or not len(values):
        raise MetricError(f"scores and relevance must have one length, not {values.shape} and {labels.shape}")
    if labels.dtype != np.bool_:
        raise MetricError(f"relevance must be Boolean, not {labels.dtype}")
    if not np.isfinite(values).all():
        raise MetricError("scores must be finite numbers")
    return values, labels
