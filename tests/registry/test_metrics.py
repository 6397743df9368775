"""Metrics declared by an evaluator: checked when its plugin is loaded, and used by every table."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench import Metric, report
from reidbench.components import Component, fractions
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.registry.metrics import metrics_fault
from reidbench.report.html.page import render
from reidbench.report.options import Options
from reidbench.report.results import summarise
from reidbench.store.artifacts import Store
from reidbench.testing import check_plugin, make_plugin, run_matrix

PLUGIN = """
from reidbench import Component, Metric, Metrics, hookimpl

LOWER = Metric("median-rank", better="lower", unit="rank", range=(1, None))


@hookimpl
def reidbench_evaluators():
    yield Component("rank-of", "judges:rank_of", summary="x", metrics=(LOWER,))
    yield Component("old", "judges:old", summary="x")
    yield Component("half", "judges:half", summary="x", metrics=(Metric("median-rank", unit="px"),))
    yield Component("beyond", "judges:beyond", summary="x", metrics=(LOWER,))


def quality(ctx):
    # The wide network has 112 columns, the other one 28: a number for each method.
    return 12.0 if ctx.query.features.shape[1] > 100 else 4.0


def rank_of(ctx):
    return Metrics({"median-rank": quality(ctx) + 0.75})


def old(ctx):
    return Metrics({"mAP": 0.634, "weird": 12.75})


def half(ctx):
    return Metrics({"median-rank": 4096.0, "extra": 3})


def beyond(ctx):
    return Metrics({"median-rank": 0.25})
"""
MATRIX = """
title: Judged
image_size: [32, 16]
seeds: [0, 1, 2]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine, rank-of, old, half, beyond]
methods:
  untrained: {{finetune: none}}
  wide: {{backbone: {{use: resnet-tiny, width: 16}}, finetune: none}}
"""


@pytest.fixture(scope="module")
def judged(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plan, Store]]:
    """A matrix that was run with evaluators of each kind, an old one that declares nothing among them."""
    folder = tmp_path_factory.mktemp("judged")
    make_plugin(folder / "site", "judges", PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        patch.setenv("REIDBENCH_PLUGINS", "reidbench-judges")
        run_matrix(MATRIX.format(root=market), folder)
        registry = plugins.load()
        yield plan.expand(reader.read(folder / "matrix.yaml", registry)), Store(folder / "store")
    sys.modules.pop("judges", None)


def table_of(judged: tuple[Plan, Store], form: str, metric: str | None = None, against: tuple[str, ...] = ()) -> str:
    return report.table(*judged, form, Options(metric, pictures="none"), against)


def cells(text: str, *first: str) -> list[list[str]]:
    """The lines of Markdown tables that begin with these cells."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [line for line in lines if line[: len(first)] == list(first)]


@pytest.mark.slow
def test_lower_is_better_leads_and_is_bold(judged: tuple[Plan, Store]) -> None:
    text = table_of(judged, "md", "median-rank")
    assert cells(text, "untrained", "rank-of")[0][2] == "**4.75** ± 0 [4.75, 4.75] rank"
    assert cells(text, "wide", "rank-of")[0][2] == "12.75 ± 0 [12.75, 12.75] rank"
    assert "lower is better" in text
    places = report.places(report.collect(*judged), "t", "rank-of", "median-rank")
    assert {method: place.rank for method, place in places.items()} == {"untrained": 1, "wide": 2}


@pytest.mark.slow
def test_differences_count_what_is_better(judged: tuple[Plan, Store]) -> None:
    board = report.collect(*judged)
    (pair,) = [p for p in report.differences(board, "wide", "median-rank") if p.evaluator == "rank-of"]
    assert (pair.method, pair.better, pair.difference.value) == ("untrained", 3, pytest.approx(8.0))
    text = table_of(judged, "md", "median-rank", ("wide",))
    assert "median-rank against wide (by rank-of: lower is better, so positive is lower):" in text
    (row,) = [line for line in cells(text, "untrained", "rank-of") if len(line) == 3]
    assert row[2] == "+8 [+8, +8] rank 3/3"


