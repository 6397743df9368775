"""Tables: summaries against hand calculation, every status with its reason, bytes that cannot break a table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from reidbench import Metric, report
from reidbench.errors import ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Row
from reidbench.metrics.comparisons.replicates import spread
from reidbench.registry.plugins import Registry
from reidbench.report.formats.notes import notes
from reidbench.report.formats.tables import markdown, one_line, table
from reidbench.report.results import USUAL, Leaderboard, Result, Summary, summarise
from reidbench.report.units import Scale, nearness, number, scale
from reidbench.store.artifacts import Store


def result(
    method: str = "m", task: str = "t", seed: int = 0, pretrain: int | None = None, status: str = "ok", **more: object
) -> Result:
    row = Row(method, task, "cosine", seed, pretrain, "key", protocol="source labels, AP step")
    metrics = more.get("metrics", {"mAP": 0.5, "cmc1": 0.75} if status == "ok" else {})
    return Result(row, status, metrics, str(more.get("error", "")))  # type: ignore[arg-type]


def board(*results: Result) -> Leaderboard:
    return Leaderboard("Title", results, tuple(summarise(results)))


def test_interval_against_scipy_and_by_hand() -> None:
    values = [0.40, 0.50, 0.60]
    mean, sd, ci95 = spread(seeds(values))
    assert mean == pytest.approx(0.5)
    assert sd == pytest.approx(0.1)
    assert ci95 is not None
    # t(2, .975) = 4.303; 4.303 x .1 / sqrt(3) = .2484
    assert ci95 == pytest.approx((0.5 - 0.2484, 0.5 + 0.2484), abs=1e-4)
    assert ci95 == pytest.approx(stats.t.interval(0.95, 2, loc=0.5, scale=0.1 / math.sqrt(3)))
    assert spread(seeds([0.3])) == (0.3, None, None)


def seeds(values: list[float]) -> dict[tuple[int | None, int | None], float]:
    return {(None, seed): value for seed, value in enumerate(values)}


def test_pretrainings_are_counted_apart_from_seeds() -> None:
    results = [
        result(seed=seed, pretrain=pretrain, metrics={"mAP": value})
        for seed, pretrain, value in ((0, 0, 0.2), (0, 1, 0.4), (1, 0, 0.5), (1, 1, 0.7))
    ]
    (summary,) = summarise(results)
    assert (summary.n, summary.pretrainings) == (2, 2)
    assert summary.results == 4
    assert summary.mean == pytest.approx((0.3 + 0.6) / 2)
    assert summary.sd == pytest.approx(math.sqrt((0.25**2 + 0.05**2 + 0.05**2 + 0.25**2) / 3))
    text = report.write(board(*results), "md")
    assert "the interval (Student's t) covers other seeds and other pre-trainings" in text


def test_markdown_shows_interval_seeds_and_reasons() -> None:
    results = [
        *(result(seed=seed, metrics={"mAP": 0.4 + 0.1 * seed}) for seed in range(3)),
        *(result("partial", seed=seed) for seed in range(2)),
        result("partial", seed=2, status="failed", error="finetune x: boom"),
        *(result("broken", seed=seed, status="blocked", error="adapt y: bang") for seed in range(3)),
        *(result("na", seed=seed, status="not-applicable", error="y needs a pool") for seed in range(3)),
        *(result("later", seed=seed, status="missing", error="not run yet") for seed in range(3)),
    ]
    text = report.write(board(*results), "md")
    assert "**50.0** ± 10.0 [25.2, 74.8]" in text
    assert "| 50.0 ± 0.0 [50.0, 50.0] (2/3 seeds)" in text  # two seeds, and no results of the queries: never bold
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "| failed " in lines["broken"]
    assert "| not applicable " in lines["na"]
    assert "| missing " in lines["later"]
    assert "- partial on t (seed 2): failed: finetune x: boom" in text
    assert "- broken on t (seed 0, 1, 2): failed: adapt y: bang" in text
    assert "- na on t: not applicable: y needs a pool" in text
    assert "source labels, AP step" in text


def test_tasks_with_evaluators_of_their_own_have_tables_of_their_own() -> None:
    """Tasks with the same evaluators share one, in the order of the file; no table has a cell that nobody judges."""
    rows = []
    for task, evaluators in (("a", ["cosine", "other"]), ("b", ["other"]), ("c", ["cosine", "other"])):
        for evaluator in evaluators:
            one = result(task=task)
            words = "source labels, a rule" if evaluator == "other" else "source labels, AP step"
            rows.append(replace(one, row=replace(one.row, evaluator=evaluator, protocol=words)))
    lines = markdown(board(*rows), "mAP").splitlines()
    tables = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| m")]
    assert tables[:5] == [
        ["method", "evaluator", "a", "c", "protocol"],
        ["m", "cosine", "50.0", "50.0", "source labels, AP step"],
        ["m", "other", "50.0", "50.0", "source labels, a rule"],
        ["method", "evaluator", "b", "protocol"],
        ["m", "other", "50.0", "source labels, a rule"],
    ]


def rows_of(method: str, values: list[float], protocol: str = "source labels, AP step") -> list[Result]:
    return [
        Result(Row(method, "t", "cosine", seed, None, "key", protocol=protocol), "ok", {"mAP": value})
        for seed, value in enumerate(values)
    ]


def test_leaders_are_the_best_and_its_ties() -> None:
    results = [
        *rows_of("best", [0.60, 0.62, 0.64]),
        *rows_of("tied", [0.59, 0.63, 0.62]),  # differences .01, -.01, .02: the interval holds 0
        *rows_of("behind", [0.50, 0.52, 0.54]),  # .10 behind in every seed
        *rows_of("cheat", [0.90, 0.91, 0.92], "truth, AP step"),
        *rows_of("peeking", [0.95, 0.96, 0.97], "target images, transductive, AP step"),
    ]
    assert report.leaders(board(*results), "t", "cosine", "mAP") == {"best", "tied", "cheat", "peeking"}
    text = report.write(board(*results), "md")
    assert "**62.0** ± 2.0" in text
    assert "| 52.0 ± 2.0" in text


def test_differences_are_paired_over_seeds() -> None:
    results = [*rows_of("base", [0.5, 0.6, 0.4]), *rows_of("new", [0.6, 0.7, 0.5]), *rows_of("mixed", [0.7, 0.5, 0.4])]
    found = {pair.method: pair for pair in report.differences(board(*results), "base", "mAP")}
    assert found["new"].better == 3
    assert found["new"].difference.value == pytest.approx(0.1)
    assert found["new"].difference.low == pytest.approx(0.1)  # the same gain in every seed: no spread
    # differences .2, -.1, 0: mean .0333, sd .1528, half-width 4.303 x .1528 / sqrt(3) = .3795
    assert found["mixed"].better == 1
    assert found["mixed"].difference.high == pytest.approx(0.0333 + 0.3795, abs=1e-3)
    text = report.write(board(*results), "md", against=["base"])
    assert "| +10.0 [+10.0, +10.0] 3/3 |" in text
    assert "| +3.3 [-34.6, +41.3] 1/3 " in text
    peeking = rows_of("peeking", [0.6, 0.7, 0.5], "target images, transductive, AP step")
    text = report.write(board(*results, *peeking), "md", against=["base", "peeking"])
    assert "| +10.0 [+10.0, +10.0] 3/3 (transductive) |" in text  # said on both sides, since never to be ranked
    assert "| -10.0 [-10.0, -10.0] 0/3 (transductive) |" in text
    assert text.count("(transductive)") == 4
    with pytest.raises(ReidbenchError, match="unknown method 'bass'; did you mean 'base'"):
        report.write(board(*results), "md", against=["bass"])


def test_differences_are_a_paragraph_of_their_own_and_name_who_is_not_among_them() -> None:
    results = [*rows_of("base", [0.5, 0.6, 0.4]), *rows_of("new", [0.6, 0.7])]
    gone = [result("gone", seed=seed, status="failed", error="boom") for seed in range(3)]
    text = report.write(board(*results, *gone), "md", against=["base", "gone"])
    first, second = map(text.index, ("mAP against base", "No differences on t: gone has no mAP."))
    assert first < second
    assert text[first - 2 : first] == "\n\n"  # or Markdown takes the line for one more of the table or list before
    assert text[second - 2 : second] == "\n\n"
    assert "No difference on t for gone: no seed has mAP for both." in text
    assert "Intervals over two seeds are only a hint." in text
    assert text.count("No difference") == 2


def test_seeds_without_a_metric_are_counted_and_named() -> None:
    results = [
        result("m", seed=0, metrics={"mAP": 0.5, "cmc1": 0.5}),
        result("m", seed=1, metrics={"mAP": 0.7, "cmc1": 0.5}),
        result("m", seed=2, metrics={"cmc1": 0.5}),
        result("other", seed=0, metrics={"mAP": 0.5, "cmc1": 0.5}),
    ]
    text = report.write(board(*results), "md")
    assert "| t      | m        | cosine      | 60.0 (2 seeds) | 50.0 | 3       |" in text
    assert "| t      | other    | cosine      | 50.0           | 50.0 | 1       |" in text
    assert "- m on t (seed 2) by cosine: not measured: its evaluator gives R1, not mAP" in text


def unseeded(method: str, pretrain: int | None = None, **more: object) -> Result:
    found = result(method, pretrain=pretrain, **more)  # type: ignore[arg-type]
    return replace(found, row=replace(found.row, seed=None, pretrained=pretrain is not None))


def test_a_row_without_a_seed_has_one_value_and_misses_no_seed() -> None:
    results = [
        *(result(seed=seed, metrics={"mAP": 0.4 + 0.1 * seed}) for seed in range(3)),
        unseeded("fixed", metrics={"mAP": 0.125}),
        *(unseeded("pretrained", p, metrics={"mAP": 0.2 * p}) for p in (1, 2)),
        unseeded("half", 0, metrics={"mAP": 0.375}),
        unseeded("half", 1, status="failed", error="boom"),
        unseeded("broken", status="failed", error="bang"),
    ]
    summaries = {summary.method: summary for summary in board(*results).summary}
    assert {name: (found.n, found.pretrainings, found.seedless) for name, found in summaries.items()} == {
        "m": (3, 0, False), "fixed": (1, 0, True), "pretrained": (1, 2, False), "half": (1, 1, False),
    }  # fmt: skip
    assert (summaries["fixed"].mean, summaries["fixed"].sd, summaries["fixed"].ci95) == (0.125, None, None)
    assert summaries["pretrained"].mean == pytest.approx(0.3)
    text = report.write(board(*results), "md")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    cells = {line[0]: line[1] for line in lines}
    assert cells["fixed"] == "12.5 (no seed)"
    # t(1, .975) = 12.706; 12.706 x .1414 / sqrt(2) = 1.2706
    assert cells["pretrained"] == "30.0 ± 14.1 [-97.1, 157.1]"
    assert cells["half"] == "37.5 (1/2 pre-trainings)"
    assert cells["broken"] == "failed"
    counts = {line[1]: line[-2:] for line in lines if line[0] == "t"}  # seeds, pre-trainings
    assert counts == {
        "m": ["3", "0"],
        "fixed": ["no seed", "0"],
        "pretrained": ["no seed", "2"],
        "half": ["no seed", "1"],
    }
    assert "they have one result (n = 1) and no interval over seeds" in text
    assert "- broken on t: failed: bang" in text
    assert "Rows with one seed are neither ranked nor bold: one seed does not separate methods." in text  # half
    assert "(no seed)" not in report.write(board(*results[:3]), "md")


def test_a_pretraining_without_a_seed_is_one_pretraining() -> None:
    row = replace(unseeded("m").row, pretrained=True)
    (summary,) = summarise([Result(row, "ok", {"mAP": 0.5})])
    assert (summary.n, summary.pretrainings, summary.seedless) == (1, 1, True)


def test_csv_and_json_say_that_there_is_no_seed() -> None:
    found = board(unseeded("fixed"), result(seed=3))
    first, second = csv.DictReader(io.StringIO(report.write(found, "csv")))
    assert (first["seed"], first["pretrain_seed"], second["seed"]) == ("", "", "3")
    loaded = json.loads(report.write(found, "json"))
    assert [row["seed"] for row in loaded["rows"]] == [None, 3]
    assert [(found["n"], found["seedless"]) for found in loaded["summary"] if found["metric"] == "mAP"] == [
        (1, True), (1, False),
    ]  # fmt: skip


def test_csv_is_one_row_a_line_without_times() -> None:
    text = report.write(board(result(), result(seed=1, status="failed", error='a, "b"\nc')), "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert rows[0]["mAP"] == "0.5"
    assert rows[1]["error"] == 'a, "b"\nc'
    assert not {"seconds", "date", "started"} & rows[0].keys()


def test_an_undeclared_metric_takes_no_column_of_every_table() -> None:
    text = report.write(board(result(metrics={"status": 2.0, "mAP": 0.5})), "csv")
    header = text.splitlines()[0].split(",")
    assert len(set(header)) == len(header)
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["status"], row["metric status"]) == ("ok", "2.0")


def test_a_table_without_map_ranks_by_what_is_declared() -> None:
    """Alphabetical order would take an undeclared metric, and rank nothing."""
    rank = {"cosine": {"median-rank": Metric("median-rank", better="lower")}}
    given = result(metrics={"a": 1.0, "median-rank": 3.0})
    assert Leaderboard("T", (given,), (), rank).main_metric == "median-rank"
    assert Leaderboard("T", (given,), (), {}).main_metric == "a"
    missing = result(status="missing")
    assert Leaderboard("T", (missing,), (), rank).main_metric == "median-rank"
    assert Leaderboard("T", (missing,), (), {}).main_metric == "mAP"


def test_a_metric_that_nobody_declares_is_refused_before_anything_ran() -> None:
    missing = result(status="missing")
    with pytest.raises(ReidbenchError, match="unknown metric 'map'; did you mean 'mAP'"):
        report.write(board(missing), "md", "map")
    assert "mINP" in report.write(board(missing), "md", "mINP")
    old = Leaderboard("T", (missing,), (), {})  # an evaluator that declares nothing may still give it
    assert "map" in report.write(old, "md", "map")


def test_one_method_has_none_to_be_compared_with() -> None:
    assert "No other method to compare with m." in report.write(board(result()), "md", against=["m"])


def test_json_has_the_documented_shape() -> None:
    loaded = json.loads(report.write(board(*(result(seed=seed) for seed in range(2))), "json"))
    assert loaded["title"] == "Title"
    assert loaded["rows"][0] == {
        "method": "m",
        "task": "t",
        "evaluator": "cosine",
        "seed": 0,
        "pretrain_seed": None,
        "status": "ok",
        "metrics": {"mAP": 0.5, "cmc1": 0.75},
        "error": "",
        "protocol": "source labels, AP step",
        "notes": [],
        "key": "key",
    }
    assert {"method", "task", "evaluator", "metric", "n", "mean", "sd", "ci95"} <= loaded["summary"][0].keys()
    assert loaded["summary"][0]["ci95"] == [0.5, 0.5]


def test_another_metric_and_an_unknown_one() -> None:
    assert "R1 in %" in report.write(board(result()), "md", "cmc1")
    with pytest.raises(ReidbenchError, match="known: mAP, cmc1"):
        report.write(board(result()), "md", "map")


def test_cells_cannot_break_the_table() -> None:
    text = table(["a|b"], [["x|y\nz"], ["<script>\x1b[31m"]])
    assert text.splitlines()[0].count("|") == 3  # two borders and one that is escaped
    assert "x\\|y z" in text
    assert "<script>" not in text
    assert "\x1b" not in text
    assert one_line("a\u2028b") == "a b"


def test_what_was_never_run_is_missing_and_what_failed_blocks(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    the_plan = plan.expand(reader.read(matrix(), registry))
    store = Store(tmp_path / "store")
    (found,) = report.collect(the_plan, store).results
    assert (found.status, found.error) == ("missing", "not run yet")
    finetune = next(stage for stage in the_plan.stages.values() if stage.kind == "finetune")
    store.record_failure(finetune.key, "boom")
    (found,) = report.collect(the_plan, store).results
    assert (found.status, found.error) == ("blocked", "finetune none [tiny, seed 0]: boom")
    store.record_failure(found.row.key or "", "own")
    (found,) = report.collect(the_plan, store).results
    assert found.status == "failed"


# ---------------------------------------------------------------------- intervals, notes, numbers
def test_an_interval_ends_where_the_range_does() -> None:
    """t(2, .975) x .1 / sqrt(3) = .2484 on both sides of .9, and the mAP cannot be above 1."""
    rows = rows_of("m", [0.8, 0.9, 1.0])
    (summary,) = summarise(rows, {"cosine": USUAL})
    assert summary.ci95 == pytest.approx((0.9 - 0.2484, 1.0), abs=1e-4)
    declared = Leaderboard("Title", tuple(rows), (summary,))
    text = report.write(declared, "md")
    assert "[65.2, 100.0]" in text
    assert "clipped to the metric's range" in text
    assert spread(seeds([-1.0, 11.0]), (0.0, math.inf))[2] == pytest.approx((0.0, 81.24), abs=0.01)
    inside = tuple(rows_of("m", [0.4, 0.5, 0.6]))
    assert "clipped to" not in report.write(
        Leaderboard("Title", inside, tuple(summarise(inside, {"cosine": USUAL}))), "md"
    )


def test_a_difference_ends_where_the_range_does() -> None:
    """One of 0 and 1 against the other: no difference of two shares is beyond 1."""
    results = [*rows_of("a", [1.0, 0.2]), *rows_of("b", [0.0, 0.1])]
    (pair,) = report.differences(board(*results), "b", "mAP")
    assert (pair.difference.low, pair.difference.high) == (-1.0, 1.0)


def noted(method: str, seed: int, *notes: str) -> Result:
    return replace(result(method, seed=seed), notes=notes)


def test_equal_notes_of_seeds_and_stages_are_one() -> None:
    results = [
        *(noted("m", seed, f"finetune bot [tiny, seed {seed}]: 3 images dropped") for seed in range(3)),
        *(noted("n", seed, f"adapt x [tiny, seed {seed}]: 3 images dropped", "data tiny: 1 name") for seed in range(2)),
        noted("o", 0, "finetune bot [tiny, seed 0]: 4 images dropped", "no label at all"),
    ]
    assert [note.text for note in notes(results)] == [
        "finetune bot [tiny, seeds 0, 1, 2]; adapt x [tiny, seeds 0, 1]: 3 images dropped",
        "data tiny: 1 name",
        "finetune bot [tiny, seed 0]: 4 images dropped",
        "no label at all",
    ]
    assert report.write(board(*results), "md").count("3 images dropped") == 1
    many = [noted(f"m{i}", 0, f"evaluate x of m{i} -> t [seed 0]: ties") for i in range(6)]
    assert notes(many)[0].text.endswith("m2 -> t [seed 0] and 3 more: ties")


def test_notes_are_in_csv_and_latex() -> None:
    results = [noted("m", seed, f"embed m [seed {seed}]: a\nb", "=1+1: x") for seed in range(2)]
    rows = list(csv.DictReader(io.StringIO(report.write(board(*results), "csv"))))
    assert rows[1]["notes"] == "embed m [seed 1]: a\nb; =1+1: x"
    comments = [line for line in report.write(board(*results), "latex").splitlines() if line.startswith("% note")]
    assert comments == ["% note: embed m [seeds 0, 1]: a b", "% note: =1+1: x"]


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.6346, USUAL["mAP"], "63.5"),
        (12.75, Metric("rank", unit="rank"), "12.75"),
        (12.75, None, "12.75"),
        (5.0, None, "5"),
        (123456.7, None, "123457"),
        (0.00012345, None, "0.0001234"),
        (0.0, None, "0"),
        (-3.25, None, "-3.25"),
    ],
)
def test_numbers_as_they_are_printed(value: float, metric: Metric | None, text: str) -> None:
    assert number(value, metric) == text
    assert number(value, metric, "+") == (text if value < 0 else f"+{text}")


@pytest.mark.parametrize(
    ("values", "metric", "expected"),
    [
        ([0.2, 0.8], USUAL["mAP"], [0.25, 1.0]),  # from 0, the worse end of its range
        ([1.0, 11.0, 6.0], Metric("rank", better="lower", range=(1, None)), [1.0, 0.0, 0.5]),
        ([0.25, 0.75], Metric("loss", better="lower", range=(0, 1)), [1.0, 1 / 3]),
        ([-4.0, -2.0], Metric("gain"), [0.0, 1.0]),
        ([7.0, 7.0], Metric("gain"), [1.0, 1.0]),
        ([7.0, 8.0], None, [0.0, 0.0]),
    ],
)
def test_colours_are_nearness_to_the_best(values: list[float], metric: Metric | None, expected: list[float]) -> None:
    found = nearness({str(i): value for i, value in enumerate(values)}, metric)
    assert list(found.values()) == pytest.approx(expected)


def test_bars_hold_their_intervals() -> None:
    def summary(mean: float, low: float, high: float) -> Summary:
        return Summary("m", "t", "e", "x", 3, 0, mean, 0.1, (low, high))

    share, rank = USUAL["mAP"], Metric("x", better="lower", range=(1, None))
    assert scale([summary(0.5, 0.4, 0.63)], share) == Scale(0, 0.7)
    assert scale([summary(0.95, 0.9, 1.0)], share) == Scale(0, 1)
    assert scale([summary(12.3, 11.0, 12.75)], rank) == Scale(1, 13)
    assert scale([summary(-3.0, -12.3, 2.0)], Metric("x")) == Scale(-13, 2)
    assert scale([summary(-3.0, -4.0, -2.0)], Metric("x")) == Scale(-4, 0)
    assert scale([summary(1.0, 1.0, 1.0)], None) is None
    assert scale([], share) is None
    assert Scale(1, 13).part(7) == 0.5
    assert Scale(1, 13).part(0) == 0


def crossed(method: str, *pretrainings: list[float | None]) -> list[Result]:
    return [
        result(method, seed=seed, pretrain=pretrain, **({"status": "failed", "error": "boom"} if value is None else
               {"metrics": {"mAP": value}}))  # type: ignore[arg-type]
        for pretrain, values in enumerate(pretrainings)
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_one_pretraining_is_named_and_changes_nothing_else() -> None:
    results = [replace(one, row=replace(one.row, pretrained=True)) for one in crossed("a", [0.3, 0.4, None])]
    text = report.write(board(*results), "md")
    assert "| 35.0 ± 7.1 [-28.5, 98.5] (2/3 seeds) |" in text
    assert "One pre-training, so that intervals leave out others: a." in text


def test_a_missing_result_of_several_pretrainings_leaves_no_interval() -> None:
    text = report.write(board(*crossed("a", [0.3, 0.4], [0.5, None])), "md")
    assert "| **40.0** (3/4 results) |" in text
    assert "No interval for a: not all pre-trainings have the same seeds." in text
