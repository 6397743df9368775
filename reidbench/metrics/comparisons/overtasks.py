"""Compare methods over several tasks by their ranks: mean rank, win rate, Borda count, and significance.

Every method must have a value on every task: remove methods that lack one, by name; nothing is imputed. With average
ranks for ties the three summaries give the same order (Borda = tasks x (methods - mean rank), win rate = Borda / (tasks
x (methods - 1))); they differ in their scale.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.statistics import SAMPLES, TINY, Doubles, Interval, drawn_counts

FEWEST_TASKS = 5  # with fewer, no rank test can be significant, for any values


def task_ranks(values: Any) -> Doubles:
    """Ranks [M, T] of methods on each task, 1 for the best, from values [M, T]; more is better.

    Equal values (to 1e-12) share the mean of their ranks. Raises MetricError for fewer than two methods, no task, or a
    value that is not finite.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) < 2 or not values.shape[1]:
        raise MetricError(f"ranks require at least two methods and one task, not values of shape {values.shape}")
    if not np.isfinite(values).all():
        raise MetricError("ranks require a value of every method on every task")
    return _ranks(values)


def _ranks(values: Doubles) -> Doubles:
    """Ranks along the first axis [M, N]; values that are adjacent in order and equal to 1e-12 share a rank."""
    order = np.argsort(-values, axis=0, kind="stable")
    falls = -np.diff(np.take_along_axis(values, order, axis=0), axis=0) > TINY
    places = np.arange(len(values))[:, None]
    edge = np.ones((1, values.shape[1]), bool)
    first = np.maximum.accumulate(np.where(np.concatenate([edge, falls]), places, 0))
    last = np.minimum.accumulate(np.where(np.concatenate([falls, edge]), places, len(values))[::-1])[::-1]
    ranks = np.empty_like(values)
    np.put_along_axis(ranks, order, 1 + (first + last) / 2, axis=0)
    return ranks


def mean_rank(ranks: Any) -> Doubles:
    """Mean rank [M] over tasks, of ranks [M, T]; 1 is the best (Friedman 1937; Demsar, JMLR 7, 2006)."""
    found: Doubles = np.asarray(ranks, np.float64).mean(1)
    return found


def win_rate(ranks: Any) -> Doubles:
    """Share [M] of the other methods that a method beats, averaged over tasks; ties count half (HELM, TMLR 2023)."""
    ranks = np.asarray(ranks, np.float64)
    return (len(ranks) - mean_rank(ranks)) / (len(ranks) - 1)


def borda(ranks: Any) -> Doubles:
    """Borda count [M]: one point for each other method beaten on each task, half a point for a tie."""
    ranks = np.asarray(ranks, np.float64)
    found: Doubles = (len(ranks) - ranks).sum(1)
    return found


# ---------------------------------------------------------------------- other queries and seeds
@dataclass(frozen=True)
class RankIntervals:
    """Intervals of mean ranks by method, and whether the rank of i is better than that of j beyond noise [M, M]."""

    intervals: tuple[Interval, ...]
    better: NDArray[np.bool_]


