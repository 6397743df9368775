"""Effects over seeds: t tests, equivalence, Holm's correction and power, against hand calculation and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reidbench.metrics import MetricError
from reidbench.metrics.comparisons.effects import (
    MOST_SEEDS,
    Effect,
    above,
    all_of,
    any_of,
    below,
    effect,
    holm,
    inside,
    interval,
    outside,
    power,
    power_inside,
    seeds_needed,
)

ONE_TO_FIVE = effect([[[1.0, 2.0, 3.0, 4.0, 5.0]]], [1.0])


def share_below(t: float, freedom: int) -> float:
    """Student's t distribution in closed form, for 2 and 4 degrees of freedom."""
    if freedom == 2:
        return 0.5 + t / (2 * math.sqrt(2 + t * t))
    whole = 1 + t * t / 4
    return 0.5 + 0.375 * t / math.sqrt(whole) * (1 - t * t / whole / 12)


# ---------------------------------------------------------------------- effects
def test_seeds_of_one_task_are_a_paired_t_test() -> None:
    """Mean 3, sd sqrt(2.5), t = 3 / sqrt(2.5 / 5) = 4.2426 with 4 degrees of freedom; the 95 % quantile is 2.131847."""
    assert ONE_TO_FIVE.value == 3
    assert ONE_TO_FIVE.error == pytest.approx(math.sqrt(0.5))
    assert ONE_TO_FIVE.freedom == pytest.approx(4)
    assert above(ONE_TO_FIVE, 0) == pytest.approx(1 - share_below(3 / math.sqrt(0.5), 4))
    assert above(ONE_TO_FIVE, 0) == pytest.approx(0.0066178, abs=1e-7)
    assert above(ONE_TO_FIVE, 2) == pytest.approx(1 - share_below(1 / math.sqrt(0.5), 4))
    assert below(ONE_TO_FIVE, 2) == pytest.approx(1 - above(ONE_TO_FIVE, 2))
    found = interval(ONE_TO_FIVE, 0.05)
    assert (found.low, found.high) == pytest.approx((3 - 2.131847 * math.sqrt(0.5), 3 + 2.131847 * math.sqrt(0.5)))
    assert (found.n, found.level) == (5, pytest.approx(0.9))


def test_the_ends_of_an_interval_are_its_tests() -> None:
    found = interval(ONE_TO_FIVE, 0.05)
    assert above(ONE_TO_FIVE, found.low) == pytest.approx(0.05)
    assert below(ONE_TO_FIVE, found.high) == pytest.approx(0.05)


def test_tasks_that_vary_independently_add_their_variances() -> None:
    """Variances 1 and 3 of three seeds: 1/4 1/3 + 1/4 3/3 = 1/3; Satterthwaite (1/3)^2 / (1/144/2 + 1/16/2) = 3.2."""
    found = effect([[[1.0, 2.0, 3.0]], [[2.0, 2.0, 5.0]]], [0.5, 0.5])
    assert found.value == 2.5
    assert found.error == pytest.approx(math.sqrt(1 / 3))
    assert found.freedom == pytest.approx(3.2)


def test_a_task_on_which_nothing_varies_adds_no_variance() -> None:
    found = effect([[[1.0, 2.0, 3.0]], [[7.0]]], [0.5, 0.5])
    assert found.value == 4.5
    assert found.parts == ((pytest.approx(0.25), 3),)
    assert found.freedom == pytest.approx(2)


def test_seeds_and_pre_trainings_both_count() -> None:
    """Means over pre-trainings 1.5 and 4.5 (variance 4.5 / 2), over seeds 2 and 4 (2 / 2)."""
    found = effect([[[1.0, 3.0], [2.0, 6.0]]], [1.0])
    assert found.value == 3
    assert found.error**2 == pytest.approx(2.25 + 1)
    alone = effect([[[1.0], [2.0], [6.0]]], [1.0])  # three pre-trainings of one seed
    assert alone.error**2 == pytest.approx(7 / 3)


def test_the_variance_of_crossed_seeds_is_never_too_small() -> None:
    """Variance of the mean with 3 pre-trainings (4), 4 seeds (1) and their interaction (0.6): 4/3 + 1/4 + 0.6/12."""
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(4000):
        drawn = 2 * rng.normal(size=(3, 1)) + rng.normal(size=(1, 4)) + math.sqrt(0.6) * rng.normal(size=(3, 4))
        squares.append(effect([drawn], [1.0]).error ** 2)
    true = 4 / 3 + 1 / 4 + 0.05
    assert true < np.mean(squares) < true + 0.15


@pytest.mark.parametrize(
    ("groups", "weights"), [([], []), ([[[1.0]]], []), ([[1.0, 2.0]], [1.0]), ([[[]]], [1.0]), ([[[math.nan]]], [1.0])]
)
def test_what_is_no_difference_is_refused(groups: list[object], weights: list[float]) -> None:
    with pytest.raises(MetricError, match="an effect requires"):
        effect(groups, weights)


