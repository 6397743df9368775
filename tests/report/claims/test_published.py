"""Published numbers: the rows that the page compares with them, and its sentences."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reidbench import report
from reidbench.matrix import plan
from reidbench.matrix.benchmark import Choice, DataRef, DataSource
from reidbench.matrix.reading import reader
from reidbench.matrix.reading.expect import data_set
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.report.html.page import render
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence, Provenance
from reidbench.report.results import Result, summarise
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, run_matrix
from tests.support.copies import market1501

EVIL = "<img src=x onerror=alert(1)> {{ 7*7 }}"
PLUGIN = f"""
from reidbench import Component, Paper, Published, hookimpl
from reidbench_baseline.params import HistogramParams
from reidbench_baseline.ranking_params import RankingParams
from reidbench_cluster.params import AdaBNParams

@hookimpl
def reidbench_finetuners():
    numbers = [
        *Published.line("market1501", {EVIL!r}, {EVIL!r}, "trapezoid", note={EVIL!r}, mAP=0.111, cmc99=0.5),
        *Published.line("market1501", "a baseline", "README", "step", beside=False, mAP=0.222),
        *Published.line("market1501", "no mAP", "README", cmc1=0.333),
        *Published.line("market1501", "rule not stated", "README", mAP=0.444),
        *Published.line("market1501", "one camera", "README", "step", rules=("queries of camera 0",), mAP=0.888),
        *Published.line("market1501(distractors=True)", "500,000 more", "README", "step", mAP=0.555),
    ]
    yield Component("evil", "reidbench_baseline.frozen:colour_histogram", HistogramParams,
                    traits=frozenset({{"label-free"}}), paper=Paper("T", published=numbers))

@hookimpl
def reidbench_adapters():
    numbers = [
        *Published.line("market1501", "no source", "README", "step", mAP=0.666),
        *Published.line("market-folder->market1501", "from elsewhere", "README", "step", mAP=0.777),
    ]
    yield Component("same", "reidbench_cluster.adabn:adapt", AdaBNParams, traits=frozenset({{"source-free"}}),
                    paper=Paper("T", published=numbers))

@hookimpl
def reidbench_evaluators():
    yield Component("silent", "reidbench_baseline.evaluators:cosine", RankingParams)
"""
MATRIX = """
title: published
image_size: [32, 16]
data:
  mine: {{use: market1501, root: {root}, check: "off"}}
  checked: {{use: market1501, root: {other}}}
  more: {{use: market1501, root: {root}, check: "off", distractors: true}}
  layout: {{use: market-folder, root: {root}}}
  market1501: {{use: synthetic, world: plaza, size: tiny}}
tasks:
  real: {{source: mine, target: mine}}
  checked: {{source: checked, target: checked}}
  cut: {{source: {{use: mine, identities: 2}}, target: mine}}
  all: {{source: {{use: mine, identities: 1.0}}, target: mine}}
  more: {{source: more, target: more}}
  layout: {{source: layout, target: layout}}
  rendered: {{source: market1501, target: market1501}}
  elsewhere: {{source: layout, target: mine}}
  alone: {{target: mine}}
  test: {{target: mine, adapt_on: test}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine, {{use: cosine, ap: trapezoid}}, k-reciprocal, silent]
methods:
  bot: {{finetune: {{use: bot, epochs: 1}}}}
  bot adapted: {{finetune: {{use: bot, epochs: 1}}, adapt: adabn}}
  bot and same: {{finetune: {{use: bot, epochs: 1}}, adapt: same}}
  same: {{finetune: none, adapt: same}}
  evil: {{finetune: evil}}
  evil too: {{finetune: {{use: evil, stripes: 2}}}}
  both: {{ensemble: [evil, evil too]}}
