"""Effects over seeds, tested in one direction: t tests, equivalence, Holm's correction, power and required seeds.

All tests are one-sided, since a claim states its direction before the run: the ends of the interval at level 1 - 2
alpha are the bounds that tests at level alpha reject.
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
    """Mean of paired differences; `parts` are the independent contributions to its variance.

    Each part is the variance that one replicate (a seed, a pre-training) adds to the mean, and the number of
    replicates. An effect without parts has no variation, so its significance is unknown.
    """

    value: float
    parts: tuple[tuple[float, int], ...] = ()

    @property
    def error(self) -> float:
        """Standard error of the mean; NaN if there are no parts."""
        return math.sqrt(sum(variance / n for variance, n in self.parts)) if self.parts else math.nan

    @property
    def freedom(self) -> float:
        """Degrees of freedom by Welch and Satterthwaite; n - 1 for one part. If no part varies, the smallest n - 1."""
        shares = [(variance / n, n - 1) for variance, n in self.parts]
        whole = sum(share for share, _ in shares)
        if not whole:
            return float(min((n for _, n in shares), default=0))
        return whole**2 / sum(share**2 / n for share, n in shares)


def effect(groups: Sequence[Any], weights: Sequence[float]) -> Effect:
    """Weighted mean over independent groups of tasks, of paired differences [P, S] in each group.

    P pre-trainings by S seeds, crossed; `weights` add up to 1. Groups vary independently, so their variances add up
    (seeds nested in tasks). Means over pre-trainings vary with the S seeds, means over seeds with the P pre-trainings,
    and both variances count: what seeds do within pre-trainings counts in both, so the sum is up to twice the variance
    of the mean, never less. A factor with one value adds no part. Raises MetricError for a value that is not finite,
    and for unequal numbers of groups and weights.
    """
    if len(groups) != len(weights) or not groups:
        raise MetricError(f"an effect requires one weight per group, not {len(groups)} groups, {len(weights)} weights")
    value = 0.0
    parts: list[tuple[float, int]] = []
    for given, weight in zip(groups, weights, strict=True):
        differences = np.asarray(given, np.float64)
        if differences.ndim != 2 or not differences.size or not np.isfinite(differences).all():
            raise MetricError("an effect requires finite differences [pre-trainings, seeds] for each group")
        value += weight * float(differences.mean())
        for means in (differences.mean(0), differences.mean(1)):
            parts += [(weight**2 * _variance(means), len(means))] if len(means) > 1 else []
    return Effect(value, tuple(parts))


def _variance(values: Doubles) -> float:
    """Sample variance; 0 if the values differ only by rounding."""
    return 0.0 if float(np.ptp(values)) <= TINY * max(1.0, float(np.abs(values).max())) else float(values.var(ddof=1))


def interval(found: Effect, alpha: float) -> Interval:
    """Student's t-interval at level 1 - 2 alpha: each of its ends is a one-sided test at level alpha.

    Without variation it is the value alone; without parts it has no ends (NaN).
    """
    n = min((n for _, n in found.parts), default=1)
    half = student(1 - alpha, found.freedom) * found.error if found.parts else math.nan
    return Interval(found.value, found.value - half, found.value + half, n, 1 - 2 * alpha)


# ---------------------------------------------------------------------- tests
def above(found: Effect, bound: float) -> float:
    """p-value that the effect is above a bound: one-sided t test of "at most the bound"; NaN if there are no parts.

    Equal values in all n seeds have no spread to test with. If they are above the bound, p is that of the sign test,
    2**-n for the part with the fewest seeds; otherwise it is 1.
    """
    if not found.parts:
        return math.nan
    gap = found.value - bound
    if not found.error:
        return _sign_test(found) if gap > TINY * max(1.0, abs(bound)) else 1.0
    from scipy.special import stdtr

    return float(stdtr(found.freedom, -gap / found.error))


def _sign_test(found: Effect) -> float:
    """p-value if all seeds are on one side of the bound: few seeds with rounded values often agree by chance."""
    return float(0.5 ** min(n for _, n in found.parts))


def below(found: Effect, bound: float) -> float:
    """p-value that the effect is below a bound, as `above`."""
    return above(Effect(-found.value, found.parts), -bound)


def inside(found: Effect, margin: float) -> float:
    """p-value that the effect is between -margin and margin: the larger of two one-sided tests (Schuirmann 1987)."""
    return max(above(found, -margin), below(found, margin))


def outside(found: Effect, margin: float) -> float:
    """p-value that the effect is below -margin or above margin: twice the smaller of two one-sided tests."""
    return min(1.0, 2 * min(above(found, margin), below(found, -margin)))


def all_of(ps: Sequence[float]) -> float:
    """p-value that all of several hypotheses hold (intersection-union test): the largest one."""
    return max(ps)


def any_of(ps: Sequence[float]) -> float:
    """p-value that at least one of several hypotheses holds (Bonferroni): the smallest one times their number."""
    return min(1.0, len(ps) * min(ps))


def holm(ps: Sequence[float]) -> list[float]:
    """p-values corrected by Holm's procedure (1979). NaN marks an untested hypothesis: it counts as 1 and stays NaN.

    Accepting every hypothesis with a corrected p-value of at most alpha makes any false acceptance with a probability
    of at most alpha.
    """
    given = [1.0 if math.isnan(p) else p for p in ps]
    found, largest = [math.nan] * len(given), 0.0
    for rank, place in enumerate(sorted(range(len(given)), key=given.__getitem__)):
        largest = max(largest, min(1.0, (len(given) - rank) * given[place]))
        found[place] = math.nan if math.isnan(ps[place]) else largest
    return found


# ---------------------------------------------------------------------- power
def power(found: Effect, gap: float, alpha: float, seeds: int | None = None) -> float:
    """Power of a one-sided test at level alpha for an effect `gap` beyond its bound, with the observed variance.

    Uses the noncentral t distribution, with the existing replicates or `seeds` replicates in each part. NaN
    without parts.
    """
    parts = tuple((variance, seeds or n) for variance, n in found.parts)
    planned = Effect(gap, parts)
    if not parts:
        return math.nan
    if not planned.error:
        return float(gap > 0 and _sign_test(planned) <= alpha)
    from scipy.special import nctdtr

    freedom, away = planned.freedom, gap / planned.error
    return float(1 - nctdtr(freedom, away, student(1 - alpha, freedom)))


def power_inside(found: Effect, margin: float, alpha: float, seeds: int | None = None) -> float:
    """Lower bound of the power of both tests of `inside`, for rows whose true difference is 0."""
    return max(0.0, 2 * power(found, margin, alpha, seeds) - 1)


def seeds_needed(found: Effect, gap: float, alpha: float, *, both: bool = False, wanted: float = POWER) -> int | None:
    """Smallest number of seeds, at least 2, for which `power` (or `power_inside`, with `both`) reaches `wanted`.

    An effect over several pre-trainings needs as many of them. None if more than MOST_SEEDS are needed, for a gap of 0
    and for an effect without parts.
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
