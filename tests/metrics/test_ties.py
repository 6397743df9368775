"""The tie rule: rows before another at equal distance, and order where rounding alone decides."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.metrics.products import Products
from reidbench.metrics.ties import farther, in_order, rows_before


def test_the_rule_in_one_place() -> None:
    """Rows at equal distance by the three rules; by index where keys of float64 differ by rounding alone."""
    nearer, tied, earlier = np.array([2, 0]), np.array([3, 1]), np.array([1, 1])
    counted = {ties: rows_before(nearer, tied, earlier, ties).tolist() for ties in ("best", "stable", "worst")}
    assert counted == {"best": [2, 0], "stable": [3, 1], "worst": [5, 1]}
    keys = np.array([[0.5, 0.1 + 0.2, 0.3, -1.0]])
    assert in_order(keys, np.array([[7, 6, 4, 9]], np.int32), np.array([1e-15])).tolist() == [[3, 2, 1, 0]]
    assert in_order(keys, np.array([[7, 6, 4, 9]], np.int32), np.array([2.0])).tolist() == [[2, 1, 0, 3]]
    gallery = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1e-6]])
    exact = Products(np.array([[3.0, 0.0]]), gallery, "cosine")
    query = np.zeros(3, np.int64)
    own = exact.pairs(query, query)
    behind = farther(exact, query, np.arange(3), own)
    assert behind[:2].tolist() == [0, 0]
    assert behind[2] == pytest.approx(0.5e-12, rel=1e-3)  # 1 - cos(a), which is nearly a^2 / 2
