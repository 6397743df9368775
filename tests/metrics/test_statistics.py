"""Intervals against scipy and against numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.metrics import (
    MetricError,
    beyond_noise,
    bootstrap,
    over_seeds,
    paired_bootstrap,
    paired_seeds,
    tied_with_best,
    welch,
)


def test_t_interval_by_hand() -> None:
    """Mean 0.5, standard deviation 0.1, t(0.975, 2) = 4.302653: half a width of 4.302653 * 0.1 / sqrt(3)."""
    found = over_seeds([0.4, 0.5, 0.6])
    assert found.value == pytest.approx(0.5)
    assert found.high - found.value == pytest.approx(0.248414, abs=1e-6)
    assert found.value - found.low == pytest.approx(0.248414, abs=1e-6)
    assert found.n == 3
    assert 0.7 in found
    assert 0.75 not in found


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=9), st.sampled_from([0.8, 0.95, 0.99]))
def test_t_interval_against_scipy(values: list[float], level: float) -> None:
    found = over_seeds(values, level)
    expected = scipy.stats.ttest_1samp(values, 0.0) if np.std(values) > 1e-9 else None
    if expected is not None:
        interval = expected.confidence_interval(level)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_an_interval_is_cut_at_the_bounds() -> None:
    found = over_seeds([0.0, 10.0], bounds=(0.0, 7.0))  # t(.975, 1) = 12.7: -58.5 to 68.5
    assert (found.value, found.low, found.high) == (5.0, 0.0, 7.0)
    assert np.isnan(over_seeds([0.4], bounds=(0.0, 1.0)).low)


def test_cut_intervals_cover_the_truth_as_often() -> None:
    rng = np.random.default_rng(0)
    samples = rng.beta(8, 1, (400, 3))  # their mean is 8 / 9
    covered = [(8 / 9 in over_seeds(row), 8 / 9 in over_seeds(row, bounds=(0.0, 1.0))) for row in samples]
    assert all(free == cut for free, cut in covered)


def test_beyond_noise_is_the_paired_bootstrap_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(300)
    rows = np.stack([hard + gain + 0.1 * rng.normal(size=300) for gain in (0.0, 0.01, 0.05)])
    rows[:, 5] = np.nan
    found = beyond_noise(rows)
    for i, j in np.ndindex(3, 3):
        assert found[i, j] == (paired_bootstrap(rows[i], rows[j]).low > 0), (i, j)
    assert found[2, 0]
    assert not found[1, 0]
    assert not beyond_noise([hard, hard]).any()  # no rounding makes one of two equals better
    assert not beyond_noise([[0.9], [0.1]]).any()  # one query is not a sample
    assert beyond_noise([[0.9, 0.8], [0.1, 0.2]]).tolist() == [[False, True], [False, False]]


def test_one_seed_has_no_interval() -> None:
    found = over_seeds([0.4])
    assert found.value == 0.4
    assert np.isnan(found.low)
    assert 0.4 not in found
    assert paired_seeds([0.4], [0.1]).within_noise


def test_bootstrap_against_scipy() -> None:
    values = np.random.default_rng(0).beta(2, 1, 400)
    found = bootstrap(values, samples=20_000)
    expected = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-3)
    assert found.value == values.mean()


def test_bootstrap_of_two_queries_by_hand() -> None:
    """Means are 0, 1/2 and 1 with chances 1/4, 1/2, 1/4: the middle half is within 0..1, the rest at its ends."""
    found = bootstrap([0.0, 1.0], level=0.9, samples=2_000)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    narrow = bootstrap([0.0, 1.0], level=0.4, samples=2_000)
    assert (narrow.low, narrow.high) == (0.5, 0.5)


def test_bootstrap_leaves_invalid_queries_out_and_repeats() -> None:
    values = np.array([0.2, np.nan, 0.6, 0.8, np.nan, 0.1])
    found = bootstrap(values)
    assert found == bootstrap(values[~np.isnan(values)])
    assert found.n == 4
    assert bootstrap(values, samples=9) != bootstrap(values, samples=9, seed=1)


def test_bootstrap_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered = [0.5 in bootstrap(rng.random(150), samples=400, seed=i) for i in range(300)]
    assert 0.9 < np.mean(covered) < 0.99


def test_paired_difference_sees_what_two_intervals_hide() -> None:
    """Queries differ far more than the methods do; the pairs do not."""
    rng = np.random.default_rng(0)
    hard = rng.random(500)
    first, second = hard + 0.012 + 0.01 * rng.normal(size=500), hard + 0.01 * rng.normal(size=500)
    found = paired_bootstrap(first, second)
    assert found.value == pytest.approx((first - second).mean())
    assert not found.within_noise
    assert found.share == 1.0
    assert bootstrap(first).low < bootstrap(second).high
    back = paired_bootstrap(second, first)
    assert (back.low, back.high, back.share) == pytest.approx((-found.high, -found.low, 0.0))


def test_paired_difference_against_scipy_and_over_seeds() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((3, 300)), rng.random((3, 300))
    first[:, 7] = second[:, 7] = np.nan
    found = paired_bootstrap(first, second, samples=20_000)
    differences = np.delete((first - second).mean(0), 7)
    expected = scipy.stats.bootstrap(
        (differences,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    )
    interval = expected.confidence_interval
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-3)
    assert found.share == pytest.approx(np.mean(expected.bootstrap_distribution > 0), abs=0.02)
    assert found.n == 299


def test_equal_methods_share_the_samples() -> None:
    found = paired_bootstrap(np.ones(9), np.ones(9))
    assert (found.value, found.low, found.high, found.share) == (0, 0, 0, 0.5)
    assert found.within_noise


def test_paired_seeds_against_scipy() -> None:
    first, second = [0.52, 0.55, 0.50, 0.58], [0.50, 0.52, 0.49, 0.53]
    found = paired_seeds(first, second)
    expected = scipy.stats.ttest_rel(first, second).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.within_noise == (not expected.low > 0)
    assert found.share == 1.0


def test_welch_against_scipy() -> None:
    first, second = [0.52, 0.55, 0.50, 0.58], [0.50, 0.42, 0.49]
    found = welch(first, second)
    expected = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert welch([0.5, 0.5], [0.4, 0.4]).low == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[0.9, 0.91, 0.92], [0.2, 0.21, 0.22]], [True, False]),
        ([[0.5, 0.6, 0.4], [0.9, 0.4, 0.6], [0.1, 0.1, 0.1]], [True, True, True]),
        ([[0.9], [0.2]], [True, True]),
        ([[0.9, 0.91, 0.92], [0.2, 0.21], []], [True, False, False]),
        ([[], []], [False, False]),
        ([], []),
    ],
)
def test_ties_within_noise(rows: Any, expected: list[bool]) -> None:
    assert tied_with_best(rows) == expected


def test_as_dict() -> None:
    assert set(over_seeds([1, 2]).as_dict()) == {"value", "low", "high", "n", "level"}
    assert set(paired_seeds([1, 2], [2, 1]).as_dict()) == {"value", "low", "high", "n", "level", "share"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap([np.nan]), "no valid query"),
        (lambda: bootstrap([np.inf]), "infinity"),
        (lambda: bootstrap([[1.0]]), "one dimension"),
        (lambda: bootstrap([1.0], level=1.0), "level=1.0"),
        (lambda: bootstrap([1.0], samples=0), "at least one sample"),
        (lambda: over_seeds([]), "one value per seed"),
        (lambda: over_seeds([1, np.nan]), "one finite value"),
        (lambda: tied_with_best([[1, 2], [np.nan, 1]]), "a row must have one finite value"),
        (lambda: welch([1, np.inf], [1, 2]), "first must have one finite value"),
        (lambda: welch([1, 2], []), "values on both sides"),
        (lambda: beyond_noise([[1, 2, 3], [1, np.inf, 3]]), "infinity"),
        (lambda: paired_seeds([1, 2], [1]), "same seeds, not 2 and 1"),
        (lambda: paired_bootstrap([1, 2], [1]), "the same seeds and queries"),
        (lambda: paired_bootstrap([1, np.nan], [1, 2]), "same valid queries"),
        (lambda: beyond_noise([[1, np.nan], [1, 2]]), "same valid queries"),
        (lambda: beyond_noise([[np.nan], [np.nan]]), "no valid query"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        call()


def test_one_query_has_no_interval() -> None:
    """Neither of its draws differs from it, which says nothing about other queries."""
    for found in (bootstrap([0.5, np.nan]), paired_bootstrap([0.5, np.nan], [0.2, np.nan])):
        assert found.n == 1
        assert math.isnan(found.low)
        assert math.isnan(found.high)
    assert paired_bootstrap([0.5], [0.2]).within_noise


def test_a_difference_by_rounding_is_noise() -> None:
    assert tied_with_best([[0.1 + 0.2] * 3, [0.3] * 3]) == [True, True]
