"""Comparing all methods at once gives the same as comparing them in pairs, for any numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.metrics.statistics import tied_with_best
from reidbench.report.standings import better_by_seeds

values = st.one_of(st.floats(0, 1, width=32), st.sampled_from((0.5, 0.25, 0.0)))


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=5))
def test_beyond_noise_all_at_once(rows: list[list[float]]) -> None:
    expected = [[tied_with_best([row, other]) == [True, False] for other in rows] for row in rows]
    assert np.array_equal(better_by_seeds(rows), np.array(expected))


def test_by_hand() -> None:
    """Differences .10, .10, .13: mean .11, sd .01732, half width 4.303 x .01732 / sqrt(3) = .043."""
    found = better_by_seeds([[0.60, 0.62, 0.67], [0.50, 0.52, 0.54], [0.70, 0.50, 0.60]])
    assert found.tolist() == [[False, True, False], [False] * 3, [False] * 3]
