"""Effects over seeds, tested in one direction: t tests, equivalence, Holm's correction, power and the seeds for it.

All tests are one-sided, since a claim names its direction before the run: the ends of the interval at level 1 - 2 alpha
are the bounds that tests at level alpha reject.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reidbench.metrics.errors import MetricError
from reidbench.metrics.statistics import TINY, Doubles, Interval, student

MOST_SEEDS = 10_000  # a claim that needs more will never be decided
POWER = 0.8


@dataclass(frozen=True)
class Effect:
    """A mean of paired differences; `parts` are the independent contributions to its variance.

    Of each part: the variance of what one replicate (a seed, a pre-training) adds to the mean, and how many there are.
    An effect without parts has nothing that varies: its chance is not known.
    """

    value: float
    parts: tuple[tuple[float, int], ...] = ()

    @property
    def error(self) -> float:
        """Standard error of the mean; NaN where nothing varies."""
        return math.sqrt(sum(variance / n for variance, n in self.parts)) if self.parts else math.nan

    @property
    def freedom(self) -> float:
        """Degrees of freedom by Welch and Satterthwaite; n - 1 for one part. Where no part has a spread, the least."""
        shares = [(variance / n, n - 1) for variance, n in self.parts]
        whole = sum(share for share, _ in shares)
        if not whole:
            return float(min((n for _, n in shares), default=0))
        return whole**2 / sum(share**2 / n for share, n in shares)


def effect(groups: Sequence[Any], weights: Sequence[float]) -> Effect:
    """The weighted mean over independent groups of tasks, of paired differences [P, S] in each group.

    P pre-trainings by S seeds, crossed; `weights` add up to 1. Groups vary independently, and so their variances add
    up (seeds nested in tasks). Means over pre-trainings vary with the S seeds, means over seeds with the P
    pre-trainings, and both variances count: where the two interact, that is a little more than the variance of the
    mean, never less. A factor with one value adds no part. Raises MetricError for a value that is not finite.
    """
    if len(groups) != len(weights) or not groups:
        raise MetricError(f"an effect needs a weight for each group, not {len(groups)} groups, {len(weights)} weights")
    value = 0.0
    parts: list[tuple[float, int]] = []
    for given, weight in zip(groups, weights, strict=True):
        differences = np.asarray(given, np.float64)
        if differences.ndim != 2 or not differences.size or not np.isfinite(differences).all():
            raise MetricError("an effect needs finite differences [pre-trainings, seeds] of each group")
        value += weight * float(differences.mean())
        for means in (differences.mean(0), differences.mean(1)):
            parts += [(weight**2 * _variance(means), len(means))] if len(means) > 1 else []
    return Effect(value, tuple(parts))


def _variance(values: Doubles) -> float:
    """Sample variance; 0 where values differ by rounding alone."""
    return 0.0 if float(np.ptp(values)) <= TINY * max(1.0, float(np.abs(values).max())) else float(values.var(ddof=1))


def interval(found: Effect, alpha: float) -> Interval:
    """Student's t-interval at level 1 - 2 alpha: each of its ends is a one-sided test at level alpha.

    Without a spread it is the value alone, without parts it has no ends (NaN).
    """
    n = min((n for _, n in found.parts), default=1)
    half = student(1 - alpha, found.freedom) * found.error if found.parts else math.nan
    return Interval(found.value, found.value - half, found.value + half, n, 1 - 2 * alpha)


# ---------------------------------------------------------------------- tests
def above(found: Effect, bound: float) -> float:
    """p that the effect is above a bound, in a one-sided t test of "at most the bound"; NaN where nothing varies.

    Equal values in all seeds decide by themselves: 0 where they are above the bound, else 1.
    """
    if not found.parts:
        return math.nan
    gap = found.value - bound
    if not found.error:
        return float(gap <= TINY * max(1.0, abs(bound)))
    from scipy.special import stdtr

    return float(stdtr(found.freedom, -gap / found.error))


def below(found: Effect, bound: float) -> float:
    """p that the effect is below a bound, as `above`."""
    return above(Effect(-found.value, found.parts), -bound)


def inside(found: Effect, margin: float) -> float:
    """p that the effect is between -margin and margin, by two one-sided tests (Schuirmann 1987): the larger of both."""
    return max(above(found, -margin), below(found, margin))


def outside(found: Effect, margin: float) -> float:
    """p that the effect is below -margin or above margin: the smaller of two one-sided tests, times two."""
    return min(1.0, 2 * min(above(found, margin), below(found, -margin)))


def all_of(ps: Sequence[float]) -> float:
    """p that all of several hold (intersection-union test): the largest of theirs."""
    return max(ps)


def any_of(ps: Sequence[float]) -> float:
    """p that one or more of several hold: the smallest of theirs times their number (Bonferroni)."""
    return min(1.0, len(ps) * min(ps))


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values corrected by Holm's procedure (1979); NaN, for what was not tested, counts as 1 and stays NaN.

    Each that is at most alpha may be taken for true: the chance that any is wrongly so is at most alpha.
    """
    given = [1.0 if math.isnan(p) else p for p in ps]
    found, largest = [math.nan] * len(given), 0.0
    for rank, place in enumerate(sorted(range(len(given)), key=given.__getitem__)):
        largest = max(largest, min(1.0, (len(given) - rank) * given[place]))
        found[place] = math.nan if math.isnan(ps[place]) else largest
    return found


# ---------------------------------------------------------------------- power
def power(found: Effect, gap: float, alpha: float, seeds: int | None = None) -> float:
    """Chance that a one-sided test at level alpha sees an effect that is `gap` beyond its bound, by the spread found.

    By the noncentral t distribution; with the replicates that there are or, in each part, `seeds` of them. NaN where
    nothing varies.
    """
    parts = tuple((variance, seeds or n) for variance, n in found.parts)
    planned = Effect(gap, parts)
    if not parts:
        return math.nan
    if not planned.error:
        return float(gap > 0)
    from scipy.special import nctdtr

    freedom, away = planned.freedom, gap / planned.error
    return float(1 - nctdtr(freedom, away, student(1 - alpha, freedom)))


def power_inside(found: Effect, margin: float, alpha: float, seeds: int | None = None) -> float:
    """Chance, at least, that both tests of `inside` hold for rows whose true difference is 0."""
    return max(0.0, 2 * power(found, margin, alpha, seeds) - 1)


def seeds_needed(found: Effect, gap: float, alpha: float, *, both: bool = False, wanted: float = POWER) -> int | None:
    """The least number of seeds, 2 or more, with which `power` (with `both` `power_inside`) is as high as wanted.

    Where several pre-trainings stand behind the effect, it takes as many of them. None for more than MOST_SEEDS, for a
    gap of 0 and for an effect in which nothing varies.
    """
    if gap <= 0 or not found.parts:
        return None
    chance = power_inside if both else power
    low, high = 1, 2
    while chance(found, gap, alpha, high) < wanted:
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(found, gap, alpha, middle) >= wanted else (middle, high)
    return high
