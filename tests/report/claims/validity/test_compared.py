"""Measured orders against published ones: which pairs count, over which seeds, on which tasks, and what is named."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reidbench import Published, report
from reidbench.matrix.stage import Row
from reidbench.registry.plugins import Registry
from reidbench.report.claims.validity import text
from reidbench.report.claims.validity.compared import Found, compared
from reidbench.report.claims.validity.groups import Group, Stand
from reidbench.store.artifacts import Store
from tests.support.sites import publish, read

Matrix = Callable[..., Path]
ROWS = (f"{name}: {{finetune: {{use: bot, epochs: {epochs}}}}}" for epochs, name in enumerate("abcd", 1))
METHODS = f"{{{', '.join(ROWS)}}}"
TOO_FEW = "fewer than two rows of the group have comparable results for a common seed"


def stands(values: Mapping[str, float], task: str = "market1501", **fields: Any) -> dict[str, Stand]:
    """Rows with a published mAP of one table, by one rule where `fields` says no other."""
    fields = {"source": "Table 1", "ap": "step", **fields}
    return {row: Stand({(task, "mAP"): Published("mAP", v, task, row, **fields)}) for row, v in values.items()}


def group(rows: Mapping[str, Stand], *tasks: str) -> Group:
    return Group("g", "G", "", tasks or ("market1501",), ("mAP",), rows)


@pytest.fixture
def compare(matrix: Matrix, registry: Registry, tmp_path: Path) -> Callable[..., Found]:
    """Publishes mAP by row in a separate store, and compares a group with it."""

    def run(which: Group, numbers: Mapping[str, float] | Callable[[Row], float], **parts: str) -> Found:
        plan = read(matrix(**{"methods": METHODS, "seeds": "[0, 1]", **parts}), registry)
        store = Store(tmp_path / "store")
        publish(plan, store, numbers)
        return compared(which, report.collect(plan, store), plan)

    return run


def test_pairs_are_counted_and_named(compare: Callable[..., Found]) -> None:
    """Published a < b < c < d, measured b < a < c < d: of six pairs one is exchanged, tau 4 / 6."""
    rows = stands({"a": 0.50, "b": 0.60, "c": 0.70, "d": 0.80})
    found = compare(group(rows), {"a": 0.25, "b": 0.20, "c": 0.30, "d": 0.40})
    (order,) = found.orders
    assert (order.counts.concordant, order.counts.discordant, order.counts.tied) == (5, 1, 0)
    assert order.tau.value == pytest.approx(4 / 6)
    assert (order.tau.low, order.tau.high, order.tau.n) == (order.tau.value, order.tau.value, 2)
    (pair,) = order.discordant
    assert (pair.first, pair.second) == ("b", "a")
    assert (pair.published, pair.measured.value) == (pytest.approx(0.1), pytest.approx(-0.05))
    assert order.small
    assert (order.task, order.published, order.evaluator) == ("tiny", "market1501", "cosine")


def test_pairs_that_were_published_within_a_point_do_not_count(compare: Callable[..., Found]) -> None:
    rows = stands({"a": 0.500, "b": 0.509, "c": 0.510})
    (order,) = compare(group(rows), {"a": 0.3, "b": 0.2, "c": 0.4}).orders
    assert order.counts.pairs == 1  # a and c
    assert order.close == (("a", "b"), ("b", "c"))
    assert (order.tau.value, order.discordant) == (1, ())


@pytest.mark.parametrize(
    ("ap", "source", "counted"),
    [
        ("step", "Table 2", True),
        ("trapezoid", "Table 1", True),  # one table: one rule, even if unknown
        ("trapezoid", "Table 2", False),
        ("unknown", "Table 2", False),
    ],
)
def test_other_rules_of_average_precision_need_four_points(
    ap: str, source: str, counted: bool, compare: Callable[..., Found]
) -> None:
    near = stands({"a": 0.50}) | stands({"b": 0.53}, ap=ap, source=source)
    (order,) = compare(group(near), {"a": 0.3, "b": 0.2}).orders
    assert order.counts.pairs == counted
    assert order.rules == (() if counted else (("a", "b"),))
    far = stands({"a": 0.50}) | stands({"b": 0.54}, ap=ap, source=source)
    assert compare(group(far), {"a": 0.3, "b": 0.2}).orders[0].counts.pairs == 1


def test_two_unknown_rules_are_not_one(compare: Callable[..., Found]) -> None:
    rows = stands({"a": 0.50}, ap="unknown") | stands({"b": 0.53}, ap="unknown", source="Table 2")
    (order,) = compare(group(rows), {"a": 0.3, "b": 0.2}).orders
    assert order.rules == (("a", "b"),)
    assert math.isnan(order.tau.value)
    assert math.isnan(order.chance)


def test_equal_means_are_tied(compare: Callable[..., Found]) -> None:
    (order,) = compare(group(stands({"a": 0.5, "b": 0.6, "c": 0.7})), {"a": 0.3, "b": 0.3, "c": 0.4}).orders
    assert (order.counts.concordant, order.counts.tied) == (2, 1)
    assert [(pair.first, pair.second) for pair in order.tied] == [("b", "a")]
    assert order.tau.value == pytest.approx(2 / math.sqrt(3 * 2))


def test_seeds_that_a_row_lacks_are_left_out_of_all(compare: Callable[..., Found]) -> None:
    """Row b has no seed 1, where a would be better; a row without seeds has its value for each."""

    def numbers(row: Row) -> Any:
        values: dict[tuple[str, int | None], float | None] = {("a", 1): 0.9, ("b", 1): None, ("c", None): 0.5}
        return values.get((row.method, row.seed), {"a": 0.3, "b": 0.4}.get(row.method))

    methods = METHODS.replace("{use: bot, epochs: 3}", "colour-histogram")
    (order,) = compare(group(stands({"a": 0.5, "b": 0.6, "c": 0.7})), numbers, methods=methods).orders
    assert order.without == ("seed 1",)
    assert order.tau.n == 1
    assert order.counts.concordant == 3
    assert math.isnan(order.tau.low)


def test_a_row_without_results_is_named_and_the_others_compare(compare: Callable[..., Found]) -> None:
    rows = stands({"a": 0.5, "b": 0.6, "c": 0.7, "e": 0.8})
    found = compare(group(rows), {"a": 0.3, "b": 0.4})
    assert found.notes == ("not rows of Test: e",)
    (order,) = found.orders
    assert order.rows == ("a", "b")
    assert list(order.unmeasured) == ["c"]
    alone = compare(group(stands({"a": 0.5, "e": 0.8})), {"a": 0.3})
    assert alone.orders == ()
    assert alone.notes[1] == f"not compared: Test: tiny, {TOO_FEW}"


def test_plain_numbers_are_compared_with_the_plain_ranking(compare: Callable[..., Found]) -> None:
    """Re-ranked, a is better; published and by cosine distance, b is. The order of the evaluators does not matter."""
    rows = stands({"a": 0.5, "b": 0.6})
    values = {("a", "cosine"): 0.2, ("b", "cosine"): 0.3, ("a", "k-reciprocal"): 0.6, ("b", "k-reciprocal"): 0.5}
    for judges in ("[k-reciprocal, cosine]", "[cosine, k-reciprocal]"):
        found = compare(group(rows), lambda row: values.get((row.method, row.evaluator)), evaluate=judges)
        assert [(order.evaluator, order.tau.value) for order in found.orders] == [("cosine", 1)]
    reranked = stands({"a": 0.6, "b": 0.5}, rules=("re-ranked (zhong)",))
    (order,) = compare(group(reranked), lambda row: values.get((row.method, row.evaluator)), evaluate=judges).orders
    assert (order.evaluator, order.tau.value) == ("k-reciprocal", 1)


def test_an_evaluator_without_results_hides_no_order(compare: Callable[..., Found]) -> None:
    rows = stands({"a": 0.5, "b": 0.6, "c": 0.7})

    def numbers(row: Row) -> Any:
        lacking = row.evaluator == "cosine" and row.method != "a"
        return None if lacking else {"a": 0.1, "b": 0.2, "c": 0.3}.get(row.method)

    (order,) = compare(group(rows), numbers, evaluate="[cosine, {use: cosine, ap: trapezoid}]").orders
    assert (order.rows, order.tau.value) == (("a", "b", "c"), 1)


@pytest.mark.parametrize(
    "word", ["stand-in data", "transductive", "truth", "chosen on test labels", "declared as it likes"]
)
def test_rows_that_compare_with_nothing_published_are_left_out(
    word: str, matrix: Matrix, registry: Registry, tmp_path: Path
) -> None:
    plan, store = read(matrix(methods=METHODS), registry), Store(tmp_path / "store")
    publish(plan, store, {"a": 0.3, "b": 0.4, "c": 0.1})
    board = report.collect(plan, store)
    rows = [replace(one.row, protocol=f"{one.row.protocol}, {word}") for one in board.results]
    results = (
        replace(one, row=row) if row.method == "c" else one for one, row in zip(board.results, rows, strict=True)
    )
    (order,) = compared(
        group(stands({"a": 0.5, "b": 0.6, "c": 0.7})), replace(board, results=tuple(results)), plan
    ).orders
    left_out = word != "declared as it likes"
    assert order.unmeasured == ({"c": f"not comparable: {word}"} if left_out else {})
    assert order.tau.value == pytest.approx(1 if left_out else -1 / 3)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("{source: {use: tiny, identities: 2}, target: tiny}", "a part of the identities"),
        ("{source: other, target: tiny}", "not trained on its own data"),
        ("{target: tiny}", "not trained on its own data"),
        ("{source: copy, target: tiny}", "not trained on its own data"),
        ("{source: [tiny, other], target: tiny}", "not trained on its own data"),
        ("{source: tiny, target: tiny, adapt_on: test}", "learn from the test images"),
    ],
)
def test_tasks_of_another_kind_are_left_out(
    task: str, reason: str, compare: Callable[..., Found], market: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(market, tmp_path / "copy")  # another folder of the same kind
    folders = f"tiny: {{use: market-folder, root: {market}}}, copy: {{use: market-folder, root: {copy}}}"
    data = f"{{{folders}, other: {{use: synthetic, size: tiny}}}}"
    tasks = f"{{tiny: {{source: tiny, target: tiny}}, x: {task}}}"
    found = compare(group(stands({"a": 0.5, "b": 0.6})), {"a": 0.3, "b": 0.4}, data=data, tasks=tasks)
    assert [order.task for order in found.orders] == ["tiny"]
    assert any(note.startswith("not compared: Test: x, ") and reason in note for note in found.notes)


def test_transfer_is_held_against_each_published_direction(compare: Callable[..., Found], market: Path) -> None:
    """Measured a < b; published so in one direction and the reverse in the other."""
    data = f"{{tiny: {{use: market-folder, root: {market}}}, other: {{use: synthetic, size: tiny}}}}"
    there, back = "a1->b1", "b1->a1"
    first, second = stands({"a": 0.3, "b": 0.4}, there), stands({"a": 0.6, "b": 0.5}, back)
    rows = {row: Stand({**first[row].numbers, **second[row].numbers}) for row in first}
    tasks = "{across: {source: other, target: tiny}, own: {source: tiny, target: tiny}}"
    found = compare(group(rows, there, back), {"a": 0.1, "b": 0.2}, data=data, tasks=tasks)
    assert [(order.task, order.published, order.tau.value) for order in found.orders] == [
        ("across", there, 1),
        ("across", back, -1),
    ]
    assert found.notes == ("not compared: Test: own, which does not go from one data set to another",)


def test_the_page_says_why_a_file_with_the_rows_has_no_order(compare: Callable[..., Found]) -> None:
    rows = group(stands({"a": 0.5, "b": 0.6}))
    found = compare(rows, {"a": 0.1, "b": 0.2}, tasks="{x: {source: tiny, target: tiny, adapt_on: test}}")
    page = text.markdown([rows], [[found]])
    assert "No results yet." in page
    assert "- not compared: Test: x, where methods learn from the test images" in page
    none = group(stands({"a": 0.5, "z": 0.6}))  # a file with one row of the group is not about it
    assert "not compared" not in text.markdown([none], [[compare(none, {"a": 0.1})]])


def test_rows_without_a_common_seed_have_no_order(compare: Callable[..., Found]) -> None:
    numbers = {("a", 0): 0.3, ("b", 1): 0.3}
    found = compare(group(stands({"a": 0.5, "b": 0.6})), lambda row: numbers.get((row.method, row.seed)))
    assert (found.orders, found.notes) == ((), (f"not compared: Test: tiny, {TOO_FEW}",))


def test_the_page_says_all_of_it(compare: Callable[..., Found]) -> None:
    rows = stands({"a": 0.50, "b": 0.60, "c": 0.705, "d": 0.70})
    values = {"a": 0.25, "c": 0.5, "d": 0.1}
    found = compare(group(rows), lambda row: values.get(row.method, 0.2 + 0.2 * (row.seed or 0)))
    page = text.markdown([group(rows)], [[found]])
    cells = [cell.strip() for cell in page.split("| Test: tiny")[1].split("\n")[0].split("|")]
    # b, c and d over a; c and d over b; c and d are too close. Means: a .25, b .3, c .5, d .1.
    assert cells[1:8] == ["market1501", "mAP, cosine", "4 (too few)", "5", "3", "2", "0"]
    assert cells[8].startswith("0.20 [")
    assert cells[8].endswith("], 2 seeds")
    assert "Test: tiny, mAP, for market1501: d over a -15.0; d over b (-20.0)." in page  # by seed -10 and -30
    assert "Not counted for market1501, mAP, published too close: c and d." in page


def test_a_group_with_the_results_of_another_repeats_no_order(compare: Callable[..., Found]) -> None:
    """`more` has a row without results: its orders are those of `G`. With that row they are others."""
    rows = stands({"a": 0.50, "b": 0.60, "c": 0.70})
    more = replace(group(rows | stands({"d": 0.80})), title="more")
    few = "{a: {finetune: none}, b: {finetune: {use: bot, epochs: 1}}, c: {finetune: {use: bot, epochs: 2}}}"
    numbers = {"a": 0.25, "b": 0.20, "c": 0.30}
    found = [compare(one, numbers, methods=few) for one in (group(rows), more)]
    first, _, second = text.markdown([group(rows), more], [[one] for one in found]).partition("## more")
    assert "| Test: tiny" in first
    assert "| Test: tiny" not in second
    assert "All orders are equal to those of *G*. Not in any order: d." in second
    assert "Not in the order" not in second  # the file has no row d
    whole = [compare(one, numbers | {"d": 0.4}) for one in (group(rows), more)]
    _, _, second = text.markdown([group(rows), more], [[one] for one in whole]).partition("## more")
    assert "| Test: tiny" in second
    turned = replace(group(stands({"a": 0.70, "b": 0.60, "c": 0.50})), title="more")  # the same rows, another order
    both = [compare(one, numbers, methods=few) for one in (group(rows), turned)]
    _, _, second = text.markdown([group(rows), turned], [[one] for one in both]).partition("## more")
    assert "| Test: tiny" in second
