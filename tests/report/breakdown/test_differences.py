"""Paired differences where one of two methods, or both, use no seed: what the interval is over."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reidbench import report
from reidbench.components import Metric
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Paired, Result, differences
from reidbench.report.results import Declared, summarise

Kept = dict[str, dict[str, np.ndarray]]


def seeded(method: str, *values: float | None, name: str = "mAP") -> list[Result]:
    """Seeds 0, 1, ...; None is one that failed."""
    rows = [Row(method, "t", "cosine", seed, None, f"{method} {seed}", protocol="x") for seed in range(len(values))]
    return [
        Result(row, "failed", error="boom") if value is None else Result(row, "ok", {name: value})
        for row, value in zip(rows, values, strict=True)
    ]


def seedless(method: str, value: float, name: str = "mAP") -> list[Result]:
    return [Result(Row(method, "t", "cosine", None, None, method, protocol="x"), "ok", {name: value})]


def board(*results: Result, kept: Kept | None = None, declared: Declared | None = None) -> Leaderboard:
    def queries(key: str) -> dict[str, np.ndarray]:
        return (kept or {}).get(key, {})

    return Leaderboard("Title", results, tuple(summarise(results, declared)), declared, queries=queries)


def pair(found: Leaderboard, against: str, metric: str = "mAP") -> Paired:
    (one,) = differences(found, against, metric)
    return one


def test_one_value_stands_for_every_seed_of_the_other() -> None:
    """.6 - .5, .7 - .5, .5 - .5: mean .1, sd .1, half-width t(2, .975) x .1 / sqrt(3) = .2484."""
    found = board(*seeded("new", 0.6, 0.7, 0.5), *seedless("fixed", 0.5))
    forth, back = pair(found, "fixed"), pair(found, "new")
    assert (forth.seedless, forth.better, forth.difference.n) == (1, 2, 3)
    assert forth.difference.value == pytest.approx(0.1)
    assert (forth.difference.low, forth.difference.high) == pytest.approx((0.1 - 0.2484, 0.1 + 0.2484), abs=1e-4)
    assert (back.seedless, back.better, back.difference.value) == (1, 0, pytest.approx(-0.1))
    text = report.write(found, "md", against=["fixed"])
    assert "| +10.0 [-14.8, +34.8] 2/3 |" in text
    assert "has the same result for every seed of the other row: the interval is over the other's seeds" in text


def test_a_seed_that_failed_is_no_missing_seed_of_the_other() -> None:
    found = board(*seeded("new", 0.6, None, 0.5), *seedless("fixed", 0.5))
    assert pair(found, "fixed").difference.n == 2
    text = report.write(found, "md", against=["fixed"])
    assert "| 55.0 ± 7.1 [-8.5, 118.5] (2/3 seeds) |" in text
    assert "| 50.0 (no seed) " in text
    assert "Intervals over two seeds are only a hint" in text


def test_lower_is_better_and_a_metric_that_is_not_declared() -> None:
    results = [*seeded("new", 3.0, 4.0, 5.0, name="rank"), *seedless("fixed", 6.0, name="rank")]
    lower = {"cosine": {"rank": Metric("rank", better="lower", range=(1, None))}}
    one = pair(board(*results, declared=lower), "fixed", "rank")
    assert (one.difference.value, one.better) == (2.0, 3)
    one = pair(board(*results, declared={}), "fixed", "rank")
    assert (one.difference.value, one.better) == (-2.0, None)


def test_two_values_without_seeds_are_compared_by_their_queries() -> None:
    """Differences 0 and .2 of two queries: their means, drawn again, are 0, .1 or .2 with chances 1/4, 1/2, 1/4."""
    kept = {"a": {"ap": np.array([0.5, 0.7, np.nan])}, "b": {"ap": np.array([0.5, 0.5, np.nan])}}
    found = board(*seedless("a", 0.6), *seedless("b", 0.5), kept=kept)
    one = pair(found, "b")
    assert (one.seedless, one.better, one.difference.n) == (2, None, 2)
    assert (one.difference.value, one.difference.low, one.difference.high) == pytest.approx((0.1, 0.0, 0.2))
    text = report.write(found, "md", against=["b"])
    assert "| +10.0 [+0.0, +20.0] (no seed) |" in text
    assert "The interval is over queries (paired bootstrap)" in text
    assert "Intervals over two seeds" not in text
    assert "Two seeds separate" not in text


def test_lower_is_better_by_queries_too() -> None:
    kept = {"a": {"rank": np.array([1.0, 3.0])}, "b": {"rank": np.array([4.0, 6.0])}}
    lower = {"cosine": {"rank": Metric("rank", better="lower")}}
    found = board(*seedless("a", 2.0, "rank"), *seedless("b", 5.0, "rank"), kept=kept, declared=lower)
    one = pair(found, "b", "rank").difference
    assert (one.value, one.low, one.high) == (3.0, 3.0, 3.0)  # each query gains 3


@pytest.mark.parametrize(
    "second",
    [
        {},
        {"ap": np.array([0.5, 0.5])},  # other queries
        {"ap": np.array([0.5, np.nan, 0.5])},  # another valid one
    ],
)
def test_without_queries_in_common_there_is_no_interval(second: dict[str, np.ndarray]) -> None:
    kept = {"a": {"ap": np.array([0.5, 0.7, np.nan])}, "b": second}
    found = board(*seedless("a", 0.6), *seedless("b", 0.5), kept=kept)
    one = pair(found, "b").difference
    assert one.value == pytest.approx(0.1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert "| +10.0 (no seed) |" in report.write(found, "md", against=["b"])


def test_what_failed_has_no_difference() -> None:
    failed = Result(Row("gone", "t", "cosine", None, None, "gone", protocol="x"), "failed", error="boom")
    text = report.write(board(*seedless("a", 0.6), failed), "md", against=["a", "gone"])
    assert "No difference on t for gone: no seed has mAP for both." in text
    assert "No differences on t: gone has no mAP." in text


def crossed(method: str, *pretrainings: list[float | None]) -> list[Result]:
    return [
        Result(row, "failed", error="boom") if value is None else Result(row, "ok", {"mAP": value})
        for pretrain, values in enumerate(pretrainings)
        for seed, value in enumerate(values)
        for row in [Row(method, "t", "cosine", seed, pretrain, f"{method} {pretrain} {seed}", pretrained=True)]
    ]


def test_rows_are_paired_by_pretraining_and_seed() -> None:
    """a is 1 point worse in each pair; b lacks the pre-training that is 20 points better for both."""
    found = board(*crossed("a", [0.30, 0.32], [0.50, 0.52]), *crossed("b", [0.31, 0.33], [None, None]))
    one = pair(found, "b")
    assert (one.difference.value, one.better, one.difference.n) == (pytest.approx(-0.01), 0, 2)
    assert (one.pretrainings, one.unpaired) == (1, 2)
    text = report.write(found, "md", against=["b"])
    assert "because the other row has none with the same seed and pre-training: a on t (2)." in text


def test_the_spread_over_pretrainings_counts() -> None:
    """.04, .01, -.02 by pre-training, and the same for each seed: .01 +- t(2, .975) x .03 / sqrt(3) = .0745."""
    found = board(
        *crossed("a", [0.34, 0.35], [0.31, 0.32], [0.28, 0.29]), *crossed("b", [0.30, 0.31], [0.30, 0.31], [0.30, 0.31])
    )
    one = pair(found, "b")
    assert (one.difference.value, one.better, one.difference.n) == (pytest.approx(0.01), 4, 6)
    assert (one.difference.low, one.difference.high) == pytest.approx((0.01 - 0.0745, 0.01 + 0.0745), abs=1e-4)
    text = report.write(found, "md", against=["b"])
    assert "number of seeds and pre-trainings where it is better" in text
    assert "| +1.0 [-6.5, +8.5] 4/6 |" in text
