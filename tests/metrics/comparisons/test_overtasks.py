"""Ranks over tasks against the worked example of Demsar (JMLR 7, 2006), by hand, and against other formulations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from reidbench.metrics.comparisons.overtasks import (
    borda,
    cliques,
    critical_difference,
    friedman,
    mean_rank,
    nemenyi,
    rank_intervals,
    task_ranks,
    win_rate,
)
from reidbench.metrics.errors import MetricError

# Table 6: AUC of C4.5 with m, with cf and with both, on 14 data sets. Two values that are printed as equal, but ranked
# apart there (voting), are written apart here.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.59, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.0, 1.0, 1.0, 1.0],
        [0.94, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.975, 0.9749],
        [0.957, 0.978, 0.946, 0.97],
    ]
).T


def test_the_published_mean_ranks_and_tests() -> None:
    ranks = task_ranks(DEMSAR)
    assert mean_rank(ranks) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    found = friedman(ranks)
    assert found.chi2 == pytest.approx(9.28, abs=5e-3)
    assert found.f == pytest.approx(3.69, abs=5e-3)
    assert 0.01 < found.p < 0.05  # the critical value of F(3, 39) is 2.85 at 5 %
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    assert critical_difference(4, 14, level=0.90) == pytest.approx(1.12, abs=5e-3)
    # "Nemenyi: not powerful enough": no pair at 5 %; at 10 % both with m differ from C4.5 (3.143 - 2.000 = 1.143).
    assert not nemenyi(ranks).any()
    apart = nemenyi(ranks, level=0.90)
    assert {(i, j) for i, j in zip(*np.nonzero(apart), strict=True) if i < j} == {(0, 1), (0, 3)}


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (10, 3.164)]
)
def test_the_published_critical_values(methods: int, q: float) -> None:
    """Demsar's Table 5 (a), Nemenyi at 5 %."""
    tasks = 20
    assert critical_difference(methods, tasks) == pytest.approx(
        q * (methods * (methods + 1) / 6 / tasks) ** 0.5, abs=5e-4
    )


def test_ranks_wins_and_points_by_hand() -> None:
    """Three methods on two tasks: a > b > c, then b = c > a."""
    ranks = task_ranks([[0.9, 0.1], [0.5, 0.4], [0.2, 0.4]])
    assert ranks.tolist() == [[1, 3], [2, 1.5], [3, 1.5]]
    assert mean_rank(ranks).tolist() == [2, 1.75, 2.25]
    assert borda(ranks).tolist() == [2 + 0, 1 + 1.5, 0 + 1.5]
    assert win_rate(ranks) == pytest.approx([2 / 4, 2.5 / 4, 1.5 / 4])