@pytest.mark.slow
def test_what_is_not_declared_is_shown_as_it_is_and_never_ranked(judged: tuple[Plan, Store]) -> None:
    board = report.collect(*judged)
    assert report.leaders(board, "t", "old", "mAP") == set()
    assert report.places(board, "t", "old", "weird") == {}
    text = table_of(judged, "md", "weird", ("untrained",))
    assert "Nothing is bold: the evaluator does not declare" in text
    (row, *_) = cells(text, "wide", "old")
    assert row[2] == "12.75 ± 0 [12.75, 12.75]"
    assert "number of seeds where it is better" not in text
    (paired,) = [line for line in cells(text, "wide", "old") if len(line) == 3]
    assert paired[2] == "+0 [+0, +0] (3 seeds)"
    assert "63.4 %" not in table_of(judged, "md")


@pytest.mark.slow
def test_two_evaluators_may_declare_one_name_differently(judged: tuple[Plan, Store]) -> None:
    text = table_of(judged, "md", "median-rank")
    assert "median-rank in rank, lower is better (rank-of); median-rank in px (half)" in text
    assert cells(text, "wide", "half")[0][2] == "**4096** ± 0 [4096, 4096] px"


def test_a_percentage_that_was_given_as_such_is_refused_with_the_fraction() -> None:
    metric = Metric("mAP", unit="%", range=(0, 1))
    assert metric.fault(63.4).endswith("at least 0 and at most 1 (the unit % marks fractions: 63.4 % is 0.634)")
    assert "fractions" not in metric.fault(-0.5)
    assert "fractions" not in Metric("rank", range=(0, 1)).fault(63.4)


@pytest.mark.slow
def test_a_value_out_of_its_range_is_the_rows_failure(judged: tuple[Plan, Store]) -> None:
    board = report.collect(*judged)
    failed = [result for result in board.results if result.row.evaluator == "beyond"]
    assert {result.status for result in failed} == {"failed"}
    assert "beyond returned median-rank 0.25, but declares that it is at least 1" in failed[0].error


@pytest.mark.slow
def test_a_range_that_was_declared_later_holds_for_stored_values_too(judged: tuple[Plan, Store]) -> None:
    the_plan, store = judged
    narrow = Metric("mAP", unit="%", range=(0, 0.001))
    component = dataclasses.replace(the_plan.benchmark.evaluate[0].component, metrics=(narrow,))
    judge = dataclasses.replace(the_plan.benchmark.evaluate[0], component=component)
    benchmark = dataclasses.replace(the_plan.benchmark, evaluate=(judge, *the_plan.benchmark.evaluate[1:]))
    board = report.collect(dataclasses.replace(the_plan, benchmark=benchmark), store)
    found = board.cell("untrained", "t", "cosine")
    assert [(result.status, dict(result.metrics)) for result in found] == [("missing", {})] * 3
    assert "its result is damaged: cosine gave mAP" in found[0].error
    assert "at least 0 and at most 0.001" in found[0].error


@pytest.mark.slow
def test_a_stored_value_out_of_its_range_is_damaged_and_computed_again(tmp_path: Path, market: Path) -> None:
    """An mAP of 45.2, as an evaluator in per cent may have published it, is never shown as 4520.0."""
    matrix = f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{untrained: {{finetune: none}}}}
