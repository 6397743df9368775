"""Means of groups, seen and unseen averages, and forgetting: by hand, and as papers and public texts have them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from reidbench import report
from reidbench.components import Metric
from reidbench.matrix.families.groups import FORGETTING, MEAN, SEEN, UNSEEN, Derived
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Result, leaders, places
from reidbench.report.formats.groups import averages, forgetting, incomplete
from reidbench.report.results import Declared, summarise

PROTOCOL = "source labels, AP step"
T_2 = 4.302652729911275  # 97.5 % quantile of Student's t with two degrees of freedom

Values = Mapping[str, Sequence[float | None]]  # by task: a value for each seed; None: it failed


def results_of(method: str, values: Values, metric: str = "mAP", protocol: str = PROTOCOL) -> list[Result]:
    return [
        Result(
            Row(method, task, "cosine", seed, None, f"{method} {task} {seed}", protocol=protocol),
            "failed" if value is None else "ok",
            {} if value is None else {metric: value},
        )
        for task, by_seed in values.items()
        for seed, value in enumerate(by_seed)
    ]


def board(
    results: Sequence[Result],
    groups: Sequence[Derived],
    declared: Declared | None = None,
    kept: Mapping[str, np.ndarray] | None = None,
) -> Leaderboard:
    def queries(key: str) -> dict[str, np.ndarray]:
        return {"ap": kept[key]} if kept and key in kept else {}

    summary = tuple(summarise(results, declared))
    return Leaderboard("Title", tuple(results), summary, declared, queries=queries, groups=tuple(groups))


def mean_of(*tasks: str) -> Derived:
    return Derived("dg", MEAN, tuple((task,) for task in tasks))


def test_the_mean_is_over_tasks_for_each_seed_and_then_over_seeds() -> None:
    """Seed 0: (10 + 30) / 2 = 20, seed 1: (20 + 40) / 2 = 30, seed 2: (30 + 50) / 2 = 40. Mean 30, sd 10."""
    values = {"a": [0.10, 0.20, 0.30], "b": [0.30, 0.40, 0.50]}
    (found,) = averages(board(results_of("m", values), [mean_of("a", "b")])).summary
    assert (found.method, found.task, found.metric, found.n) == ("m", "dg: mean", "mAP", 3)
    assert found.mean == pytest.approx(0.30)
    assert found.sd == pytest.approx(0.10)
    half = T_2 * 0.10 / math.sqrt(3)
    assert found.ci95 == pytest.approx((0.30 - half, 0.30 + half))


def test_the_interval_is_paired_over_seeds() -> None:
    """Tasks that go up and down together add no certainty, and those that make up for each other do."""
    together = averages(board(results_of("m", {"a": [0.2, 0.4, 0.6], "b": [0.2, 0.4, 0.6]}), [mean_of("a", "b")]))
    against = averages(board(results_of("m", {"a": [0.2, 0.4, 0.6], "b": [0.6, 0.4, 0.2]}), [mean_of("a", "b")]))
    assert together.summary[0].sd == pytest.approx(0.2)
    assert against.summary[0].sd == pytest.approx(0.0)


def test_a_mean_of_published_leave_one_out_tests() -> None:
    """Protocol-2 in Table 5 of Cho et al., BAU, NeurIPS 2024: the lines with alignment, and with all losses."""
    tasks = ("M+MS+CS->C3", "M+CS+C3->MS", "MS+CS+C3->M")
    published = {
        "align": (("mAP", (40.2, 21.5, 76.7), 46.1), ("cmc1", (40.1, 47.0, 89.0), 58.7)),
        "all": (("mAP", (42.1, 22.5, 76.9), 47.2), ("cmc1", (42.0, 48.0, 90.3), 60.1)),
    }
    for method, lines in published.items():
        for metric, values, average in lines:
            by_task = {task: [value / 100] for task, value in zip(tasks, values, strict=True)}
            (found,) = averages(board(results_of(method, by_task, metric), [mean_of(*tasks)])).summary
            assert round(100 * found.mean, 1) == average


def test_a_mean_of_published_tests_on_unseen_sets() -> None:
    """The table "Test only" in README.md of bismex/MetaBIN: rank 1 and mAP on GRID, VIPeR, PRID, iLIDS, and all."""
    for metric, values, average in (
        ("cmc1", (49.68, 56.90, 72.50, 79.67), 64.69),
        ("mAP", (58.10, 65.98, 79.78, 85.51), 72.34),
    ):
        by_task = {name: [value / 100] for name, value in zip("gvpi", values, strict=True)}
        number = Derived("life", UNSEEN, tuple((name,) for name in "gvpi"))
        (found,) = averages(board(results_of("m", by_task, metric), [number])).summary
        assert 100 * found.mean == pytest.approx(average, abs=0.005)


def test_seen_and_unseen_averages_of_a_sequence_of_two() -> None:
    """After both steps: 30 and 50 on the seen sets, 10 and 40 on the unseen ones. What was before does not count."""
    values = {"a1": [0.90], "a2": [0.30], "b2": [0.50], "c2": [0.10], "d2": [0.40]}
    numbers = [Derived("life", SEEN, (("a2",), ("b2",))), Derived("life", UNSEEN, (("c2",), ("d2",)))]
    found = {one.task: one.mean for one in averages(board(results_of("m", values), numbers)).summary}
    assert found == pytest.approx({"life: seen average": 0.40, "life: unseen average": 0.25})


def lost(matrix: Sequence[Sequence[float]], metric: str = "mAP", declared: Declared | None = None) -> Leaderboard:
    """The board of a sequence: line j has the values of data set j from the step that trained on it to the last."""
    values = {f"{j}-{j + i}": [value] for j, line in enumerate(matrix) for i, value in enumerate(line)}
    terms = tuple(tuple(f"{j}-{j + i}" for i in range(len(line))) for j, line in enumerate(matrix[:-1]))
    return forgetting(board(results_of("m", values, metric), [Derived("life", FORGETTING, terms)], declared))


def test_forgetting_is_the_best_earlier_value_minus_the_last() -> None:
    """Values that fall and rise: (100 - 86.45) + (94.23 - 92.95) + (94.30 - 93.67) + (87.18 - 71.15) = 31.49."""
    found = lost(
        [
            [1.0000, 0.8774, 0.9161, 0.8065, 0.8645],
            [0.6282, 0.9423, 0.7628, 0.9295],
            [0.9051, 0.9430, 0.9367],
            [0.8718, 0.7115],
            [0.8013],
        ]
    )
    assert found.summary[0].mean == pytest.approx(0.3149 / 4)


def test_forgetting_of_a_published_matrix() -> None:
    """docs/ch12/continual_learning/evaluation_metrics.md of SungchulLee/deep_learning_book_writing.

    It has the matrix, and FM as the mean of F_i, the greatest A_ij - A_iT over j from i to T - 1 (after Chaudhry 2018).
    """
    matrix = [
        [98.5, 62.3, 55.1, 51.8, 49.2],
        [97.8, 58.6, 52.4, 50.1],
        [98.2, 61.3, 53.7],
        [97.5, 58.9],
        [98.1],
    ]
    by_formula = statistics.fmean(max(value - line[-1] for value in line[:-1]) for line in matrix[:-1])
    assert by_formula == pytest.approx(45.025)
    found = lost([[value / 100 for value in line] for line in matrix])
    assert 100 * found.summary[0].mean == pytest.approx(by_formula)


def test_a_set_that_gets_better_is_forgotten_less_than_nothing() -> None:
    """The measure of Chaudhry et al. is between -1 and 1: here (30 - 50) / 1 = -20."""
    found = lost([[0.30, 0.50], [0.40]])
    assert found.summary[0].mean == pytest.approx(-0.20)
    known = found.metric("cosine", "mAP")
    assert known is not None
    assert (known.better, known.unit, known.range) == ("lower", "%", (-1, 1))


def test_where_less_is_better_a_rise_is_forgetting() -> None:
    """The median rank goes from 3 and 2 to 7: the best one was 2, so that 5 are lost."""
    rank = Metric("median-rank", better="lower", unit="rank", range=(1, None))
    found = lost([[3, 2, 7], [4, 4], [5]], "median-rank", {"cosine": {"median-rank": rank}})
    assert found.summary[0].mean == pytest.approx((5 + 0) / 2)
    known = found.metric("cosine", "median-rank")
    assert known is not None
    assert (known.better, known.range) == ("lower", (None, None))


def test_a_metric_that_nobody_declares_has_no_better_value_and_no_forgetting() -> None:
    assert lost([[3, 2], [4]], "odd", {"cosine": {}}).summary == ()


# ---------------------------------------------------------------------- what is missing
def test_a_method_without_all_results_has_no_mean() -> None:
    complete, lacking = {"a": [0.1, 0.2], "b": [0.3, 0.4]}, {"a": [0.9, 0.9], "b": [0.9, None]}
    whole = board([*results_of("m", complete), *results_of("n", lacking)], [mean_of("a", "b")])
    assert {one.method for one in averages(whole).summary} == {"m"}
    assert incomplete(whole) == ["n on dg: mean: 1 of 2 tasks: b: failed"]


def test_a_task_that_is_not_in_the_table_is_missing() -> None:
    part = board(results_of("m", {"a": [0.1, 0.2]}), [mean_of("a", "b", "c"), mean_of("x", "y")])
    assert averages(part).summary == ()
    assert incomplete(part) == ["m on dg: mean: 1 of 3 tasks: b: not in this table (and 1 more)"]


def test_a_result_without_a_seed_stands_for_every_seed() -> None:
    fixed = Result(Row("m", "a", "cosine", None, None, "key", protocol=PROTOCOL), "ok", {"mAP": 0.4})
    (found,) = averages(board([fixed, *results_of("m", {"b": [0.1, 0.2, 0.3]})], [mean_of("a", "b")])).summary
    assert (found.n, found.seedless) == (3, False)
    assert found.mean == pytest.approx((0.25 + 0.30 + 0.35) / 3)
    alone = Result(Row("m", "b", "cosine", None, None, "other", protocol=PROTOCOL), "ok", {"mAP": 0.2})
    (found,) = averages(board([fixed, alone], [mean_of("a", "b")])).summary
    assert (found.n, found.seedless, found.mean) == (1, True, pytest.approx(0.3))


def test_pre_trainings_are_no_further_seeds() -> None:
    """Seed 0: (10 + 30) / 2 and (30 + 50) / 2 by pre-training, so 30; seed 1: 50."""
    of_a = {(0, 0): 0.1, (0, 1): 0.3, (1, 0): 0.4, (1, 1): 0.4}
    of_b = {(0, 0): 0.3, (0, 1): 0.5, (1, 0): 0.6, (1, 1): 0.6}
    results = [
        Result(Row("m", task, "cosine", *place, "key", protocol=PROTOCOL, pretrained=True), "ok", {"mAP": value})
        for task, values in (("a", of_a), ("b", of_b))
        for place, value in values.items()
    ]
    (found,) = averages(board(results, [mean_of("a", "b")])).summary
    assert (found.n, found.pretrainings) == (2, 2)
    assert found.mean == pytest.approx(0.40)
    assert found.sd == pytest.approx(statistics.stdev([0.30, 0.50]))


# ---------------------------------------------------------------------- ranks
def test_ranks_are_those_of_a_column_paired_over_seeds() -> None:
    """`better` is ahead by 1, 1 and 1.1 points in the same seeds, however much seeds differ."""
    base = {"a": [0.10, 0.30, 0.50], "b": [0.20, 0.40, 0.60]}
    ahead = {task: [value + 0.01 + 0.001 * (seed == 2) for seed, value in enumerate(of)] for task, of in base.items()}
    found = averages(board([*results_of("base", base), *results_of("better", ahead)], [mean_of("a", "b")]))
    assert leaders(found, "dg: mean", "cosine", "mAP") == {"better"}
    assert places(found, "dg: mean", "cosine", "mAP")["base"].rank == 2


def test_methods_whose_protocols_differ_in_one_task_are_not_ranked_together() -> None:
    values = {"a": [0.10, 0.11, 0.12], "b": [0.20, 0.21, 0.22]}
    seen = [
        *results_of("peeking", {"a": [0.9, 0.91, 0.92]}),
        *results_of("peeking", {"b": [0.9, 0.91, 0.92]}, protocol=f"{PROTOCOL}, test images in train"),
    ]
    found = averages(board([*results_of("m", values), *seen], [mean_of("a", "b")]))
    assert leaders(found, "dg: mean", "cosine", "mAP") == {"m", "peeking"}
    assert places(found, "dg: mean", "cosine", "mAP")["peeking"].kind == ("test images in train",)


def test_less_forgetting_is_better() -> None:
    low = {"a1": [0.50, 0.50, 0.50], "a2": [0.49, 0.48, 0.49]}
    high = {"a1": [0.50, 0.50, 0.50], "a2": [0.20, 0.21, 0.20]}
    number = Derived("life", FORGETTING, (("a1", "a2"),))
    found = forgetting(board([*results_of("low", low), *results_of("high", high)], [number]))
    assert leaders(found, "life: forgetting", "cosine", "mAP") == {"low"}


def test_two_seeds_are_judged_by_the_queries_of_all_tasks_each_task_with_the_same_weight() -> None:
    """Task a has 30 queries and task b 10; the mean over all weighted queries is the mean of the two tasks."""
    spread = {"a": np.linspace(-0.1, 0.1, 30), "b": np.linspace(-0.1, 0.1, 10)}
    kept, results = {}, []
    for method, more in (("base", 0.0), ("better", 0.05)):
        rows = results_of(method, {"a": [0.3 + more, 0.3 + more], "b": [0.6 + more, 0.6 + more]})
        kept |= {row.row.key: row.metrics["mAP"] + spread[row.row.task] for row in rows if row.row.key}
        results += rows
    found = averages(board(results, [mean_of("a", "b")], kept=kept))
    (first, *_) = found.results
    queries = found.queries(first.row.key or "")["mAP"]
    assert len(queries) == 40
    assert queries.mean() == pytest.approx(0.45)
    assert queries[:30].sum() == pytest.approx(queries.sum() / 3)  # 0.3 of 0.3 + 0.6
    assert leaders(found, "dg: mean", "cosine", "mAP") == {"better"}
    assert leaders(averages(board(results, [mean_of("a", "b")])), "dg: mean", "cosine", "mAP") == set()


def test_the_lines_of_all_metrics_count_the_seeds_of_a_mean() -> None:
    text = report.write(board(results_of("m", {"a": [0.1, 0.2, 0.3], "b": [0.3, 0.4, 0.5]}), [mean_of("a", "b")]), "md")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert {line[0]: line[-1] for line in lines if line[1] == "m"} == {"a": "3", "b": "3", "dg: mean": "3"}
