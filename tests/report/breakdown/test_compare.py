"""Rows query by query, by hand: wins, ties and losses, what is a tie, and what cannot be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reidbench import report
from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Result
from reidbench.report.breakdown.compare import NOT_COUNTED, Grid, column, tallies
from reidbench.report.results import Declared, summarise

Kept = dict[str, dict[int, list[float]]]  # method -> seed -> AP of the queries


def board(kept: Kept, name: str = "mAP", array: str = "ap", declared: Declared | None = None) -> Leaderboard:
    arrays = {
        f"{method} {seed}": {array: np.array(values)}
        for method, seeds in kept.items()
        for seed, values in seeds.items()
    }
    results = tuple(
        Result(Row(method, "t", "cosine", seed, None, f"{method} {seed}", protocol="x"), "ok",
               {name: float(np.nanmean(values))})
        for method, seeds in kept.items() for seed, values in seeds.items()
    )  # fmt: skip
    summary = tuple(summarise(results, declared))
    return Leaderboard("Title", results, summary, declared, queries=lambda key: arrays[key])


NAN = float("nan")
KEPT: Kept = {
    "new": {0: [0.5, 0.2, 0.9, NAN, 0.1], 1: [0.7, 0.4, 0.9, NAN, 0.1]},  # means .6, .3, .9, -, .1
    "old": {0: [0.5, 0.3, 0.5, NAN, 0.10004], 1: [0.5, 0.3, 0.5, NAN, 0.10004]},
}


def test_by_hand() -> None:
    """.6 beats .5, .3 and .3 are a tie, .9 beats .5; .1 and .10004 are a tie to four digits; one does not count."""
    (one,) = tallies(board(KEPT), "old", "mAP")
    assert (one.wins, one.ties, one.losses, one.reason) == (2, 2, 0, "")
    assert one.difference == pytest.approx((0.1 + 0.4) / 4)
    (back,) = tallies(board(KEPT), "new", "mAP")
    assert (back.wins, back.ties, back.losses) == (0, 2, 2)
    assert back.difference == pytest.approx(-0.125)


def test_in_text_and_json() -> None:
    text = report.write(board(KEPT), "md", against=["old"])
    assert "Queries won, tied and lost against old by their mAP, mean over seeds, rounded to 0.01 points:" in text
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert lines[-3::2] == [["method", "task", "wins", "ties", "losses"], ["new", "t", "2", "2", "0"]]
    content = json.loads(report.write(board(KEPT), "json", against=["old"]))
    (one,) = content["against"]
    assert one["queries"] == {"wins": 2, "ties": 2, "losses": 0, "reason": None}
    assert (one["method"], one["against"], one["n"]) == ("new", "old", 2)
    assert one["difference"] == pytest.approx(0.12499, abs=1e-5)  # of the metrics, not of what is rounded
    assert "against" not in json.loads(report.write(board(KEPT), "json"))


def test_less_is_better() -> None:
    """Ranks 3 and 1 against 5 and 1; the difference, in which more is better, is 1."""
    ranks: Kept = {"new": {0: [3, 1]}, "old": {0: [5, 1]}}
    declared = {"cosine": {"rank": Metric("rank", better="lower", range=(1, None))}}
    (one,) = tallies(board(ranks, "rank", "rank", declared), "old", "rank")
    assert (one.wins, one.ties, one.losses, one.difference) == (1, 1, 0, pytest.approx(1.0, abs=1e-3))
    text = report.write(board(ranks, "rank", "rank", declared), "md", "rank", ["old"])
    assert "rounded to 1/65,534 of the range of the rows" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"new": {0: [0.5, NAN, 0.9, 0.4, 0.1]}}, "count different queries"),
        ({"new": {0: [0.5, 0.2]}}, "count different queries"),
        ({"new": {0: [0.5, 0.2, 0.9, NAN, 0.1], 1: [0.7, 0.4, NAN, 0.9, 0.1]}}, "its results count different queries"),
    ],
)
def test_other_queries_are_not_compared(change: Kept, reason: str) -> None:
    (one,) = tallies(board({**KEPT, **change}), "old", "mAP")
    assert reason in one.reason
    assert one.wins is None
    assert reason in report.write(board({**KEPT, **change}), "md", against=["old"])


def test_what_nobody_declares_or_keeps_is_not_compared() -> None:
    (one,) = tallies(board(KEPT, declared={}), "old", "mAP")
    assert one.reason == "its evaluator does not declare whether higher values are better"
    (one,) = tallies(board(KEPT, array="other"), "old", "mAP")
    assert one.reason == "the per-query results that its evaluator stores do not give mAP"
    text = report.write(board(KEPT, array="other"), "md", against=["old"])
    assert (
        "No per-query comparison for new on t: the per-query results that its evaluator stores do not give mAP." in text
    )
    with pytest.raises(ReidbenchError, match="unknown method 'nobody'"):
        list(tallies(board(KEPT), "nobody", "mAP"))


def test_a_column_holds_four_digits_of_fractions() -> None:
    found = column(board(KEPT), "t", "cosine", "mAP")
    assert found.codes["new"].tolist() == [6000, 3000, 9000, NOT_COUNTED, 1000]
    assert found.codes["old"].tolist() == [5000, 3000, 5000, NOT_COUNTED, 1000]


def test_the_grid_of_other_metrics_spans_their_values() -> None:
    values = [np.array([-3.0, 7.0, NAN]), np.array([2.0])]
    grid = Grid.of(Metric("m", unit="s"), values)
    codes = grid.codes(values[0])
    assert codes.tolist() == [0, NOT_COUNTED - 1, NOT_COUNTED]
    assert grid.low + codes[1] * grid.step == pytest.approx(7.0)
    assert Grid.of(None, [np.array([4.0, 4.0])]).codes(np.array([4.0])).tolist() == [0]
    assert Grid.of(Metric("m", unit="%"), [np.array([0.2])]) == Grid(0.0, 1e-4)
    assert Grid.of(Metric("m", unit="%"), [np.array([0.2, 7.0])]).codes(np.array([7.0])).tolist() == [NOT_COUNTED - 1]
    assert Grid.of(None, []).codes(np.array([NAN])).tolist() == [NOT_COUNTED]