"""
PLAIN, TRAPEZOID = "cosine()", "cosine(ap=trapezoid)"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[report.Leaderboard, Plan, Store]:
    """A table made by hand: each row of a matrix has mAP .5 and rank 1 .6, and nothing was run."""
    folder = tmp_path_factory.mktemp("published")
    root, other = market1501(folder / "market"), market1501(folder / "other", images=3)
    (root / "images").mkdir()
    Image.new("RGB", (16, 32)).save(root / "images" / "0000_c1s1_000001_00.jpg")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        patch.delenv("REIDBENCH_PLUGINS", raising=False)
        make_plugin(folder / "site", "evil", PLUGIN)
        (folder / "matrix.yaml").write_text(MATRIX.format(root=root, other=other))
        registry = plugins.load()
        the_plan = plan.expand(reader.read(folder / "matrix.yaml", registry))
    results = [
        Result(row, "ok", {"mAP": 0.5, "cmc1": 0.6}) if row.key else Result(row, "not-applicable", error=row.reason)
        for row in the_plan.rows
    ]
    table = report.Leaderboard("published", tuple(results), tuple(summarise(results)))
    return table, the_plan, Store(folder / "store")


def cell(made: Any, method: str, task: str, evaluator: str = PLAIN) -> Provenance:
    found, the_plan, store = made
    return Evidence(the_plan, store).provenance(found, method, task, evaluator)


def beside(made: Any, method: str, task: str, evaluator: str = PLAIN) -> list[str]:
    """The published numbers of a cell, in %."""
    return [number for found in cell(made, method, task, evaluator).compared for number in found.published.values()]


def test_a_number_stands_only_beside_its_own_method_and_data(board: Any) -> None:
    ladder = ["94.1", "85.7", "95.4", "94.2"]  # the last two of its steps that a row can be
    networks = ["91.7", "77.8", "94.5", "85.9", "94.5", "87.1", "94.4", "86.3", "95.0", "88.2"]
    fast_reid = ["94.4", "86.1"]
    assert {task: beside(board, "bot", task) for task in board[0].tasks} == {
        **{task: [*ladder, *networks, *fast_reid] for task in ("real", "checked", "all")},
        **{task: [] for task in ("cut", "more", "layout", "rendered", "elsewhere", "alone", "test")},
    }
    assert all(beside(board, "bot adapted", task) == [] for task in board[0].tasks)
    assert all(beside(board, "both", task) == [] for task in board[0].tasks)


def test_an_adapters_number_is_for_the_labels_that_it_learned_from(board: Any) -> None:
    assert beside(board, "same", "alone") == ["66.6"]
    assert beside(board, "same", "real") == ["66.6"]  # the task has a source, of which this row takes nothing
    assert beside(board, "bot and same", "real") == []  # with the target's own labels
    assert beside(board, "bot and same", "elsewhere") == ["77.7"]
    assert beside(board, "bot and same", "rendered") == []


def test_neither_baselines_nor_metrics_that_were_not_measured(board: Any) -> None:
    assert beside(board, "evil", "real") == ["11.1", "33.3", "44.4", "88.8"]
    assert beside(board, "evil", "more") == ["55.5"]


@pytest.mark.parametrize(
    ("name", "params", "label"),
    [
        ("market1501", {"check": "strict", "strict": True}, "market1501"),
        ("market1501", {"distractors": True}, "market1501(distractors=True)"),
        ("dukemtmc-reid", {"accept_withdrawal": True}, "dukemtmc-reid"),
        ("msmt17-v1", {}, "msmt17-v1"),
        ("msmt17-v1", {"train": "trainval", "check": "off"}, "msmt17-v1(train=trainval)"),
        ("cuhk03-classic", {"boxes": "labeled", "split": 3}, "cuhk03-classic(boxes=labeled, split=3)"),
    ],
)
def test_parameters_that_change_the_content_make_another_data_set(
    registry: plugins.Registry, name: str, params: dict[str, Any], label: str
) -> None:
    component = registry.get("dataset", name)
    choice = Choice("dataset", component, component.params(**params))
    assert data_set({"mine": DataSource("mine", choice, None)}, DataRef("mine")) == label


def warnings(made: Any, method: str, evaluator: str) -> list[tuple[str, ...]]:
    return [found.warnings for found in cell(made, method, "real", evaluator).compared]


def test_another_rule_is_a_warning(board: Any) -> None:
    reranked = "the published row: re-ranked (k-reciprocal)"
    schedule = "the published row: a different schedule: rate falls at epochs 40 and 90"
    for evaluator, warning in (
        (TRAPEZOID, "other AP rule: published step, measured here trapezoid"),
        ("k-reciprocal", "other ranking rule: measured here with re-ranked (zhong)"),
        ("silent", "AP rule unknown: silent does not declare its rule"),
    ):
        assert set(warnings(board, "bot", evaluator)) == {(warning,), (warning, reranked), (warning, schedule)}
    assert set(warnings(board, "bot", PLAIN)) == {(), (reranked,), (schedule,)}
    assert warnings(board, "evil", PLAIN) == [
        ("other AP rule: published trapezoid, measured here step", f"the published row: {EVIL}"),
        (),  # no average precision
        ("AP rule unknown: not stated for the published mAP, measured here with step",),
        ("other ranking rule: published with queries of camera 0, measured here without",),
    ]
    assert warnings(board, "evil", "k-reciprocal")[-1] == (
        "other ranking rule: published with queries of camera 0, measured here with re-ranked (zhong)",
    )


def test_how_the_measured_row_was_made(board: Any) -> None:
    said = cell(board, "bot", "checked").circumstances
    assert said[:3] == (
        "resnet-tiny, images 32x16, 1 thread, precision 32-true",
        "steps before bot: none, so no pre-trained weights",
        "parameters with non-default values: epochs=1",
    )
    unchecked = cell(board, "bot", "real").circumstances
    assert any('check="off"' in sentence for sentence in unchecked)
    after = cell(board, "same", "test").circumstances
    assert "steps before same: finetune none" in after
    (found,) = cell(board, "same", "test").compared
    assert found.warnings == ("transductive: the measured row learned from the test images",)


def test_a_copy_that_is_not_the_published_set_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = """
    title: one cell
    image_size: [32, 16]
    data: {{mine: {{use: market1501, root: {root}}}}}
    tasks: {{mine: {{target: mine}}}}
    backbone: {{use: resnet-tiny, width: 4}}
    evaluate: cosine
    methods: {{colours: {{finetune: evil}}}}
    """
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delenv("REIDBENCH_PLUGINS")
    make_plugin(tmp_path / "site", "evil", PLUGIN)
    found = run_matrix(textwrap.dedent(matrix).format(root=market1501(tmp_path / "market")), tmp_path)
    registry = plugins.load()
    the_plan = plan.expand(reader.read(tmp_path / "matrix.yaml", registry))
    text = render(found, the_plan, Store(tmp_path / "store"), Options(ranked=0))
    made = text[text.index("The measured row was trained as follows") :]
    assert "train images 16" in made
    difference = "not the published market1501: train: 16 images, published: 12936"
    assert f'<strong class="warning">data mine: {difference}: 12920 missing</strong>' in made


def test_the_page_prints_the_rule_and_escapes(board: Any) -> None:
    found, the_plan, store = board
    text = render(found, the_plan, store, Options(ranked=0))
    pattern = r'<template id="detail-\d+">.*?aria-label="Details of (.*?)">(.*?)</template>'
    details: dict[str, str] = {}
    for name, detail in re.findall(pattern, text, re.DOTALL):
        details[name] = details.get(name, "") + detail  # of all evaluators
    assert "other AP rule: published step, measured here trapezoid</strong>" in text
    assert "<td>trapezoid</td>" in details["evil on real"]
    assert EVIL not in text
    assert "&lt;img src=x onerror=alert(1)&gt; {{ 7*7 }}" in details["evil on real"]
    assert "94.5" not in details["bot adapted on real"]
    assert "94.5" not in details["bot on rendered"]
    assert "reidbench show finetuner bot --published</code> lists" in details["bot on rendered"]