"""
    (good,) = run_matrix(matrix, tmp_path).results
    registry = plugins.load()
    the_plan, store = plan.expand(reader.read(tmp_path / "matrix.yaml", registry)), Store(tmp_path / "store")
    key = str(good.row.key)
    metrics = {**store.manifest(key).metrics, "mAP": 45.2}
    store.set_aside(key)
    with store.publishing(key) as (_, manifest):
        manifest["metrics"] = metrics
    (result,) = report.collect(the_plan, store).results
    assert (result.status, dict(result.metrics)) == ("missing", {})
    assert "its result is damaged: cosine gave mAP 45.2" in result.error
    assert "4520" not in report.write(report.collect(the_plan, store), "md")
    assert run_matrix(matrix, tmp_path).results == (good,)


@pytest.mark.slow
def test_an_undeclared_metric_beside_declared_ones_is_noted(judged: tuple[Plan, Store]) -> None:
    text = table_of(judged, "md")
    (note,) = [line for line in text.splitlines() if line.startswith("- ") and "extra: not declared" in line]
    assert "[seeds 0, 1, 2]" in note  # once for all seeds
    rows = list(csv.DictReader(io.StringIO(table_of(judged, "csv"))))
    assert all(("extra: not declared" in row["notes"]) == (row["evaluator"] == "half") for row in rows)
    assert "% note: evaluate half" in table_of(judged, "latex")


@pytest.mark.slow
def test_cells_that_an_evaluator_does_not_measure_say_so(judged: tuple[Plan, Store]) -> None:
    text = table_of(judged, "md")
    assert cells(text, "untrained", "rank-of")[0][2] == "not measured"
    assert "- every cell of rank-of: not measured: its evaluator gives median-rank, not mAP" in text
    assert "& not measured" in table_of(judged, "latex")


@pytest.mark.slow
def test_json_has_the_declarations_and_values_as_they_were_given(judged: tuple[Plan, Store]) -> None:
    loaded = json.loads(table_of(judged, "json"))
    found = {(entry["evaluator"], entry["metric"]): entry for entry in loaded["metrics"]}
    assert found["rank-of", "median-rank"]["better"] == "lower"
    assert found["rank-of", "median-rank"]["range"] == [1, None]
    assert (found["cosine", "mAP"]["unit"], found["cosine", "mAP"]["range"]) == ("%", [0, 1])
    assert found["old", "weird"]["better"] is None
    by_cell = {(s["evaluator"], s["metric"]): s for s in loaded["summary"] if s["method"] == "wide"}
    assert by_cell["old", "weird"]["mean"] == 12.75
    assert 0 < by_cell["cosine", "mAP"]["mean"] <= 1


@pytest.mark.slow
def test_the_page_follows_the_declarations(judged: tuple[Plan, Store]) -> None:
    the_plan, store = judged
    text = render(report.collect(the_plan, store), the_plan, store, Options("median-rank", pictures="none"))
    assert "Bars range from 1 to 13 rank (rank-of), from 0 to 4100 px (half)." in " ".join(text.split())
    heats = text.split('id="heat"')[1].split("</section>")[0]
    assert heats.count('class="heat"') == 2  # of the evaluators that measure it
    for name in ("cosine", "old", "beyond"):
        assert f"<caption>{name}</caption>" not in heats
    rank_of = heats.split("<caption>rank-of</caption>")[1].split("</table>")[0]
    assert sorted(part.split("%")[0] for part in rank_of.split("--heat:")[1:]) == ["0", "100"]
    board = text.split('id="board"')[1].split("</table>")[0]
    assert "not measured</span>" in board
    assert ">ok<" not in board
    assert board.count('href="#note-1"') == 2  # the rows by `half`
    assert '<li id="note-1"' in text


@pytest.mark.slow
def test_charts_are_drawn_only_of_what_was_measured(judged: tuple[Plan, Store], tmp_path: Path) -> None:
    the_plan, store = judged
    report.table(the_plan, store, "md", Options("median-rank"), figures=tmp_path)
    found = {file.stem for file in tmp_path.glob("*.svg")}
    assert found == {"cmc_t_cosine", "seconds_t_rank-of", "seconds_t_half", "heatmap_rank-of", "heatmap_half"}
    text = render(report.collect(the_plan, store), the_plan, store, Options(pictures="none"))
    charts = json.loads(text.split('id="chart-data">')[1].split("</script>")[0])
    found = {place: set(figures) for place, figures in charts.items() if place != "template"}
    assert found == {"0-0": {"cmc", "cost"}, "0-2": {"cost"}}


@pytest.mark.slow
def test_a_table_without_map_shows_what_there_is(judged: tuple[Plan, Store]) -> None:
    """Its main metric is then another one, and a run does not end in an error."""
    the_plan, store = judged
    only = the_plan.only([row for row in the_plan.rows if row.evaluator == "rank-of"])
    assert report.table(only, store, "md", Options()).splitlines()[2].startswith("median-rank in rank")
    page = render(report.collect(only, store), only, store, Options(pictures="none"))
    assert "median-rank in rank" in page


@pytest.mark.slow
def test_show_prints_the_declarations(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reidbench", "show", "evaluator", "cosine"], capture_output=True, text=True
    )
    assert "metric: mAP: higher is better, %, at least 0 and at most 1" in done.stdout


# ---------------------------------------------------------------------- when a plugin is loaded
@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ((Metric("x", better="Lower"),), "did you mean 'lower'?"),  # type: ignore[arg-type]
        ((Metric("x", better="up"),), "must be 'higher' or 'lower'"),  # type: ignore[arg-type]
        ((Metric("x", range=(1, 0)),), "must have its lower end first"),
        ((Metric("x", range=(0, float("nan"))),), "each a finite number or None"),
        ((Metric("x", range=(0, 1, 2)),), "must be (lowest, highest)"),  # type: ignore[arg-type]
        ((Metric("x", range=None),), "must be (lowest, highest)"),  # type: ignore[arg-type]
        ((Metric("x", unit="%", range=(0, 100)),), "63.4 % is the value 0.634"),
        ((Metric("x", unit=3),), "must be a word"),  # type: ignore[arg-type]
        ((Metric("a\nb"),), "must have a name of letters"),
        ((Metric("status"),), "a column of every table"),
        ((Metric("x"), Metric("x", better="lower")), "declared twice"),
        ("mAP", "must be a tuple of reidbench.Metric"),
        (("mAP",), "must be a tuple of reidbench.Metric"),
    ],
)
def test_faults_of_declarations(metrics: Any, sentence: str) -> None:
    assert sentence in metrics_fault("evaluator", metrics)
    with pytest.raises(plugins.PluginError) as caught:
        plugins.Registry().add("p", [("evaluator", Component("judge", "m:f", metrics=metrics))])
    assert str(caught.value).startswith("evaluator judge: ")
    assert str(caught.value).isprintable()


def test_good_declarations() -> None:
    fine = [Metric("R@1", unit="%", range=(0, 1)), Metric("gain", unit="%"), Metric("loss", better="lower", unit="dB")]
    assert metrics_fault("evaluator", fine) == ""
    assert metrics_fault("evaluator", ()) == ""
    assert "only evaluators declare metrics" in metrics_fault("finetuner", fractions("mAP"))


def test_a_range_may_be_a_list() -> None:
    assert Metric("x", range=[1, None]) == Metric("x", range=(1, None))  # type: ignore[arg-type]
    assert hash(Metric("x", range=[1, None])) == hash(Metric("x", range=(1, None)))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_contract_suite_names_what_is_not_declared(judged: tuple[Plan, Store]) -> None:
    report_of = {line.name: line for line in check_plugin("reidbench-judges").lines}
    assert "not declared in `metrics`, so never ranked: mAP, weird" in report_of["old"].text
    assert "so never ranked: extra" in report_of["half"].text
    assert "never ranked" not in report_of["rank-of"].text
    assert "declares that it is at least 1" in report_of["beyond"].text


def test_a_rounding_beyond_the_range_is_no_fault() -> None:
    (share,) = fractions("mAP")
    assert share.fault(1 + 1e-15) == ""
    assert share.fault(-1e-15) == ""
    assert "at least 0 and at most 1" in share.fault(1.001)
    assert Metric("free").fault(-1e300) == ""


@pytest.mark.slow
def test_the_page_counts_the_seeds_that_gave_the_metric(judged: tuple[Plan, Store]) -> None:
    board = report.collect(*judged)
    results = tuple(
        dataclasses.replace(found, metrics={"extra": 3.0})
        if (found.row.method, found.row.evaluator, found.row.seed) == ("wide", "half", 1)
        else found
        for found in board.results
    )
    some = dataclasses.replace(board, results=results, summary=tuple(summarise(results, board.declared)))
    page = render(some, *judged, Options("median-rank", pictures="none"))
    assert "1 of 3 without a number: its evaluator gives extra, not median-rank" in page
    assert page.count("1 of 3 without a number") == 1
    assert re.search(r'<td class="number mid" data-order="2">2/3</td>', page)
    assert "<small>(2 seeds)</small>" in render(some, *judged, Options("extra", pictures="none"))