def test_by_counting_duels() -> None:
    """Borda and win rate count duels; ranks are those of scipy."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, size=(6, 9)).astype(float)
    ranks = task_ranks(values)
    assert (ranks == stats.rankdata(-values, axis=0)).all()
    points = [0.0] * 6
    for own, other in itertools.permutations(range(6), 2):
        for a, b in zip(values[own], values[other], strict=True):
            points[own] += 1.0 if a > b else 0.5 if a == b else 0.0
    assert borda(ranks) == pytest.approx(points)
    assert win_rate(ranks) == pytest.approx(np.array(points) / (9 * 5))
    distinct = rng.normal(size=(4, 9))  # scipy corrects for ties, Demsar does not
    assert friedman(task_ranks(distinct)).chi2 == pytest.approx(stats.friedmanchisquare(*distinct).statistic)


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [[], []], [[1.0, np.nan], [1.0, 2.0]], [1.0, 2.0]])
def test_missing_values_are_refused(values: list[float]) -> None:
    with pytest.raises(MetricError):
        task_ranks(values)


@pytest.mark.parametrize("test", [friedman, nemenyi])
def test_no_test_under_five_tasks(test: object) -> None:
    with pytest.raises(MetricError, match="5 tasks"):
        test(np.arange(12.0).reshape(3, 4))  # type: ignore[operator]


def test_cliques_by_hand() -> None:
    apart = np.zeros((4, 4), bool)
    apart[0, 2] = apart[2, 0] = apart[0, 3] = apart[3, 0] = True
    assert cliques([1.0, 1.5, 2.5, 3.0], apart) == [(0, 1), (1, 2, 3)]
    assert cliques([3.0, 1.5, 2.5, 1.0], np.zeros((4, 4), bool)) == [(3, 1, 2, 0)]
    assert cliques([1.0, 2.0], ~np.eye(2, dtype=bool)) == []


def test_cliques_by_trying_all_sets() -> None:
    """Methods share a clique if and only if they are not apart, also if a method between them is."""
    rng = np.random.default_rng(4)
    for share in (0.02, 0.1, 0.4, 0.8):
        for _ in range(15):
            apart = np.triu(rng.random((7, 7)) < share, 1)
            apart |= apart.T
            sets = [one for size in range(2, 8) for one in itertools.combinations(range(7), size)]
            alike = [one for one in sets if not apart[np.ix_(one, one)].any()]
            largest = [one for one in alike if not any(set(one) < set(other) for other in alike)]
            found = cliques(np.arange(7.0), apart)
            assert found == sorted(largest)
            together = {pair for one in found for pair in itertools.combinations(one, 2)}
            assert together == {pair for pair in itertools.combinations(range(7), 2) if not apart[pair]}


def test_cliques_of_a_difference_of_ranks_are_runs() -> None:
    means = np.sort(np.random.default_rng(1).uniform(1, 40, 40))
    apart = np.abs(means[:, None] - means) >= 7
    for clique in cliques(means, apart):
        assert clique == tuple(range(clique[0], clique[-1] + 1))


def test_ties_are_equal_to_rounding_only() -> None:
    values = [[0.1 + 0.2, 0.5], [0.3, 0.5 + 1e-9], [0.2, 0.1]]
    assert task_ranks(values).tolist() == [[1.5, 2], [1.5, 1], [3, 3]]


def test_the_published_mean_win_rate() -> None:
    """HELM (TMLR 2023): of each scenario the fraction of other models that a model beats, averaged over scenarios."""
    values = np.random.default_rng(2).normal(size=(5, 7))
    expected = [np.mean([np.mean(np.delete(column, m) < column[m]) for column in values.T]) for m in range(5)]
    assert win_rate(task_ranks(values)) == pytest.approx(expected)
    # The cases that HELM's own tests state: one and two scenarios, and ties, of which each wins half.
    assert win_rate(task_ranks([[1.0], [2], [3], [4], [5]])).tolist() == [0, 0.25, 0.5, 0.75, 1]
    two = [[1.0, 3], [2, 1], [3, 2], [4, 5], [5, 4]]
    assert win_rate(task_ranks(two)).tolist() == [0.25, 0.125, 0.375, 0.875, 0.875]
    assert win_rate(task_ranks([[1.0], [1], [1], [4], [5]])).tolist() == [0.25, 0.25, 0.25, 0.75, 1.0]


def test_the_published_borda_count() -> None:
    """Colombo et al. (NeurIPS 2022): each task gives a system as many points as its place from the last; sums rank."""
    values = np.random.default_rng(3).normal(size=(6, 8))
    points = [sum(sorted(column).index(column[m]) for column in values.T.tolist()) for m in range(6)]
    assert borda(task_ranks(values)) == pytest.approx(points)


# ---------------------------------------------------------------------- intervals
def answers(rng: np.random.Generator, shifts: list[float], seeds: int = 3, queries: int = 40) -> list[np.ndarray]:
    return [shift + rng.normal(size=(seeds, queries)) for shift in shifts]


def test_methods_far_apart_have_certain_ranks() -> None:
    rng = np.random.default_rng(1)
    found = rank_intervals([answers(rng, [0.0, 50.0, 100.0]) for _ in range(3)])
    assert [(i.value, i.low, i.high) for i in found.intervals] == [(3, 3, 3), (2, 2, 2), (1, 1, 1)]
    assert found.better.tolist() == [[False] * 3, [True, False, False], [True, True, False]]


def test_equal_methods_share_their_rank_and_are_not_apart() -> None:
    rng = np.random.default_rng(2)
    own = answers(rng, [0.0])[0]
    found = rank_intervals([[own, own.copy()], [own, own.copy()]])
    assert [(i.value, i.low, i.high) for i in found.intervals] == [(1.5, 1.5, 1.5)] * 2
    assert not found.better.any()


def test_the_chance_of_a_rank_by_enumeration() -> None:
    """Two queries, one seed, one task: of the four equally likely draws a wins one, loses one and ties in two."""
    a, b = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    draws = list(itertools.product(range(2), repeat=2))
    expected = [1 + 0.5 * (1 + np.sign(b[0, list(d)].mean() - a[0, list(d)].mean())) for d in draws]
    assert sorted(expected) == [1.0, 1.5, 1.5, 2.0]
    found = rank_intervals([[a, b]], level=0.95, samples=4000)
    assert (found.intervals[0].low, found.intervals[0].value, found.intervals[0].high) == (1.0, 1.5, 2.0)
    half = rank_intervals([[a, b]], level=0.4, samples=4000)  # ends at 30 % and 70 %: within the ties
    assert (half.intervals[0].low, half.intervals[0].high) == (1.5, 1.5)


def test_seeds_are_drawn_too() -> None:
    """A method that wins with one seed of two, on every query equally: another seed may well lose."""
    a = np.stack([np.full(30, 1.0), np.full(30, -0.5)])
    b = np.zeros((2, 30))
    found = rank_intervals([[a, b]], samples=4000)
    assert (found.intervals[0].value, found.intervals[0].low, found.intervals[0].high) == (1.0, 1.0, 2.0)
    assert not found.better.any()


def test_of_queries_that_do_not_vary_it_is_the_paired_t_test_over_seeds() -> None:
    """By hand: differences 1, 2, 6 have the mean 3 and the sd sqrt(7), so that t = 3 / sqrt(7 / 3) = 1.964 over 2."""
    base = np.array([10.0, 30.0, 20.0])  # the seeds differ more than the methods: only the pairs show it
    own = base + np.array([1.0, 2.0, 6.0])
    chance = float(stats.ttest_rel(own, base, alternative="greater").pvalue)
    assert chance == pytest.approx(stats.t.sf(3 / (7 / 3) ** 0.5, 2))
    answers = [[own[:, None].repeat(5, 1), base[:, None].repeat(5, 1)]]
    for chances, better in ((chance + 0.02, True), (chance - 0.02, False)):
        found = rank_intervals(answers, level=1 - 2 * chances, samples=6000)
        assert found.better.tolist() == [[False, better], [False, False]]
    one_seed = [[one[:1] for one in answers[0]]]
    assert rank_intervals(one_seed).better[0, 1]  # nothing varies: a caller must know that one seed says little


def test_against_a_naive_bootstrap_with_the_same_draws() -> None:
    """Sums in plain loops and ranks of scipy; queries of one target and deviations of the same seeds are the same."""
    rng, samples = np.random.default_rng(5), 300
    seeds = [[(0, 1, 2), (0, 1, 2), (7, 8)], [(0, 1, 2), (0, 1), (7, 8)], [(0, 1, 2), (0, 1, 2), (None,)]]
    answers = [[rng.normal(size=(len(own), 9)) for own in named] for named in seeds]
    found = rank_intervals(answers, ["x", "y", "x"], seeds, level=0.8, samples=samples, seed=3)
    drawn = {name: np.random.default_rng([3, place]).integers(9, size=(samples, 9), dtype=np.int32)
             for place, name in ((1, "x"), (2, "y"))}  # fmt: skip
    stream, deviations = np.random.default_rng([3, 0]), {}
    for named in [(0, 1, 2), (7, 8), (0, 1)]:
        normal = stream.normal(size=(len(named), samples))
        deviations[named] = normal, stream.chisquare(len(named) - 1, samples)
    ranks = np.zeros((samples, 3))
    for sample in range(samples):
        for task, target in enumerate("xyx"):
            means = []
            for named, own in zip(seeds[task], answers[task], strict=True):
                of_seeds = [sum(row[query] for query in drawn[target][sample]) / 9 for row in own]
                mean = sum(of_seeds) / len(named)
                if len(named) > 1:
                    normal, chi2 = (one[..., sample] for one in deviations[named])
                    freedom = len(named) - 1
                    away = sum(z * (value - mean) for z, value in zip(normal, of_seeds, strict=True))
                    mean += away / (len(named) * freedom) ** 0.5 / (chi2 / freedom) ** 0.5
                means.append(mean)
            ranks[sample] += stats.rankdata(-np.array(means)) / 3
    for method, interval in enumerate(found.intervals):
        low, high = np.quantile(ranks[:, method], [0.1, 0.9])
        assert (interval.low, interval.high) == pytest.approx((min(low, interval.value), max(high, interval.value)))
        for other in range(3):
            loses = np.mean(ranks[:, method] - ranks[:, other] > -1e-9)
            assert found.better[method, other] == (loses <= 0.1)


def test_over_queries_it_is_the_percentile_bootstrap_of_scipy() -> None:
    """Efron's percentile interval of a mean rank, paired over queries, of two tasks on the same images."""
    rng = np.random.default_rng(11)
    hard, shifts = rng.normal(size=25), ([[0.3], [0.0], [-0.2]], [[0.1], [0.2], [0.0]])
    tasks = [hard + shift + 0.6 * rng.normal(size=(3, 25)) for shift in shifts]
    found = rank_intervals([[one[None] for one in task] for task in tasks], ["same", "same"]).intervals
    for method, ends in ((1, (1.0, 2.5)), (2, (1.5, 3.0))):  # ends that no other draws would move

        def rank_of(*values: np.ndarray, method: int = method) -> float:
            means = [one.mean() for one in values]
            return float(np.mean([stats.rankdata(np.negative(means[k : k + 3]))[method] for k in (0, 3)]))

        expected = stats.bootstrap(
            [*tasks[0], *tasks[1]],
            rank_of,
            n_resamples=2000,
            vectorized=False,
            paired=True,
            method="percentile",
            random_state=np.random.default_rng(1),
        ).confidence_interval
        assert (found[method].low, found[method].high) == (expected.low, expected.high) == ends


