"""Ranks over tasks against the worked example of Demsar (JMLR 7, 2006), by hand, and against other formulations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from reidbench.metrics.errors import MetricError
from reidbench.metrics.overtasks import (
    borda,
    cliques,
    critical_difference,
    friedman,
    holm,
    mean_rank,
    nemenyi,
    rank_intervals,
    task_ranks,
    win_rate,
)

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


@pytest.mark.parametrize("test", [friedman, nemenyi, holm])
def test_no_test_under_five_tasks(test: object) -> None:
    with pytest.raises(MetricError, match="5 tasks"):
        test(np.arange(12.0).reshape(3, 4))  # type: ignore[operator]


def test_holm_by_hand() -> None:
    """On 8 tasks a beats b and c everywhere: p = 2 / 2^8 each; b and c differ in no order."""
    b = np.arange(8.0)
    c = b + np.array([1, -1, 2, -2, 3, -3, 4, -4]) / 100
    values = np.stack([b + 10 + np.arange(8) / 7, b, c])
    apart = holm(values)
    assert 2 / 2**8 < 0.05 / 3
    assert apart.tolist() == [[False, True, True], [True, False, False], [True, False, False]]
    assert not holm(values, level=1 - 2 / 2**8).any()  # no pair reaches a third of that


def test_cliques_are_the_longest_runs() -> None:
    apart = np.zeros((4, 4), bool)
    apart[0, 2] = apart[2, 0] = apart[0, 3] = apart[3, 0] = True
    assert cliques([1.0, 1.5, 2.5, 3.0], apart) == [(0, 1), (1, 2, 3)]
    assert cliques([3.0, 1.5, 2.5, 1.0], np.zeros((4, 4), bool)) == [(3, 1, 2, 0)]
    assert cliques([1.0, 2.0], ~np.eye(2, dtype=bool)) == []


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
    """A method that wins by one seed of two, by every query alike: a draw of the other seed alone loses."""
    a = np.stack([np.full(30, 1.0), np.full(30, -0.5)])
    b = np.zeros((2, 30))
    found = rank_intervals([[a, b]], samples=4000)
    assert (found.intervals[0].value, found.intervals[0].low, found.intervals[0].high) == (1.0, 1.0, 2.0)
    assert not found.better.any()


def test_invalid_queries_do_not_count_and_must_agree() -> None:
    rng = np.random.default_rng(3)
    first, second = answers(rng, [0.0, 0.3], queries=20)
    gaps = [np.concatenate([one, np.full((3, 5), np.nan)], axis=1) for one in (first, second)]
    assert rank_intervals([gaps]).intervals == rank_intervals([[first, second]]).intervals
    with pytest.raises(MetricError, match="valid queries"):
        rank_intervals([[first, gaps[1][:, :20] * np.where(np.arange(20) == 3, np.nan, 1)]])
    with pytest.raises(MetricError, match="same queries"):
        rank_intervals([[first, gaps[1]]])
    with pytest.raises(MetricError, match="two methods"):
        rank_intervals([[first], [second]])
