"""The gallery of a query in the order of its evaluator's ranking, tied images included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reidbench.metrics import Rules, rank
from reidbench.report.breakdown.scored import Scored

NAMES = ("query_features", "query_pids", "query_camids", "gallery_features", "gallery_pids", "gallery_camids")


def scored(rules: Rules, lengths: bool) -> Scored:
    """Features of few directions, so that many are tied; of several `lengths`, their cosines differ by rounding."""
    rng = np.random.default_rng(5)
    directions = rng.integers(-4, 5, (4, 6))
    columns: dict[str, Any] = {}
    for side, count in (("query", 12), ("gallery", 40)):
        scale = rng.integers(1, 8, (count, 1)) if lengths else 1
        columns[f"{side}_features"] = (directions[rng.integers(0, 4, count)] * scale).astype(np.float32)
        columns[f"{side}_pids"] = rng.integers(0 if side == "query" else -1, 4, count)
        columns[f"{side}_camids"] = rng.integers(0, 3, count)
    found = rank(*(columns[name] for name in NAMES), rules)
    return Scored(found.ap, found.valid, rules, columns, ())


@pytest.mark.parametrize("ties", ["stable", "worst", "best"])
@pytest.mark.parametrize("lengths", [False, True])
def test_the_order_has_the_average_precision_of_the_evaluation(ties: Any, lengths: bool) -> None:
    subject = scored(Rules(ties=ties), lengths)
    c = subject.columns
    for query in np.flatnonzero(subject.valid).tolist():
        hits = np.flatnonzero(c["gallery_pids"][subject.order(query)] == c["query_pids"][query])
        precision = np.arange(1, len(hits) + 1) / (hits + 1)
        assert precision.mean() == pytest.approx(subject.ap[query], abs=1e-9), query
        assert sorted(subject.order_of_all(query).tolist()) == list(range(40))


def test_ties_change_the_order() -> None:
    orders = {ties: scored(Rules(ties=ties), False).order(0).tolist() for ties in ("stable", "worst", "best")}
    assert len(set(map(tuple, orders.values()))) == 3