# ---------------------------------------------------------------------- exact cases
def test_equal_values_have_the_p_of_a_sign_test() -> None:
    """Three seeds on one side of a bound happen by chance in one of eight runs."""
    same = effect([[[0.3, 0.1 + 0.2, 0.3]]], [1.0])
    assert same.error == 0
    assert (above(same, 0.2), above(same, 0.3), above(same, 0.4)) == (1 / 8, 1, 1)
    assert (below(same, 0.2), below(same, 0.3), below(same, 0.4)) == (1, 1, 1 / 8)
    assert (inside(same, 0.4), inside(same, 0.3), inside(same, 0.2)) == (1 / 8, 1, 1)
    assert (outside(same, 0.2), outside(same, 0.4)) == (1 / 4, 1)
    two = effect([[[0.3, 0.3, 0.3]], [[0.5] * 5]], [0.5, 0.5])  # tasks of three and of five seeds: the fewest count
    assert above(two, 0) == 1 / 8
    found = interval(same, 0.05)
    assert (found.low, found.high) == (found.value, found.value)
    assert (power(same, 0.1, 0.05), power(same, 0.1, 0.05, 5), power(same, 0.0, 0.05, 5)) == (0, 1, 0)
    assert seeds_needed(same, 0.1, 0.05) == 5  # 1 / 32


def test_nothing_is_known_where_nothing_varies() -> None:
    alone = effect([[[0.3]]], [1.0])
    assert all(math.isnan(p) for p in (above(alone, 0), below(alone, 0), alone.error, power(alone, 1, 0.05)))
    assert math.isnan(interval(alone, 0.05).low)
    assert seeds_needed(alone, 1, 0.05) is None


# ---------------------------------------------------------------------- several tests
def test_equivalence_by_two_one_sided_tests() -> None:
    """Differences 0, 1, 2: mean 1, error 1 / sqrt(3); against 3 t = 2 sqrt(3), against -3 t = 4 sqrt(3), 2 degrees."""
    found = effect([[[0.0, 1.0, 2.0]]], [1.0])
    nearer, farther = (1 - share_below(t * math.sqrt(3), 2) for t in (2, 4))
    assert inside(found, 3) == pytest.approx(nearer)
    assert nearer == pytest.approx(0.0370900, abs=1e-7)
    assert farther < nearer
    assert inside(effect([[[0.0, -1.0, -2.0]]], [1.0]), 3) == pytest.approx(nearer)
    assert outside(found, 0.5) == pytest.approx(2 * (1 - share_below(0.5 * math.sqrt(3), 2)))
    assert outside(found, 3) == 1


def test_holm_by_hand() -> None:
    """Sorted 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, none below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_holm_counts_what_was_not_tested() -> None:
    first, second = holm([math.nan, 0.02])
    assert math.isnan(first)
    assert second == pytest.approx(0.04)


def test_all_and_any_of_several() -> None:
    assert all_of([0.01, 0.2]) == 0.2
    assert any_of([0.01, 0.2]) == pytest.approx(0.02)
    assert any_of([0.8, 0.9]) == 1


# ---------------------------------------------------------------------- power
def test_seeds_that_a_t_test_needs_are_those_of_the_tables() -> None:
    """One sample, one-sided: half a standard deviation at 5 % and power 0.8 takes 27, at 2.5 % 34; a whole one 8."""
    unit = Effect(0.0, ((1.0, 10),))
    assert seeds_needed(unit, 0.5, 0.05) == 27
    assert seeds_needed(unit, 0.5, 0.025) == 34
    assert seeds_needed(unit, 1.0, 0.05) == 8


def test_seeds_needed_are_the_least() -> None:
    several = effect([[[1.0, 2.0, 4.0]], [[0.0, 2.0, 5.0]]], [0.5, 0.5])
    for gap in (0.2, 0.7, 3.0):
        needed = seeds_needed(several, gap, 0.01)
        assert needed is not None
        assert power(several, gap, 0.01, needed) >= 0.8 > power(several, gap, 0.01, needed - 1)


def test_power_by_simulation() -> None:
    """Two tasks of five seeds, deviations 1 and 2, a true effect of 1.5: how often the test sees it at 5 %."""
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(4000):
        drawn = [1.5 + deviation * rng.normal(size=(1, 5)) for deviation in (1.0, 2.0)]
        seen += above(effect(drawn, [0.5, 0.5]), 0) <= 0.05
    planned = Effect(0.0, ((0.25, 5), (1.0, 5)))
    assert seen / 4000 == pytest.approx(power(planned, 1.5, 0.05), abs=0.025)


def test_power_of_equivalence_by_simulation() -> None:
    """Eight seeds, deviation 1, no true difference, margin 1.2; the chance is at least what is said."""
    rng = np.random.default_rng(2)
    shown = sum(inside(effect([rng.normal(size=(1, 8))], [1.0]), 1.2) <= 0.05 for _ in range(4000)) / 4000
    said = power_inside(Effect(0.0, ((1.0, 8),)), 1.2, 0.05)
    assert said - 0.025 < shown < said + 0.06


def test_no_number_of_seeds_sees_what_is_not_there() -> None:
    unit = Effect(0.0, ((1.0, 5),))
    assert seeds_needed(unit, 0.0, 0.05) is None
    assert seeds_needed(unit, -1.0, 0.05) is None
    assert seeds_needed(unit, 1e-6, 0.05) is None
    assert MOST_SEEDS == 10_000
