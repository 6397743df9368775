"""Compare methods over several tasks by their ranks: mean rank, win rate, Borda count, and what sets two apart.

All methods must have a value on every task: leave out, by name, those that lack one; nothing is imputed. With
average ranks for ties the three summaries order methods alike (Borda = tasks x (methods - mean rank), win rate = Borda
/ (tasks x (methods - 1))); they differ in how they read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MetricError
from .statistics import SAMPLES, TINY, Doubles, Interval

FEWEST_TASKS = 5  # below it no rank test can be significant, whatever the values
Answers = Sequence[Sequence[Any]]  # task -> method -> results of each seed and query [S, Q]


def task_ranks(values: Any) -> Doubles:
    """Ranks [M, T] of methods on each task, 1 for the best, by values [M, T] of which more is better.

    Equal values (to 1e-12) share the mean of their ranks. Raises MetricError for fewer than two methods, no task, or a
    value that is not finite.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) < 2 or not values.shape[1]:
        raise MetricError(f"ranks need two methods and a task at least, not values of shape {values.shape}")
    if not np.isfinite(values).all():
        raise MetricError("ranks need a value of every method on every task")
    return _ranks(values)


def _ranks(values: Doubles) -> Doubles:
    """Ranks along the first axis: 1 + methods that are better + half of the others that are equal."""
    ranks = np.empty_like(values)
    for number, own in enumerate(values):
        better = (values - own > TINY).sum(0)
        ranks[number] = 1 + better + ((np.abs(values - own) <= TINY).sum(0) - 1) / 2
    return ranks


def mean_rank(ranks: Any) -> Doubles:
    """Mean rank [M] over tasks, of ranks [M, T]; 1 is the best (Friedman 1937; Demsar, JMLR 7, 2006)."""
    found: Doubles = np.asarray(ranks, np.float64).mean(1)
    return found


def win_rate(ranks: Any) -> Doubles:
    """Share [M] of the other methods that one beats, mean over tasks, ties half (mean win rate: HELM, TMLR 2023)."""
    ranks = np.asarray(ranks, np.float64)
    return (len(ranks) - mean_rank(ranks)) / (len(ranks) - 1)


def borda(ranks: Any) -> Doubles:
    """Borda count [M]: a point for each other method that one beats on each task, half a point for a tie."""
    ranks = np.asarray(ranks, np.float64)
    found: Doubles = (len(ranks) - ranks).sum(1)
    return found


# ---------------------------------------------------------------------- other queries and seeds
@dataclass(frozen=True)
class RankIntervals:
    """Intervals of mean ranks by method, and [M, M] whether the rank of i is better than that of j beyond noise."""

    intervals: tuple[Interval, ...]
    better: NDArray[np.bool_]


def rank_intervals(answers: Answers, level: float = 0.95, samples: int = SAMPLES, seed: int = 0) -> RankIntervals:
    """Percentile bootstrap of mean ranks: on each task queries and seeds are drawn again, then all methods ranked.

    `answers[t][m]` are the results [S, Q] of method m on task t by seed and query, more being better; NaN marks invalid
    queries, the same for all methods of a task. A draw takes the same queries for all methods of a task, and the same
    places of seeds for those with equally many. `n` of the intervals is the number of tasks, which are not drawn:
    they speak of other queries and seeds, not of other tasks. Raises MetricError for answers of other shapes.
    """
    rng = np.random.default_rng(seed)
    tasks = [[np.atleast_2d(np.asarray(one, np.float64)) for one in methods] for methods in answers]
    if not tasks or len({len(methods) for methods in tasks}) > 1 or len(tasks[0]) < 2:
        raise MetricError("ranks over tasks need the same two methods or more on each task")
    observed = np.array([[one[:, _valid(methods)].mean() for one in methods] for methods in tasks]).T
    drawn = np.mean([_ranks(_drawn_means(methods, samples, rng)) for methods in tasks], axis=0)  # [M, samples]
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=1)
    means = mean_rank(task_ranks(observed))
    intervals = tuple(
        Interval(float(mean), float(low), float(high), len(tasks), level)
        for mean, low, high in zip(means, *ends, strict=True)
    )
    worse = np.stack([(own - drawn >= -TINY).mean(1) for own in drawn])  # how often i is not better than j
    return RankIntervals(intervals, worse <= (1 - level) / 2)


def _valid(methods: Sequence[Doubles]) -> NDArray[np.bool_]:
    """The queries [Q] that count. Raises MetricError where methods do not have the same ones, or none."""
    if len({one.shape[1] for one in methods}) > 1:
        raise MetricError("ranks over tasks need the same queries for all methods of a task")
    invalid = np.isnan(methods[0][0])
    if any((np.isnan(one) != invalid).any() for one in methods):
        raise MetricError("ranks over tasks need the same valid queries for all methods of a task")
    if invalid.all():
        raise MetricError("there is no valid query to draw from")
    found: NDArray[np.bool_] = ~invalid
    return found