def rank_intervals(
    answers: Iterable[Sequence[Any]],
    targets: Sequence[Hashable] = (),
    seeds: Sequence[Sequence[Sequence[Hashable]]] = (),
    level: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> RankIntervals:
    """Intervals of mean ranks over other queries and seeds: draws both, then ranks the methods of each task.

    `answers` has for each task the results [S, Q] of its methods by seed and query; more is better, and NaN marks
    invalid queries, the same for all methods of a task. `targets` names the query set of each task, `seeds` the seeds
    of each task's methods; by default each task has separate queries, and seeds are numbered. A seed may be a pair
    (pre-training, seed), with every seed for every pre-training.

    Queries are drawn with replacement (percentile bootstrap), with the same draw for all methods of a task and all
    tasks of one target. There are too few seeds for that: with three, two equal methods would differ significantly in
    one of four cases, and the more often, the more tasks one network is tested on. Instead the mean over seeds is drawn
    from Student's t distribution with the deviations of the seeds, with the same draw for the same seeds of all methods
    and tasks. On one task whose queries do not vary, a method is then better if and only if the paired t-test over
    seeds says so. Means over pre-trainings vary with the seeds and means over seeds with the pre-trainings, as in
    `effects.effect`: both deviations are drawn. A single seed does not vary, so the interval covers no other seeds.

    An interval contains the mean rank itself. `n` of the intervals is the number of tasks, which are not drawn: the
    intervals cover other queries and seeds, not other tasks. Raises MetricError for answers of other shapes.
    """
    draws = _Draws(samples, seed)
    observed: list[list[float]] = []
    drawn = np.zeros((0, 0), np.int32)
    for number, given in enumerate(answers):
        methods = [np.atleast_2d(np.asarray(one, np.float64)) for one in given]
        named = seeds[number] if seeds else [range(len(one)) for one in methods]
        if len(methods) < 2 or (observed and len(methods) != len(drawn)):
            raise MetricError("ranks over tasks require the same methods, at least two, on each task")
        valid = _valid(methods)
        observed.append([float(one[:, valid].mean()) for one in methods])
        means = draws.means(methods, valid, targets[number] if targets else number, list(map(tuple, named)))
        ranks = np.rint(2 * _ranks(means)).astype(np.int32)  # whole numbers, whose sums compare exactly
        drawn = drawn + ranks if drawn.size else ranks
    if not observed:
        raise MetricError("ranks over tasks require at least one task")
    half = (1 - level) / 2
    ends = np.quantile(drawn / (2 * len(observed)), [half, 1 - half], axis=1)
    means = mean_rank(task_ranks(np.array(observed).T))
    intervals = tuple(
        Interval(float(mean), min(float(low), float(mean)), max(float(high), float(mean)), len(observed), level)
        for mean, low, high in zip(means, *ends, strict=True)
    )
    not_better = np.stack([(own >= drawn).mean(1) for own in drawn])
    return RankIntervals(intervals, not_better <= half)


def _valid(methods: Sequence[Doubles]) -> NDArray[np.bool_]:
    """Valid queries [Q]. Raises MetricError if methods do not have the same ones, or none."""
    if len({one.shape[1] for one in methods}) > 1:
        raise MetricError("ranks over tasks require the same queries for all methods of a task")
    invalid = np.isnan(methods[0][0])
    if any((np.isnan(one) != invalid).any() for one in methods):
        raise MetricError("ranks over tasks require the same valid queries for all methods of a task")
    if invalid.all():
        raise MetricError("there is no valid query to draw from")
    if any(np.isinf(one).any() for one in methods):
        raise MetricError("the values of the queries contain infinity")
    found: NDArray[np.bool_] = ~invalid
    return found


class _Draws:
    """Random draws, the same for the same target and for the same seeds."""

    def __init__(self, samples: int, seed: int) -> None:
        self.samples, self.seed = samples, seed
        self.targets: dict[Hashable, int] = {}
        self.seeds: dict[tuple[Hashable, ...], Doubles] = {}
        self.rng = np.random.default_rng([seed, 0])

    def means(
        self,
        methods: Sequence[Doubles],
        valid: NDArray[np.bool_],
        target: Hashable,
        seeds: Sequence[tuple[Hashable, ...]],
    ) -> Doubles:
        """Means [M, samples] of one task's methods over drawn queries and seeds."""
        weights = [self.weights(named) for named in seeds]
        rows = [np.ascontiguousarray(one[:, valid]) for one in methods]
        found, n = np.empty((len(rows), self.samples)), int(valid.sum())
        place = self.targets.setdefault((target, valid.tobytes()), len(self.targets) + 1)
        for start, counts in drawn_counts(n, self.samples, [self.seed, place]):
            part, shares = slice(start, start + len(counts)), counts.T / n
            for own, row, weight in zip(found, rows, weights, strict=True):
                own[part] = ((row @ shares) * weight[:, part]).sum(0)
        return found

    def weights(self, named: tuple[Hashable, ...]) -> Doubles:
        """Weights [S, samples] of results: weighted sums are their mean plus a deviation by Student's t distribution.

        Results by pre-training and seed have a deviation of the means over each.
        """
        pairs = [name if isinstance(name, tuple) and len(name) == 2 else (None, name) for name in named]
        found = np.full((len(named), self.samples), 1 / len(named))
        for axis in (0, 1):
            values = tuple(dict.fromkeys(pair[axis] for pair in pairs))
            if len(values) > 1:
                places = [values.index(pair[axis]) for pair in pairs]
                found += self.deviations((axis, *values))[places] * (len(values) / len(named))
        return found

    def deviations(self, named: tuple[Hashable, ...]) -> Doubles:
        """Deviations [S, samples] of seeds, or of pre-trainings, with the same draw for the same names."""
        if named not in self.seeds:
            count = len(named) - 1
            normal = self.rng.normal(size=(count, self.samples))
            spread = np.sqrt(self.rng.chisquare(count - 1, self.samples) / (count - 1))
            self.seeds[named] = (normal - normal.mean(0)) / spread / np.sqrt(count * (count - 1))
        return self.seeds[named]


# ---------------------------------------------------------------------- critical difference
@dataclass(frozen=True)
class Friedman:
    """Friedman's test that all methods have equal ranks: chi-square, Iman and Davenport's F and its p-value."""

    chi2: float
    f: float
    p: float


def friedman(ranks: Any) -> Friedman:
    """Test ranks [M, T] (Demsar 2006, section 3.2.2), without a correction for ties, which make it conservative.

    Raises MetricError for fewer than five tasks.
    """
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
    """Whether two mean ranks differ by the critical difference, [M, M]. Raises MetricError below five tasks."""
    ranks = _enough(ranks)
    means = mean_rank(ranks)
    found: NDArray[np.bool_] = np.abs(means[:, None] - means) >= critical_difference(len(ranks), ranks.shape[1], level)
    return found


def cliques(means: Any, apart: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Largest sets of two or more methods without a significant difference, each and all in order of mean rank [M].

    These are the maximal cliques of the graph `~apart` (Bron and Kerbosch 1973, with a pivot), so that exactly the
    methods that are not `apart` [M, M] share a set. If a difference of mean ranks decides, as in Nemenyi's test, they
    are runs of methods.
    """
    order = np.argsort(np.asarray(means), kind="stable")
    alike = ~apart[np.ix_(order, order)]
    near = [{other for other in np.flatnonzero(row).tolist() if other != place} for place, row in enumerate(alike)]
    found: list[list[int]] = []
    waiting: list[tuple[list[int], set[int], set[int]]] = [([], set(range(len(order))), set())]
    while waiting:
        chosen, left, done = waiting.pop()
        if not left and not done and len(chosen) > 1:
            found.append(sorted(chosen))
        if not left:
            continue
        pivot = max(left | done, key=lambda one: len(near[one] & left))
        for place in sorted(left - near[pivot]):
            waiting.append(([*chosen, place], left & near[place], done & near[place]))
            left, done = left - {place}, done | {place}
    return [tuple(order[places].tolist()) for places in sorted(found)]


def _enough(table: Any) -> Doubles:
    """Values or ranks [M, T]. Raises MetricError if there are too few tasks for a test."""
    found: Doubles = np.asarray(table, np.float64)
    if found.ndim != 2 or len(found) < 2 or found.shape[1] < FEWEST_TASKS:
        raise MetricError(
            f"a test of ranks requires two methods and {FEWEST_TASKS} tasks or more, not a table of shape {found.shape}"
        )
    return found
