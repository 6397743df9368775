"""Agreement of two orders: Kendall's tau-b, also over selected pairs and over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.statistics import SAMPLES, TINY, Doubles, Interval, drawn_counts

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]  # indices of the first and of the second item of each pair
ORDERS = 10_000  # random orders; shares of them repeat to a hundredth


@dataclass(frozen=True)
class Concordance:
    """Counts of pairs by whether two values order them the same way; the three counts add up to the pairs counted.

    `tied_first` and `tied_second` count pairs that are equal in one of the values; a pair equal in both is in both.
    """

    concordant: int
    discordant: int
    tied: int
    tied_first: int
    tied_second: int

    @property
    def pairs(self) -> int:
        """Number of pairs counted."""
        return self.concordant + self.discordant + self.tied

    @property
    def tau(self) -> float:
        """Kendall's tau-b, (C - D) / sqrt((P - tied_first) (P - tied_second)); NaN if either value orders no pair."""
        ordered = (self.pairs - self.tied_first) * (self.pairs - self.tied_second)
        return (self.concordant - self.discordant) / math.sqrt(ordered) if ordered else math.nan


def pairs_apart(values: Any, least: float = 0.0) -> Pairs:
    """Pairs i < j of values [N] that differ by at least `least`, up to rounding."""
    values = np.asarray(values, np.float64)
    first, second = np.triu_indices(len(values), 1)
    apart = np.abs(values[first] - values[second]) >= least - TINY
    return first[apart], second[apart]


def concordance(first: Any, second: Any, pairs: Pairs | None = None) -> Concordance:
    """Count the pairs that two values [N] of the same items order the same way, over all pairs or over `pairs`.

    Values are equal if they differ by no more than rounding. Raises MetricError for unequal lengths and for values that
    are not finite.
    """
    first, second = _alike(first, second)
    i, j = pairs_apart(first) if pairs is None else pairs
    a, b = _signs(first, i, j), _signs(second, i, j)
    agree = a * b
    counts = (agree > 0, agree < 0, agree == 0, a == 0, b == 0)
    return Concordance(*(int(np.count_nonzero(which)) for which in counts))


def tau_over_seeds(
    first: Any, second: Any, pairs: Pairs | None = None, level: float = 0.95, samples: int = SAMPLES, seed: int = 0
) -> Interval:
    """Tau-b between values [N] and the means of values [S, N] or [P, S, N], with a percentile bootstrap.

    Draws the S seeds, and the P pre-trainings independently of them; all items share the draws. The interval contains
    the value and covers other seeds, not other items; with few seeds it is too narrow. Draws that order no pair are
    left out. A single result has a tau but no interval. `n` is the number of seeds. Raises MetricError as `concordance`
    does.
    """
    values = np.asarray(second, np.float64)
    values = values[None] if values.ndim == 2 else values
    pretrainings, seeds, _ = values.shape
    value = concordance(first, values.mean((0, 1)), pairs).tau
    if pretrainings * seeds < 2:
        return Interval(value, math.nan, math.nan, seeds, level)
    counts = _counts(seeds, samples, seed)
    if pretrainings > 1:
        of_pretrainings = _counts(pretrainings, samples, [seed, 1])
        drawn = np.einsum("dp,ds,psn->dn", of_pretrainings, counts, values) / (pretrainings * seeds)
    else:
        drawn = counts @ values[0] / seeds
    taus = _taus(first, drawn, pairs)
    taus = taus[np.isfinite(taus)]
    if not len(taus):
        return Interval(value, math.nan, math.nan, seeds, level)
    low, high = np.quantile(taus, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, min(float(low), value), max(float(high), value), seeds, level)


def _counts(n: int, samples: int, seed: int | list[int]) -> Doubles:
    """Return how often each of n items is drawn [samples, n]."""
    return np.concatenate([counts for _, counts in drawn_counts(n, samples, seed)]).astype(np.float64)


def tau_by_chance(first: Any, second: Any, pairs: Pairs | None = None, orders: int = ORDERS, seed: int = 0) -> float:
    """Share of random orders of the second values whose tau-b with the first is at least the observed one."""
    first, second = _alike(first, second)
    value = concordance(first, second, pairs).tau
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(second, (orders, 1)), axis=1)
    return float((_taus(first, shuffled, pairs) >= value - TINY).mean()) if math.isfinite(value) else math.nan


def _taus(first: Any, rows: Doubles, pairs: Pairs | None) -> Doubles:
    """Tau-b between values [N] and each of the rows [R, N], as [R]; NaN if either order orders no pair."""
    values = np.asarray(first, np.float64)
    i, j = pairs_apart(values) if pairs is None else pairs
    a, b = _signs(values, i, j), _signs(rows, i, j)
    ordered = np.count_nonzero(a) * np.count_nonzero(b, axis=1)
    taus = np.full(len(rows), math.nan)
    np.divide(b @ a, np.sqrt(ordered), out=taus, where=ordered > 0)
    return taus


def _signs(values: Doubles, i: NDArray[np.intp], j: NDArray[np.intp]) -> Doubles:
    """1, 0 or -1 for each pair along the last axis: whether its first value is greater."""
    apart = values[..., i] - values[..., j]
    return np.where(np.abs(apart) <= TINY, 0.0, np.sign(apart))


def _alike(first: Any, second: Any) -> tuple[Doubles, Doubles]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise MetricError(f"two orders require one value per item, not shapes {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise MetricError("values that are not finite cannot be ordered")
    return a, b