def _drawn_means(methods: Sequence[Doubles], samples: int, rng: np.random.Generator) -> Doubles:
    """Means [M, samples] of one task's methods over drawn queries and seeds."""
    valid = _valid(methods)
    queries = _shares(int(valid.sum()), samples, rng)
    of_seeds = {seeds: _shares(seeds, samples, rng) for seeds in sorted({len(one) for one in methods})}
    return np.stack([((one[:, valid] @ queries.T) * of_seeds[len(one)].T).sum(0) for one in methods])


def _shares(n: int, samples: int, rng: np.random.Generator) -> Doubles:
    """Which share [samples, n] each of n things has in a draw of n with replacement."""
    return rng.multinomial(n, np.full(n, 1 / n), size=samples) / n


# ---------------------------------------------------------------------- critical difference
@dataclass(frozen=True)
class Friedman:
    """Friedman's test that all methods rank alike: chi-square, Iman and Davenport's F and its p-value."""

    chi2: float
    f: float
    p: float


def friedman(ranks: Any) -> Friedman:
    """The test of ranks [M, T] (Demsar 2006, section 3.2.2). Raises MetricError under five tasks."""
    from scipy.special import fdtrc

    ranks = _enough(ranks)
    methods, tasks = ranks.shape
    means = mean_rank(ranks)
    chi2 = 12 * tasks / (methods * (methods + 1)) * (float((means**2).sum()) - methods * (methods + 1) ** 2 / 4)
    left = tasks * (methods - 1) - chi2
    if left <= TINY:  # the same order on every task
        return Friedman(chi2, float("inf"), 0.0)
    f = (tasks - 1) * chi2 / left
    return Friedman(chi2, f, float(fdtrc(methods - 1, (methods - 1) * (tasks - 1), f)))


def critical_difference(methods: int, tasks: int, level: float = 0.95) -> float:
    """Nemenyi's critical difference of mean ranks: q sqrt(M (M + 1) / 6 T) (Demsar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(level, methods, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * tasks)))


def nemenyi(ranks: Any, level: float = 0.95) -> NDArray[np.bool_]:
    """[M, M]: whether two mean ranks differ by the critical difference. Raises MetricError under five tasks."""
    ranks = _enough(ranks)
    means = mean_rank(ranks)
    found: NDArray[np.bool_] = np.abs(means[:, None] - means) >= critical_difference(len(ranks), ranks.shape[1], level)
    return found


def holm(values: Any, level: float = 0.95) -> NDArray[np.bool_]:
    """[M, M]: whether two methods' values [M, T] differ by Wilcoxon's signed-rank test, paired over tasks.

    All pairs are tested, and their p-values corrected by Holm's step-down procedure (Demsar 2006, section 3.1.3;
    Benavoli et al., JMLR 17, 2016). Raises MetricError under five tasks.
    """
    values = np.asarray(values, np.float64)
    _enough(values)
    pairs = [(i, j) for i in range(len(values)) for j in range(i)]
    p = np.array([_wilcoxon(values[i] - values[j]) for i, j in pairs])
    found = np.zeros((len(values), len(values)), dtype=bool)
    for place, number in enumerate(np.argsort(p, kind="stable")):
        if p[number] > (1 - level) / (len(p) - place):
            break  # nor is any with a greater p
        i, j = pairs[number]
        found[i, j] = found[j, i] = True
    return found


def _wilcoxon(differences: Doubles) -> float:
    from scipy.stats import wilcoxon

    differences = np.where(np.abs(differences) <= TINY, 0, differences)
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def cliques(means: Any, apart: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """The longest runs of methods, by mean rank, of which no two are apart: the bars of a diagram."""
    order = np.argsort(np.asarray(means), kind="stable").tolist()
    found: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not apart[np.ix_(order[start : end + 1], order[start : end + 1])].any():
            end += 1
        if end > max(reached, start + 1):
            found.append(tuple(order[start:end]))
            reached = end
    return found


def _enough(table: Any) -> Doubles:
    """Values or ranks [M, T] of enough tasks for a test."""
    found: Doubles = np.asarray(table, np.float64)
    if found.ndim != 2 or len(found) < 2 or found.shape[1] < FEWEST_TASKS:
        raise MetricError(
            f"a test of ranks needs two methods and {FEWEST_TASKS} tasks at least, not a table of shape {found.shape}"
        )
    return found
