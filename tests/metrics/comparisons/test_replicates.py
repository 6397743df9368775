"""Results by pre-training and seed: which are paired, which are left out, and intervals over both, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reidbench.metrics.comparisons.replicates import Replicate, common, grids, spread

Values = dict[Replicate, float]


def crossed(*rows: list[float], first: int = 0) -> Values:
    """Values by pre-training and seed; NaN is a missing result."""
    return {
        (pretrain, seed): value
        for pretrain, row in enumerate(rows, first)
        for seed, value in enumerate(row)
        if not math.isnan(value)
    }


def test_a_row_without_a_pretraining_has_its_value_for_each_of_the_other() -> None:
    one, other, fixed = grids(crossed([1, 2], [3, 4]), {(None, 0): 5, (None, 1): 6}, {(None, None): 7})
    assert (one.pretrainings, one.seeds) == ((0, 1), (0, 1))
    assert one.values.tolist() == [[1, 2], [3, 4]]
    assert other.values.tolist() == [[5, 6], [5, 6]]
    assert fixed.values.tolist() == [[7, 7], [7, 7]]


def test_the_interval_covers_seeds_and_pretrainings() -> None:
    """Means of pre-trainings 0, 3, 6 (variance 9), of seeds 2, 3, 4 (variance 1): error^2 = 9/3 + 1/3.

    Welch and Satterthwaite: (10/3)^2 / (3^2/2 + (1/3)^2/2) = 2.44 degrees of freedom; t(2.44, .975) = 3.63 (between
    t(2) = 4.303 and t(3) = 3.182).
    """
    mean, sd, ci95 = spread(crossed([-1, 0, 1], [2, 3, 4], [5, 6, 7]))
    assert mean == pytest.approx(3)
    assert sd == pytest.approx(math.sqrt((16 + 9 + 4 + 1 + 0 + 1 + 4 + 9 + 16) / 8))
    assert ci95 is not None
    half = (ci95[1] - ci95[0]) / 2
    assert 3.182 * math.sqrt(10 / 3) < half < 4.303 * math.sqrt(10 / 3)
    assert (ci95[0] + ci95[1]) / 2 == pytest.approx(3)


def test_one_axis_alone_is_a_t_interval() -> None:
    """t(2, .975) = 4.303, times 1 / sqrt(3)."""
    for values in (
        crossed([1, 2, 3]),
        crossed([1], [2], [3]),
        {(pretrain, None): pretrain + 1.0 for pretrain in (0, 1, 2)},
    ):
        mean, sd, ci95 = spread(values)
        assert (mean, sd) == pytest.approx((2, 1))
        assert ci95 == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert spread(crossed([1, 2, 3]), (0, 3))[2] == pytest.approx((0, 3))


def test_a_missing_result_of_several_pretrainings_leaves_no_interval() -> None:
    mean, sd, ci95 = spread(crossed([1, 2], [3, math.nan]))
    assert (mean, sd, ci95) == (2, 1, None)


def test_only_common_results_are_paired() -> None:
    found = common(crossed([1, 2], [3, 4]), crossed([0, 1], [math.nan, math.nan]))
    assert found is not None
    assert found.values.tolist() == [[[1, 2]], [[0, 1]]]
    assert (found.without, found.unpaired) == (("pre-training 1",), 2)
    # One result of nine is missing: leaving out its pre-training keeps as many as leaving out its seed.
    holed = common(crossed([1, 2, 3], [4, 5, 6], [7, 8, 9]), crossed([1, 2, 3], [4, math.nan, 6], [7, 8, 9]))
    assert holed is not None
    assert (holed.values.shape, holed.without, holed.unpaired) == ((2, 2, 3), ("pre-training 1",), 3)
    # Of one pre-training, a seed is left out.
    few = common(crossed([1, 2, 3]), crossed([1, math.nan, 3]))
    assert few is not None
    assert (few.values.shape, few.without) == ((2, 1, 2), ("seed 1",))
    assert common(crossed([1, 2]), crossed([1, 2], first=1)) is None
    # No pre-training and no seed is whole: 2 x 2 of 3 x 3 results remain.
    nan = math.nan
    diagonal = common(crossed([nan, 1, 2], [3, nan, 4], [5, 6, nan]), crossed([0, 0, 0], [0, 0, 0], [0, 0, 0]))
    assert diagonal is not None
    assert diagonal.values.size == 2 * 2
    assert not np.isnan(diagonal.values).any()
    assert diagonal.unpaired == 9 - 2


def test_a_difference_counts_the_spread_over_pretrainings() -> None:
    """Differences -3, 0, 3 of the pre-trainings, the same for each seed: t(2, .975) x 3 / sqrt(3)."""
    base = np.arange(9.0).reshape(3, 3)
    first = base + np.array([[-3.0], [0.0], [3.0]])
    found = common(crossed(*first.tolist()), crossed(*base.tolist()))
    assert found is not None
    one = found.difference()
    assert (one.value, one.n) == (pytest.approx(0), 9)
    assert one.high == pytest.approx(4.3027 * math.sqrt(3), abs=1e-3)
    assert one.within_noise
