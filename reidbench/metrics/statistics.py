"""Uncertainty of results: bootstrap over queries, t-intervals over seeds, and paired differences of two methods.

The percentile bootstrap is implemented here: `scipy.stats.bootstrap` takes as long and gives the same intervals except
for the last binary digit, on which printed tables depend, but neither shares of samples nor many rows over the same
draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MetricError

Doubles = NDArray[np.float64]

UNBOUNDED = (-np.inf, np.inf)
TINY = 1e-12  # largest difference due to rounding
SAMPLES = 2_000  # the ends of an interval then repeat to a twentieth of its width
_DRAWN_AT_ONCE = 1 << 20  # indices; more do not fit the cache


@dataclass(frozen=True)
class Interval:
    """Estimate with its confidence interval from `n` queries or seeds; low and high are NaN if n is too small."""

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def as_dict(self) -> dict[str, float | int]:
        """JSON values by name."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "level": self.level}


@dataclass(frozen=True)
class Difference(Interval):
    """Mean of first - second over common queries or seeds; `share` of the bootstrap samples favour the first.

    Ties count half.
    """

    share: float = float("nan")

    @property
    def within_noise(self) -> bool:
        """Whether the interval contains 0, up to rounding, or does not exist; a table shows such rows as tied."""
        return not (self.low > TINY or self.high < -TINY)

    def as_dict(self) -> dict[str, float | int]:
        """JSON values by name."""
        return super().as_dict() | {"share": self.share}


def bootstrap(values: Any, level: float = 0.95, samples: int = SAMPLES, seed: int = 0) -> Interval:
    """Percentile bootstrap of the mean over queries [Q]; NaN marks queries without a true match, which do not count.

    Efron's percentile interval: resamples the queries with replacement, `samples` times. To count invalid queries as
    zero, pass zeros for them. One query has a value but no interval. Raises MetricError if no query counts.
    """
    values = _finite(_vector("values", values))
    low, high = _percentiles(_resampled_means(values, samples, seed), level)
    return Interval(float(values.mean()), *_several(low, high, len(values)), len(values), level)


def over_seeds(values: Any, level: float = 0.95, bounds: tuple[float, float] = UNBOUNDED) -> Interval:
    """Student's t-interval of the mean over seeds [S], clipped to `bounds`; one seed has a value but no interval.

    `bounds` are the smallest and largest possible means. Clipping removes only impossible values, so the coverage does
    not change. Raises MetricError for values that are not finite.
    """
    values = _finite_vector("values", values)
    if not len(values):
        raise MetricError("a mean over seeds requires one value per seed, and there is none")
    half = _half_width(values, _checked(level))
    mean = float(values.mean())
    return Interval(mean, *within(mean - half, mean + half, bounds), len(values), level)


