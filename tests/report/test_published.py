"""Published numbers: what a plugin may give, how `show` prints it, and beside which measured rows the page sets it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reidbench import Component, Paper, Published, report
from reidbench.matrix import plan, reader
from reidbench.matrix.benchmark import Choice, DataRef, DataSource
from reidbench.registry import plugins
from reidbench.registry import published as papers
from reidbench.report.html.page import render
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence, Provenance
from reidbench.report.published import data_set
from reidbench.report.results import Result, summarise
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, run_matrix, write_market_folder

NUMBER = Published("mAP", 0.859, "market1501", "BoT, ResNet-50", "README", "step")
EVIL = "<img src=x onerror=alert(1)> {{ 7*7 }}"


# ---------------------------------------------------------------------- what a plugin may give
@pytest.mark.parametrize(
    ("published", "where", "cure"),
    [
        ({"Market-1501 mAP/R1": "85.9/94.5"}, "paper.published must be a sequence", "give Published(metric, value"),
        ("85.9", "paper.published must be a sequence", "not str"),
        (NUMBER, "paper.published must be a sequence", "not Published"),
        (["85.9"], "paper.published[0] must be a reidbench.Published", "'85.9'"),
        ([replace(NUMBER, value=85.9)], ".value 85.9 of mAP", "write 0.859"),
        ([NUMBER, replace(NUMBER, metric="cmc1", value=-0.1)], "paper.published[1].value -0.1", "from 0 to 1"),
        ([replace(NUMBER, value=float("nan"))], ".value must be a number", "nan"),
        ([replace(NUMBER, value="0.859")], ".value must be a number", "'0.859'"),
        ([replace(NUMBER, value=True)], ".value must be a number", "True"),
        ([replace(NUMBER, metric="R1")], ".metric 'R1'", "write cmc1"),
        ([replace(NUMBER, metric="Rank-5")], ".metric 'Rank-5'", "write cmc5"),
        ([replace(NUMBER, metric="map")], ".metric 'map'", "write mAP"),
        ([replace(NUMBER, metric="")], ".metric must be text", "''"),
        ([replace(NUMBER, ap="trapezoidal")], ".ap 'trapezoidal'", "one of step, trapezoid, unknown"),
        ([replace(NUMBER, task="Market-1501")], ".task 'Market-1501'", "such as market1501"),
        ([replace(NUMBER, task="market1501 -> dukemtmc-reid")], ".task", "SOURCE->TARGET"),
        ([replace(NUMBER, task="market1501->")], ".task 'market1501->'", "SOURCE->TARGET"),
        ([replace(NUMBER, row=" ")], ".row must be text", "' '"),
        ([replace(NUMBER, source=None)], ".source must be text", "None"),
        ([replace(NUMBER, note=3)], ".note must be text", "3"),
        ([replace(NUMBER, beside="no")], ".beside must be True or False", "'no'"),
        ([NUMBER, replace(NUMBER, value=0.857)], "mAP of 'BoT, ResNet-50' on market1501 twice", "one source"),
    ],
)
def test_a_wrong_number_is_one_sentence_with_a_cure(published: Any, where: str, cure: str) -> None:
    component = Component("mine", "mine:run", paper=Paper("A title", published=published))
    with pytest.raises(plugins.PluginError) as caught:
        plugins.Registry().add("mine", [("finetuner", component)])
    sentence = str(caught.value)
    assert sentence.startswith("finetuner mine: paper.published")
    assert where in sentence
    assert cure in sentence
    assert "\n" not in sentence


def test_a_paper_must_be_a_paper() -> None:
    component = Component("mine", "mine:run", paper="A title")  # type: ignore[arg-type]
    with pytest.raises(plugins.PluginError, match=r"paper must be a reidbench\.Paper, not 'A title'"):
        plugins.Registry().add("mine", [("finetuner", component)])


def test_right_numbers_are_taken() -> None:
    tasks = ["market1501", "a->b", "a+b->c", "msmt17-v1(train=trainval)", "a(x=1, y=two)+b->c(z=True)"]
    numbers = [replace(NUMBER, task=task) for task in tasks]
    numbers += [replace(NUMBER, metric=metric) for metric in ("cmc1", "cmc20", "mINP", "tpr")]
    numbers += [replace(NUMBER, metric="distance_crop", value=1.4), replace(NUMBER, row="another", value=1)]
    component = Component("mine", "mine:run", paper=Paper("A title", published=numbers))
    plugins.Registry().add("mine", [("finetuner", component)])


def test_an_old_plugin_costs_no_other_plugin_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("REIDBENCH_PLUGINS")
    text = (
        "from reidbench import Component, Paper, hookimpl\n@hookimpl\ndef reidbench_finetuners():\n"
        "    yield Component('mine', 'old:run', paper=Paper('T', published={'Market-1501': '85.9/94.5'}))\n"
    )
    make_plugin(tmp_path, "old", text)
    registry = plugins.load()
    (complaint,) = registry.complaints()
    assert "paper.published must be a sequence of reidbench.Published, not dict" in complaint
    assert ("finetuner", "bot") in registry.components


# ---------------------------------------------------------------------- what is given
def test_every_task_names_a_data_set_that_there_is(registry: plugins.Registry) -> None:
    """With a parameter and a value that it has, else the number could stand beside no row."""
    seen = 0
    for component in registry.components.values():
        for number in component.paper.published if component.paper else ():
            for side in re.split(r"->|\+", number.task):
                name, _, given = side.rstrip(")").partition("(")
                values = dict(pair.split("=") for pair in given.split(", ") if pair)
                params = registry.get("dataset", name).params(**values)
                assert all(str(getattr(params, key)) == value for key, value in values.items())
                seen += 1
    assert seen > 50


def rows_of(registry: plugins.Registry, kind: str, name: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """Task and end of the row to the values as printed and the AP rule."""
    paper = registry.get(kind, name).paper
    assert paper is not None
    return {
        (line.first.task, line.first.row.rpartition(", ")[2] + f" ({line.first.source})"): (
            *(papers.percent(metric, value) for metric, value in line.values.items()),
            line.rule(),
        )
        for line in papers.lines(paper.published)
    }


def test_ap_rules_and_corrected_rows(registry: plugins.Registry) -> None:
    hhl = rows_of(registry, "adapter", "hhl")
    assert hhl["dukemtmc-reid->market1501", "L_CD (paper, Table 2)"] == ("31.4", "62.2", "trapezoid")
    assert hhl["market1501->dukemtmc-reid", "network trained on the source (paper, Table 1)"] == (
        *("0.059", "0.044", "0.614"),
        "",
    )
    spcl = rows_of(registry, "adapter", "spcl")
    assert spcl["market1501", "no source (paper and official README)"] == ("73.1", "88.1", "step")
    plain = ("market1501", "baseline (official README)")
    assert rows_of(registry, "finetuner", "transreid")[plain] == ("87.1", "94.6", "step")
    arn = {number.row: number.value for number in registry.get("adapter", "arn").paper.published}  # type: ignore[union-attr]
    assert len(arn) == 4
    sources = {source for _, source in rows_of(registry, "pretrainer", "dino")}
    assert {source.partition("(")[2] for source in sources} == {
        "paper, as in the official README)",
        "official README, the authors' reproduction)",
    }


@pytest.mark.parametrize(("kind", "name"), [("adapter", "gcl-oracle"), ("adapter", "gcl-contrast")])
def test_controls_have_no_number_of_the_method(registry: plugins.Registry, kind: str, name: str) -> None:
    paper = registry.get(kind, name).paper
    assert paper is not None
    assert paper.published == ()


def test_values_keep_the_digits_that_were_published() -> None:
    printed = [papers.percent("mAP", value) for value in (0.859, 0.8615, 0.91, 1, 0, 0.07)]
    assert printed == ["85.9", "86.15", "91.0", "100.0", "0.0", "7.0"]
    assert papers.percent("distance_crop", 0.049) == "0.049"


def test_show_prints_a_table() -> None:
    command = [sys.executable, "-m", "reidbench", "show", "adapter", "hhl"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    lines = done.stdout.splitlines()
    header = next(line for line in lines if line.startswith("task"))
    assert header.split() == ["task", "row", "mAP", "R1", "AP", "rule", "source", "note"]
    (found,) = [line for line in lines if line.startswith("market1501->dukemtmc-reid") and "L_CD" in line]
    assert re.split(r"\s{2,}", found.strip())[2:] == ["27.2", "46.9", "trapezoid", "paper, Table 2"]


# ---------------------------------------------------------------------- beside measured rows
PLUGIN = f"""
from reidbench import Component, Paper, Published, hookimpl
from reidbench_baseline.params import HistogramParams, RankingParams
from reidbench_cluster.params import AdaBNParams

