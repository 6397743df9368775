"""Selection of the methods and tasks that ranks compare, and the reasons for those left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from reidbench.components import Metric
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Result
from reidbench.report.ranks.cells import cells_of, ranks_of
from reidbench.report.ranks.comparison import (
    NO_ROW,
    Cell,
    Comparison,
    LeftOut,
    Refused,
    comparisons,
    without_comparison,
)
from reidbench.report.results import Declared, summarise
from reidbench.words import ON_TEST_LABELS

PROTOCOL = "source labels, AP step"
Values = dict[str, dict[str, float | None]]  # method -> task -> value; None: failed


def cell(method: str, task: str, value: float | None, kind: tuple[str, ...] = (), **more: object) -> Cell:
    if value is None:
        return Cell(method, task, kind, {}, complete=False, why="failed: boom")
    return Cell(method, task, kind, {(None, 0): value, (None, 1): value}, complete=True, **more)  # type: ignore[arg-type]


def cells(values: Values) -> list[Cell]:
    return [cell(method, task, value) for method, row in values.items() for task, value in row.items()]


def only(found: list[Comparison]) -> Comparison:
    (one,) = found
    return one


def test_ranks_by_hand_and_lower_is_better() -> None:
    values: Values = {"a": {"x": 0.9, "y": 0.1}, "b": {"x": 0.5, "y": 0.4}, "c": {"x": 0.2, "y": 0.4}}
    found = only(comparisons(cells(values), "cosine", "mAP", "higher"))
    assert (found.methods, found.tasks) == (("a", "b", "c"), ("x", "y"))
    assert found.values.tolist() == [[0.9, 0.1], [0.5, 0.4], [0.2, 0.4]]
    assert found.ranks.tolist() == [[1, 3], [2, 1.5], [3, 1.5]]
    assert found.mean_rank.tolist() == [2, 1.75, 2.25]
    assert found.borda.tolist() == [2, 2.5, 1.5]
    assert found.win_rate == pytest.approx([0.5, 0.625, 0.375])
    assert [found.methods[place] for place in found.order] == ["b", "a", "c"]
    assert (found.missing, found.left_out, found.all_tasks) == ({}, (), ("x", "y"))
    lower = only(comparisons(cells(values), "cosine", "median-rank", "lower"))
    assert lower.ranks.tolist() == [[3, 1], [2, 2.5], [1, 2.5]]
    assert (lower.evaluator, lower.metric, lower.better) == ("cosine", "median-rank", "lower")


def test_a_missing_cell_is_named_and_never_filled_in() -> None:
    values: Values = {
        "a": {"x": 0.9, "y": 0.1, "z": 0.3},
        "b": {"x": 0.5, "y": 0.4, "z": None},
        "c": {"x": 0.2},
    }
    found = only(comparisons(cells(values), "cosine", "mAP", "higher"))
    assert (found.methods, found.tasks) == (("a", "b"), ("x", "y"))
    assert found.missing == {("b", "z"): "failed: boom", ("c", "y"): NO_ROW, ("c", "z"): NO_ROW}
    assert found.left_out == (
        LeftOut("method", "c", "complete on 1 of 3 tasks"),
        LeftOut("task", "z", "not complete for b"),
    )
    assert found.cells["c", "x"].value == 0.2  # it is there, but is not compared
    assert found.all_methods == ("a", "b", "c")


def test_the_greatest_table_is_taken_and_of_equal_ones_that_of_more_methods() -> None:
    tasks = "uvwx"
    values: Values = {
        "few": dict.fromkeys("uv", 0.1),
        "two": dict.fromkeys("uv", 0.2),
        "all": dict.fromkeys(tasks, 0.3),
        "most": dict.fromkeys("uvwx", 0.4),
    }
    found = only(comparisons(cells(values), "e", "mAP", "higher"))  # 2 x 4 and 4 x 2 are both 8
    assert (found.methods, found.tasks) == (("few", "two", "all", "most"), ("u", "v"))
    del values["few"]  # 2 x 4 and 3 x 2
    found = only(comparisons(cells(values), "e", "mAP", "higher"))
    assert (found.methods, found.tasks) == (("all", "most"), tuple(tasks))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"a": {"x": 0.1, "y": 0.2}}, "fewer than two methods are complete on two or more tasks"),
        ({"a": {"x": 0.1}, "b": {"x": 0.2}}, "fewer than two methods are complete on two or more tasks"),
        (
            {"a": {"x": 0.1, "y": 0.2, "z": None}, "b": {"x": None, "y": 0.2, "z": 0.3}},
            "no two methods are complete on the same two tasks with different results",
        ),
        ({"a": {"x": None}, "b": {"x": None}}, "fewer than two methods are complete on two or more tasks"),
    ],
    ids=["one method", "one task", "one task in common", "nothing"],
)
def test_too_little_is_no_comparison(values: Values, reason: str) -> None:
    assert comparisons(cells(values), "e", "mAP", "higher") == []
    assert without_comparison(cells(values)) == [Refused((), tuple(values), reason)]


def test_one_task_of_many_methods_does_not_win_over_two_of_few() -> None:
    values: Values = {f"m{n}": {"x": n / 10} for n in range(9)}
    values |= {"a": {"x": 0.1, "y": 0.2}, "b": {"x": 0.3, "y": 0.1}}
    found = only(comparisons(cells(values), "e", "mAP", "higher"))
    assert (found.methods, found.tasks) == (("a", "b"), ("x", "y"))


def test_kinds_are_never_mixed() -> None:
    rule, other = "AP step", "AP trapezoid"
    given = [
        *(cell(m, t, 0.1, (rule,)) for m in ("a", "b") for t in ("x", "y")),
        *(cell(m, t, 0.2, ("transductive", rule)) for m in ("c", "d") for t in ("x", "y")),
        cell("e", "x", 0.9, (rule,)),
        cell("e", "y", 0.9, ("transductive", rule)),
    ]
    plain, transductive = comparisons(given, "e", "mAP", "higher")
    assert (plain.kind, plain.methods) == ((), ("a", "b"))  # the rule is that of all
    assert (transductive.kind, transductive.methods) == (("transductive",), ("c", "d"))
    assert plain.missing == {("e", "y"): "its row is of a different kind (transductive)"}
    assert transductive.missing == {("e", "x"): "its row is of a different kind (none of these words)"}
    apart = [cell(m, t, 0.1, (one,)) for m, one in (("a", rule), ("b", other)) for t in ("x", "y")]
    assert comparisons(apart, "e", "mAP", "higher") == []
    assert [(one.kind, one.methods) for one in without_comparison(apart)] == [((rule,), ("a",)), ((other,), ("b",))]


def test_rows_that_test_labels_chose_are_never_ranked() -> None:
    given = [cell(m, t, 0.1, (ON_TEST_LABELS,)) for m in ("a", "b") for t in ("x", "y")]
    assert comparisons(given, "e", "mAP", "higher") == []
    (refused,) = without_comparison(given)
    assert (refused.methods, refused.why) == (
        ("a", "b"),
        "rows chosen on test labels are never ranked, not even with each other",
    )


def test_a_row_that_failed_is_missing_among_its_methods_other_rows() -> None:
    """Some words are measured during the run: a failed row lacks them, but is not a separate kind."""
    given = [
        *(cell(m, t, 0.1 + n, ("transductive",)) for n, m in enumerate("ab") for t in ("x", "y")),
        cell("a", "z", None),
        cell("b", "z", 0.5, ("transductive",)),
        *(cell("gone", t, None) for t in ("x", "y")),
    ]
    found = only(comparisons(given, "e", "mAP", "higher"))
    assert (found.kind, found.methods, found.tasks) == (("transductive",), ("a", "b"), ("x", "y"))
    assert found.missing == {("a", "z"): "failed: boom"}
    assert without_comparison(given) == [
        Refused((), ("gone",), "fewer than two methods are complete on two or more tasks")
    ]
    plain = [cell(m, t, 0.1 + n) for n, m in enumerate("ab") for t in ("x", "y")]
    found = only(comparisons([*plain, *given[-2:]], "e", "mAP", "higher"))
    assert found.left_out == (LeftOut("method", "gone", "complete on 0 of 2 tasks"),)
    assert without_comparison([*plain, *given[-2:]]) == []


def test_two_tasks_with_the_same_results_count_once() -> None:
    """Methods that use no source have the same results on all tasks of a target."""

    def given(last: str) -> list[Cell]:
        keys = {"x": "1", "copy": "1", "y": "2", "last": last}
        return [
            cell(m, t, 0.1 + n, results=frozenset({f"{m}{key}"})) for n, m in enumerate("ab") for t, key in keys.items()
        ]

    found = only(comparisons(given("3"), "e", "mAP", "higher"))
    assert found.tasks == ("x", "y", "last")
    assert found.left_out == (LeftOut("task", "copy", "same results as on x, which counts once"),)
    assert comparisons([one for one in given("3") if one.task in ("x", "copy")], "e", "mAP", "higher") == []
    third = cell("c", "x", 0.5, results=frozenset({"c1"})), cell("c", "copy", 0.5, results=frozenset({"c2"}))
    both = [one for one in given("3") if one.task in ("x", "copy")]
    assert only(comparisons([*both, *third], "e", "mAP", "higher")).tasks == ("x", "copy")  # c separates them


# ---------------------------------------------------------------------- other queries and seeds
def queries(shift: float, seeds: int = 3, of: int = 30, invalid: bool = True, spread: int = 0) -> np.ndarray:
    values = 0.3 + shift + np.random.default_rng(spread).normal(size=(seeds, of)) / 100
    values[:, 0] = np.nan if invalid else values[:, 0]
    return values


def kept(method: str, task: str, answers: np.ndarray, **more: object) -> Cell:
    means = {(None, seed): mean for seed, mean in enumerate(np.nanmean(answers, 1).tolist())}
    return Cell(method, task, (), means, complete=True, queries=lambda: answers, **more)  # type: ignore[arg-type]


def table(make: Callable[[str, str], Cell], tasks: str = "xyz", methods: str = "abc") -> Comparison:
    given = [make(method, task) for method in methods for task in tasks]
    return only(comparisons(given, "e", "mAP", "higher"))


def test_groups_are_what_queries_and_seeds_do_not_set_apart() -> None:
    shift = {"a": 0.0, "b": 0.2, "c": 0.2}
    found = table(lambda m, t: kept(m, t, queries(shift[m], spread=ord(m))))
    assert found.intervals is not None
    assert (found.intervals[0].low, found.intervals[0].high) == (3, 3)
    assert found.groups == (tuple(found.methods[place] for place in found.order[:2]),)
    assert set(found.groups[0]) == {"b", "c"}
    assert found.one_seed == ()
    assert (found.test, found.no_test) == (None, "a rank test requires at least 5 tasks, and there are 3")


def test_a_method_of_one_seed_is_never_set_apart() -> None:
    def make(method: str, task: str) -> Cell:
        answers = queries(0.3 * "abc".index(method), seeds=1 if method == "b" else 3)
        return kept(method, task, answers)

    found = table(make)
    assert found.one_seed == ("b",)
    assert found.groups == (("c", "b"), ("b", "a"))


def test_a_method_without_a_seed_is_set_apart_by_its_queries() -> None:
    def make(method: str, task: str) -> Cell:
        answers = queries(0.3 * "ab".index(method), seeds=1)
        return Cell(method, task, (), {(None, None): float(np.nanmean(answers))}, True, queries=lambda: answers)

    found = table(make, methods="ab")
    assert (found.one_seed, found.groups) == ((), ())


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (None, "b on y has no stored per-query results"),
        (queries(0, invalid=False), "the methods have different valid queries on y"),
        (queries(0, of=20), "the methods have different valid queries on y"),
        (np.where(np.isnan(queries(0)), np.nan, np.inf), "the values of the queries contain infinity"),
    ],
    ids=["not kept", "other valid ones", "fewer", "infinite"],
)
def test_without_queries_there_are_ranks_but_no_intervals(odd: np.ndarray | None, reason: str) -> None:
    def make(method: str, task: str) -> Cell:
        given = kept(method, task, queries(0.1 * "abc".index(method)))
        if (method, task) != ("b", "y"):
            return given
        return Cell("b", "y", (), given.seeds, True, queries=lambda: odd)

    found = table(make)
    assert (found.intervals, found.groups, found.no_intervals) == (None, None, reason)
    assert found.mean_rank.tolist() == [3, 2, 1]


def test_a_rank_by_metrics_is_within_its_interval() -> None:
    """Queries were kept in fewer digits than the metric: by them the two are equal."""

    def make(method: str, task: str) -> Cell:
        answers = queries(0.0)
        means = dict(enumerate((np.nanmean(answers, 1) + 1e-9 * (method == "a")).tolist()))
        return Cell(method, task, (), means, complete=True, queries=lambda: answers)

    found = table(make, methods="ab")
    assert found.mean_rank.tolist() == [1, 2]
    assert found.intervals is not None
    assert [(one.low, one.value, one.high) for one in found.intervals] == [(1, 1, 1.5), (1.5, 2, 2)]
    assert found.groups == (("a", "b"),)


def test_one_query_is_no_sample() -> None:
    found = table(lambda m, t: kept(m, t, queries(0.1 * "abc".index(m), of=2)))
    assert found.no_intervals == "x has only one valid query, and a bootstrap requires two"


def test_tasks_of_the_same_images_are_named_and_drawn_the_same_queries() -> None:
    """Two tasks of one target whose results are equal: a draw favours the same method on both."""
    noisy = {m: np.random.default_rng(n).normal(size=(3, 12)) for n, m in enumerate("ab")}
    together = table(lambda m, t: kept(m, t, noisy[m], target="same"), methods="ab")
    alone = table(lambda m, t: kept(m, t, noisy[m]), methods="ab")
    assert (together.same_images, alone.same_images) == ([("x", "y", "z")], [])
    widths = [sum(one.high - one.low for one in found.intervals or ()) for found in (together, alone)]
    assert widths[0] >= widths[1] > 0
    assert {one.low for one in together.intervals or ()} == {1.0}


def test_five_tasks_are_tested() -> None:
    found = table(lambda m, t: kept(m, t, queries(0.1 * "abc".index(m))), tasks="uvwxy")
    assert (found.no_test, found.test and found.test.name) == ("", "Nemenyi")
    assert found.test is not None
    assert found.test.difference == pytest.approx(2.343 * (3 * 4 / 6 / 5) ** 0.5, abs=5e-4)  # Demsar, Table 5
    assert found.test.p == 0  # the same order on every task
    assert found.test.groups == (("c", "b"), ("b", "a"))  # neighbours differ by 1, the ends by 2 > 1.48
    cycle = [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2], [3, 2, 1]]
    even = table(lambda m, t: cell(m, t, float(cycle["uvwxy".index(t)]["abc".index(m)])), tasks="uvwxy")
    assert even.test is not None
    assert even.test.p > 0.05
    assert even.test.groups == (tuple(even.methods[place] for place in even.order),)


# ---------------------------------------------------------------------- of a board
def results(method: str, task: str, values: list[float], evaluator: str = "cosine", **more: object) -> list[Result]:
    name, protocol = str(more.get("name", "mAP")), str(more.get("protocol", PROTOCOL))
    return [
        Result(
            Row(method, task, evaluator, seed, None, f"{method} {task} {evaluator} {seed}", protocol=protocol),
            "ok",
            {name: value},
        )
        for seed, value in enumerate(values)
    ]


def board(*given: Result, declared: Declared | None = None, arrays: dict[str, np.ndarray] | None = None) -> Leaderboard:
    return Leaderboard(
        "Title",
        given,
        tuple(summarise(given, declared)),
        declared,
        rules=frozenset({"AP step"}),
        queries=lambda key: {"ap": arrays[key]} if arrays and key in arrays else {},
        targets={"x": "images", "y": "images"},
    )


def everywhere(**methods: list[float]) -> list[Result]:
    return [one for task in "xy" for method, values in methods.items() for one in results(method, task, values)]


def test_cells_of_a_board_with_a_failed_seed() -> None:
    given = everywhere(a=[0.1, 0.3], b=[0.2, 0.2])
    given[0] = Result(given[0].row, "failed", error="bot [seed 0]: boom")
    found = {(c.method, c.task): c for c in cells_of(board(*given), "cosine", "mAP")}
    assert not found["a", "x"].complete
    assert found["a", "x"].why == "failed: bot [seed 0]: boom (1 of 2 results)"
    assert found["a", "y"].complete
    assert found["a", "y"].seeds == {(None, 0): 0.1, (None, 1): 0.3}
    assert found["a", "y"].value == pytest.approx(0.2)
    assert found["a", "y"].target == "images"
    assert found["a", "y"].results == {"a y cosine 0", "a y cosine 1"}
    found_ranks = ranks_of(board(*given), "mAP")
    assert found_ranks.comparisons == ()
    reason = "fewer than two methods are complete on two or more tasks"
    assert found_ranks.refused == (("cosine", Refused((), ("a", "b"), reason)),)


def test_each_evaluator_is_compared_alone_and_undeclared_metrics_are_not() -> None:
    given = [
        *(r for m, v in (("a", 0.1), ("b", 0.2)) for t in "xy" for r in results(m, t, [v, v])),
        *(r for m, v in (("a", 5.0), ("b", 2.0)) for t in "xy" for r in results(m, t, [v, v], "other")),
        *(r for m, v in (("a", 5.0), ("b", 2.0)) for t in "xy" for r in results(m, t, [v, v], "third")),
    ]
    declared = {"cosine": {"mAP": Metric("mAP")}, "other": {"mAP": Metric("mAP", better="lower")}}
    found = ranks_of(board(*given, declared=declared), "mAP")
    ranked = [(one.evaluator, one.mean_rank.tolist()) for one in found.comparisons]
    assert ranked == [("cosine", [2, 1]), ("other", [2, 1])]
    reason = "it does not declare whether higher mAP is better"
    assert found.refused == (("third", Refused((), ("a", "b"), reason)),)


def test_one_result_that_saw_the_test_images_sets_its_cell_apart() -> None:
    given = everywhere(a=[0.1, 0.3], b=[0.2, 0.2], c=[0.9, 0.9])
    spoilt = results("c", "x", [0.9, 0.9], protocol=f"{PROTOCOL}, test-images")[1]
    given = [spoilt if one.row.key == spoilt.row.key else one for one in given]
    found = only(list(ranks_of(board(*given), "mAP").comparisons))
    assert found.methods == ("a", "b")
    assert found.missing == {("c", "x"): "its row is of a different kind (test-images)"}


def test_queries_are_read_by_pretraining_and_seed() -> None:
    """Results of seed 1, pre-training 0 and 1: .2 and .3; of seed 0: .4 and .5."""
    spread = np.array([-0.1, 0.0, 0.1])
    rows = [Row("a", "x", "cosine", seed, pre, f"{seed}{pre}", protocol=PROTOCOL) for seed in (1, 0) for pre in (0, 1)]
    given = [Result(row, "ok", {"mAP": 0.2 + n / 10}) for n, row in enumerate(rows)]
    arrays = {row.key or "": np.append(0.2 + n / 10 + spread, np.nan) for n, row in enumerate(rows)}
    (found,) = cells_of(board(*given, arrays=arrays), "cosine", "mAP")
    assert found.seeds == pytest.approx({(0, 0): 0.4, (0, 1): 0.2, (1, 0): 0.5, (1, 1): 0.3})
    answers = found.queries()
    assert answers is not None
    assert answers[:, :3] == pytest.approx(np.stack([mean + spread for mean in (0.4, 0.2, 0.5, 0.3)]))
    assert np.isnan(answers[:, 3]).all()
    (other,) = cells_of(board(*given, arrays={**arrays, "00": arrays["00"] / 2}), "cosine", "mAP")
    assert other.queries() is None  # they do not give the mAP