def within(low: float, high: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Clip an interval to `bounds`; NaN ends stay NaN."""
    return float(np.clip(low, *bounds)), float(np.clip(high, *bounds))


def paired_bootstrap(first: Any, second: Any, level: float = 0.95, samples: int = SAMPLES, seed: int = 0) -> Difference:
    """Paired bootstrap of first - second over the same queries: per-query results [Q], or [S, Q] with the same seeds.

    Averages over seeds for each query, then resamples queries: the interval covers other queries, not other seeds (see
    `paired_seeds`). A query without a true match is NaN in both. One query has a difference but no interval. Raises
    MetricError for other shapes or valid queries.
    """
    first, second = (np.atleast_2d(np.asarray(x, np.float64)) for x in (first, second))
    if first.shape != second.shape:
        raise MetricError(
            f"a paired comparison requires the same seeds and queries, not {first.shape} and {second.shape}"
        )
    invalid = np.isnan(first)
    if (invalid != np.isnan(second)).any() or (invalid != invalid[0]).any():
        raise MetricError("a paired comparison requires the same valid queries on both sides")
    differences = _finite((first - second)[:, ~invalid[0]].mean(0))
    means = _resampled_means(differences, samples, seed)
    low, high = _several(*_percentiles(means, level), len(differences))
    return Difference(float(differences.mean()), low, high, len(differences), level, _share(means))


def paired_seeds(first: Any, second: Any, level: float = 0.95, samples: int = SAMPLES, seed: int = 0) -> Difference:
    """t-interval of first - second over the same seeds [S]; `share` from a bootstrap over the seeds.

    One seed has a difference but no interval, so it is within noise. Raises MetricError for unequal lengths.
    """
    first, second = _vector("first", first), _vector("second", second)
    if first.shape != second.shape:
        raise MetricError(f"a paired comparison requires the same seeds, not {len(first)} and {len(second)} seeds")
    interval = over_seeds(first - second, level)
    share = _share(_resampled_means(first - second, samples, seed))
    return Difference(interval.value, interval.low, interval.high, interval.n, level, share)


def beyond_noise(rows: Any, level: float = 0.95, samples: int = SAMPLES, seed: int = 0) -> NDArray[np.bool_]:
    """Whether row i is better than row j beyond noise [M, M], from per-query results [M, Q]; more is better.

    The bootstrap of `paired_bootstrap` for all pairs at once, over the same drawn queries: i is better if its mean is
    greater in all but at most (1 - level) / 2 of the samples. NaN marks invalid queries, the same in all rows. Raises
    MetricError otherwise.
    """
    rows = np.atleast_2d(np.asarray(rows, np.float64))
    invalid = np.isnan(rows)
    if (invalid != invalid[0]).any():
        raise MetricError("a paired comparison requires the same valid queries in all rows")
    valid = rows[:, ~invalid[0]]
    found = np.zeros((len(rows), len(rows)), dtype=bool)
    if len(_finite(valid.sum(0))) < 2:
        return found  # one query says nothing about others
    means = _means_of_all(valid, samples, seed)
    for i, own in enumerate(means):
        found[i] = (own - means <= TINY).mean(1) <= (1 - _checked(level)) / 2
    return found


def _means_of_all(rows: Doubles, samples: int, seed: int) -> Doubles:
    """Means [M, samples] of rows [M, Q] over the same drawn queries, as products with the draw counts."""
    n, means = rows.shape[1], np.empty((len(rows), samples))
    for start, counts in drawn_counts(n, samples, seed):
        means[:, start : start + len(counts)] = rows @ counts.T / n
    return means


def drawn_counts(n: int, samples: int, seed: int | Sequence[int]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (start, counts [part, n]): how often each of n items is drawn, of n with replacement, from `start` on."""
    rng, step = np.random.default_rng(seed), max(1, _DRAWN_AT_ONCE // n)
    for start in range(0, samples, step):
        drawn = rng.integers(n, size=(min(step, samples - start), n), dtype=np.int32)
        yield start, np.stack([np.bincount(places, minlength=n) for places in drawn])


def tied_with_best(rows: Sequence[Any], level: float = 0.95) -> list[bool]:
    """For each row of a table (values over the same seeds [S]): whether the best row is not better beyond noise.

    The best row is tied with itself. Rows of one seed cannot be distinguished, and rows with a different number of
    seeds than the best are compared by Welch's t-interval. Rows without a value are not tied. Raises MetricError for
    values that are not finite.
    """
    values = [_finite_vector("a row", row) for row in rows]
    means = [float(row.mean()) if len(row) else -np.inf for row in values]
    if not values or max(means) == -np.inf:
        return [False] * len(values)
    best = values[int(np.argmax(means))]
    return [bool(len(row)) and (row is best or _within_noise(best, row, level)) for row in values]


def _within_noise(best: Doubles, row: Doubles, level: float) -> bool:
    if len(best) == len(row):
        return paired_seeds(best, row, level, samples=1).within_noise
    return welch(best, row, level).within_noise


def welch(first: Any, second: Any, level: float = 0.95) -> Difference:
    """Welch's t-interval of the difference of two means over unpaired seeds [S], [T]; no `share`.

    Raises MetricError for no values, and for values that are not finite.
    """
    first, second = _finite_vector("first", first), _finite_vector("second", second)
    if not len(first) or not len(second):
        raise MetricError("a difference of two means requires values on both sides")
    difference = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2:
        return Difference(difference, float("nan"), float("nan"), min(len(first), len(second)), level)
    a, b = first.var(ddof=1) / len(first), second.var(ddof=1) / len(second)
    freedom = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1)) if a + b > 0 else 1.0
    half = student((1 + _checked(level)) / 2, freedom) * float(np.sqrt(a + b))
    return Difference(difference, difference - half, difference + half, min(len(first), len(second)), level)


def _half_width(values: Doubles, level: float) -> float:
    if len(values) < 2:
        return float("nan")
    return float(student((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


@cache
def student(share: float, freedom: float) -> float:
    """Quantile of Student's t distribution with `share` of it below."""
    from scipy.special import stdtrit  # used by scipy.stats.t.ppf; importing scipy.stats takes half a second

    return float(stdtrit(freedom, share))


def _resampled_means(values: Doubles, samples: int, seed: int) -> Doubles:
    """Means [samples] of values drawn with replacement; the same seed and length give the same draw."""
    if samples < 1:
        raise MetricError(f"a bootstrap requires at least one sample, not {samples}")
    rng, n = np.random.default_rng(seed), len(values)
    means, step = np.empty(samples), max(1, _DRAWN_AT_ONCE // len(values))
    for start in range(0, samples, step):
        part = means[start : start + step]
        part[:] = values[rng.integers(n, size=(len(part), n), dtype=np.int32)].mean(1)
    return means


def _percentiles(means: Doubles, level: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - _checked(level)) / 2, (1 + level) / 2])
    return float(low), float(high)


def _several(low: float, high: float, count: int) -> tuple[float, float]:
    """The ends of an interval over some queries; NaN for one query, which says nothing about others."""
    return (low, high) if count > 1 else (float("nan"), float("nan"))


def _share(means: Doubles) -> float:
    return float(np.mean(means > 0) + np.mean(means == 0) / 2)


def _vector(name: str, given: Any) -> Doubles:
    values: Doubles = np.asarray(given, np.float64)
    if values.ndim != 1:
        raise MetricError(f"{name} must have one dimension, not shape {values.shape}")
    return values


def _finite_vector(name: str, given: Any) -> Doubles:
    values = _vector(name, given)
    if not np.isfinite(values).all():
        raise MetricError(f"{name} must have one finite value per seed, not {values.tolist()}")
    return values


def _finite(values: Doubles) -> Doubles:
    values = values[~np.isnan(values)]
    if not len(values):
        raise MetricError("there is no valid query to draw from")
    if not np.isfinite(values).all():
        raise MetricError("the values of the queries contain infinity")
    return values


def _checked(level: float) -> float:
    if not 0 < level < 1:
        raise MetricError(f"level={level} must be between 0 and 1")
    return level