@hookimpl
def reidbench_finetuners():
    numbers = [
        *Published.line("market1501", {EVIL!r}, {EVIL!r}, "trapezoid", note={EVIL!r}, mAP=0.111, cmc99=0.5),
        *Published.line("market1501", "a baseline", "README", "step", beside=False, mAP=0.222),
        *Published.line("market1501", "no mAP", "README", cmc1=0.333),
        *Published.line("market1501", "rule not stated", "README", mAP=0.444),
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


def market1501(folder: Path, images: int = 2) -> Path:
    """A folder of generated pictures that are named like Market-1501's."""
    for file in sorted(write_market_folder(folder, images=images).rglob("*.png")):
        Image.open(file).save(file.with_suffix(".jpg"))
        file.unlink()
    return folder


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[report.Leaderboard, plan.Plan, Store]:
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
    """The published numbers beside a cell, in %."""
    return [number for found in cell(made, method, task, evaluator).compared for number in found.published.values()]


def test_a_number_stands_only_beside_its_own_method_and_data(board: Any) -> None:
    of_bot = ["85.9", "94.5", "85.7", "94.1"]
    assert {task: beside(board, "bot", task) for task in board[0].tasks} == {
        "real": of_bot,
        "checked": of_bot,
        "all": of_bot,
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
    assert beside(board, "evil", "real") == ["11.1", "33.3", "44.4"]
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
    board: Any, registry: plugins.Registry, name: str, params: dict[str, Any], label: str
) -> None:
    component = registry.get("dataset", name)
    choice = Choice("dataset", component, component.params(**params))
    benchmark = replace(board[1].benchmark, data={"mine": DataSource("mine", choice, None)})
    assert data_set(benchmark, DataRef("mine")) == label


def warnings(made: Any, method: str, evaluator: str) -> list[tuple[str, ...]]:
    return [found.warnings for found in cell(made, method, "real", evaluator).compared]


def test_another_rule_is_a_warning(board: Any) -> None:
    assert warnings(board, "bot", PLAIN) == [(), ()]
    assert warnings(board, "bot", TRAPEZOID) == [("other AP rule: published step, measured here trapezoid",)] * 2
    assert (
        warnings(board, "bot", "k-reciprocal")
        == [
            ("other ranking rule: measured here with re-ranked (zhong)",),
        ]
        * 2
    )
    assert (
        warnings(board, "bot", "silent")
        == [
            ("AP rule unknown: silent does not say under which rule it measured",),
        ]
        * 2
    )
    assert warnings(board, "evil", PLAIN) == [
        ("other AP rule: published trapezoid, measured here step", f"the published row: {EVIL}"),
        (),  # no average precision
        ("AP rule unknown: none is stated for the published mAP, measured here is step",),
    ]


def test_how_the_measured_row_was_made(board: Any) -> None:
    said = cell(board, "bot", "checked").circumstances
    assert said[:3] == (
        "resnet-tiny, images 32x16, 1 thread, precision 32-true",
        "steps before bot: none, so no pre-trained weights",
        "parameters not at their defaults: epochs=1",
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
    made = text[text.index("How the measured row was made") :]
    assert "train images 16" in made
    difference = "not the published market1501: train: 16 images, published are 12936"
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
    assert "reidbench show finetuner bot</code> prints" in details["bot on rendered"]