@pytest.mark.parametrize("shared", [True, False], ids=["one network for all tasks", "a network a task"])
def test_equal_methods_are_seldom_set_apart(shared: bool) -> None:
    """Two methods whose networks differ only by their three seeds: at most about 5 % of all boards find a difference.

    Drawing seeds with replacement finds a difference in a third of them if networks are shared, per task even more.
    """
    rng, apart, covered, boards = np.random.default_rng(6), 0, 0, 200
    for _ in range(boards):
        networks = rng.normal(size=(2, 3, 1))
        tasks = [networks if shared else rng.normal(size=(2, 3, 1)) for _ in range(4)]
        found = rank_intervals([own + rng.normal(size=(2, 3, 12)) / 5 for own in tasks], samples=300)
        apart += found.better.any()
        covered += 1.5 in found.intervals[0]
    assert apart <= 0.1 * boards
    assert covered >= 0.9 * boards


def test_an_interval_contains_the_mean_rank() -> None:
    """The luckiest of ten equal methods has a rank that few draws repeat."""
    rng = np.random.default_rng(8)
    found = rank_intervals([rng.normal(size=(10, 1, 30)) for _ in range(6)])
    assert all(interval.value in interval for interval in found.intervals)


def test_invalid_queries_do_not_count_and_must_agree() -> None:
    rng = np.random.default_rng(3)
    first, second = answers(rng, [0.0, 0.3], queries=20)
    gaps = [np.concatenate([one, np.full((3, 5), np.nan)], axis=1) for one in (first, second)]
    assert rank_intervals([gaps]).intervals == rank_intervals([[first, second]]).intervals
    with pytest.raises(MetricError, match="valid queries"):
        rank_intervals([[first, gaps[1][:, :20] * np.where(np.arange(20) == 3, np.nan, 1)]])
    with pytest.raises(MetricError, match="same queries"):
        rank_intervals([[first, gaps[1]]])
    with pytest.raises(MetricError, match="at least two"):
        rank_intervals([[first], [second]])
    with pytest.raises(MetricError, match="require at least one task"):
        rank_intervals([])
    with pytest.raises(MetricError, match="infinity"):
        rank_intervals([[first, np.where(second > 1, np.inf, second)]])


@pytest.mark.parametrize("pretrainings", [1, 3])
@pytest.mark.parametrize("axis", ["seeds", "pre-trainings"])
def test_a_spread_over_seeds_or_pretrainings_does_not_vanish_over_the_other(axis: str, pretrainings: int) -> None:
    """Differences .06, -.01 and -.02 on one axis, the same along the other: t = .01 / (.0436 / sqrt(3)), tied."""
    ahead = np.array([0.06, -0.01, -0.02])
    shifts = np.tile(ahead, (pretrainings, 1)) if axis == "seeds" else np.repeat(ahead[:, None], pretrainings, axis=1)
    named = [(p, s) for p in range(shifts.shape[0]) for s in range(shifts.shape[1])]
    other = np.full((len(named), 20), 0.5)
    found = rank_intervals([[other + shifts.reshape(-1, 1), other]], seeds=[[named, named]])
    assert not found.better.any()
    clear = rank_intervals([[other + 0.2 + shifts.reshape(-1, 1), other]], seeds=[[named, named]])
    assert clear.better.tolist() == [[False, True], [False, False]]
