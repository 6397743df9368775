"""`table --published`: cells and the numbers in `expect:`, with differences computed by hand."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidbench import report
from reidbench.cli import main
from reidbench.data.standin import MARK
from reidbench.errors import ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, Row
from reidbench.registry import plugins
from reidbench.report.claims.expected import Held, held
from reidbench.report.options import Options
from reidbench.report.results import Result, summarise
from reidbench.store.artifacts import Store
from tests.support.copies import market1501

MATRIX = """
title: compared
image_size: [32, 16]
seeds: [0, 1, 2]
data:
  market: {{use: market1501, root: {root}, check: "off"}}
  layout: {{use: market-folder, root: {root}}}
tasks:
  real: {{source: market, target: market}}
  test: {{source: layout, target: market, adapt_on: test}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine, {{use: cosine, ap: trapezoid}}, k-reciprocal]
methods:
  small: {{finetune: made}}
  old: {{finetune: {{use: made, bins: 4}}}}
  large: {{finetune: {{use: made, bins: 5}}}}
  re-ranked: {{finetune: {{use: made, bins: 6}}}}
  chosen: {{finetune: {{use: made, bins: 7}}}}
  base: {{finetune: {{use: made, bins: 3}}}}
  crowded: {{finetune: {{use: made, bins: 2}}}}
  moved: {{finetune: made, adapt: adabn}}
expect:
  old: {{real: "old rule"}}
  small: {{real: "Made, small, 32x16"}}
  large: {{real: {{row: "Made, 256x128, full", source: "paper, Table 1"}}}}
  re-ranked: {{real: "Made, re-ranked"}}
  chosen: {{real: "Made, chosen"}}
  base: {{real: baseline}}
  crowded: {{real: "Made, crowded"}}
  moved: {{test: "Made, across"}}
"""
PLAIN, TRAPEZOID = "cosine()", "cosine(ap=trapezoid)"
MAP = {PLAIN: (0.4, 0.5, 0.6), TRAPEZOID: (0.55, 0.55, 0.55), "k-reciprocal": (0.8, 0.8, 0.8)}  # by seed
# Three seeds with sd 0.1: the interval is mean +- t(2 degrees of freedom, 97.5 %) x 0.1 / sqrt(3).
HALF = 4.302652729911275 * 0.1 / math.sqrt(3)
UNRUN, FAILED, ONE_SEED = "re-ranked", "base", "large"
Made = tuple[report.Leaderboard, Plan, Store]


@pytest.fixture(scope="module")
def made(papers: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A table made by hand: nothing was run, and each cell has the numbers above, and rank 1 of 0.75."""
    folder = tmp_path_factory.mktemp("held")
    file = folder / "matrix.yaml"
    file.write_text(MATRIX.format(root=market1501(folder / "market")))
    the_plan = plan.expand(reader.read(file, plugins.load()))
    results = tuple(map(outcome, the_plan.rows))
    return report.Leaderboard("compared", results, tuple(summarise(results))), the_plan, Store(folder / "store")


def outcome(row: Row) -> Result:
    if row.method == FAILED:
        return Result(row, "failed", error="it went wrong")
    if row.method == UNRUN or (row.method == ONE_SEED and row.seed):
        return Result(row, "missing", error="not run yet")
    return Result(row, "ok", {"mAP": MAP[row.evaluator][row.seed or 0], "cmc1": 0.75})


@pytest.fixture(scope="module")
def lines(made: Made) -> list[Held]:
    return held(made[0], made[1])


def of(lines: Sequence[Held], method: str) -> list[Held]:
    return [line for line in lines if line.cell.method == method]


def written(made: Made, form: str, **options: Any) -> str:
    board, the_plan, store = made
    return report.write_board(board, the_plan, store, form, Options(published=True, **options))


def test_cells_stand_in_the_order_of_the_file_each_with_all_its_metrics(lines: list[Held]) -> None:
    found = [(line.cell.method, line.cell.task, line.number.metric) for line in lines]
    assert found == [
        *(("old", "real", metric) for metric in ("mAP", "cmc1")),
        *(("small", "real", metric) for metric in ("mAP", "cmc1")),
        *(("large", "real", metric) for metric in ("mAP", "cmc1")),
        ("re-ranked", "real", "mAP"),
        ("chosen", "real", "mAP"),
        *(("base", "real", metric) for metric in ("mAP", "distance")),
        ("crowded", "real", "mAP"),
        ("moved", "test", "mAP"),
    ]


def test_the_difference_is_the_measured_mean_less_the_published_number(lines: list[Held]) -> None:
    in_map, in_cmc1 = of(lines, "small")
    assert in_map.summary is not None
    assert (in_map.summary.mean, in_map.summary.n) == (pytest.approx(0.5), 3)
    assert in_map.difference == pytest.approx(0.5 - 0.6128)
    assert in_cmc1.difference == pytest.approx(0.75 - 0.7)
    assert in_map.rules == in_cmc1.rules == ()


def test_the_evaluator_of_the_published_rule_is_the_one_compared_with(lines: list[Held]) -> None:
    chosen = {line.cell.method: line.evaluator for line in lines}
    assert chosen == {
        **dict.fromkeys(("small", "large", "chosen", "base", "crowded", "moved"), PLAIN),
        "old": TRAPEZOID,
        "re-ranked": "k-reciprocal",
    }
    old, _ = of(lines, "old")
    assert old.difference == pytest.approx(0.55 - 0.7)
    assert old.rules == ()


def test_each_rule_that_differs_is_a_sentence(lines: list[Held]) -> None:
    rules = {line.cell.method: line.rules for line in reversed(lines)}  # those of the first metric of a cell
    size = "other image size: published 256x128, measured here 32x16"
    assert rules == {
        "old": (),
        "small": (),
        "large": (size,),
        "re-ranked": ("the published row: other batches",),
        "chosen": (
            "AP rule unknown: not stated for the published mAP, measured here with step",
            "other epoch choice: published best round on test data, measured here without test labels",
        ),
        "base": ("the published row: its component declares that no row compares with it",),
        "crowded": ("other data: published market1501(distractors=True), measured here market1501",),
        "moved": ("transductive: the measured row learned from the test images",),
    }


def test_the_size_is_that_of_the_rows_own_test_images(made: Made, tmp_path: Path) -> None:
    """A method with a different size, and an ensemble of two sizes."""
    text = MATRIX.format(root=made[1].benchmark.data["market"].root)
    text = text.replace("large: {finetune", "large: {image_size: [256, 128], finetune")
    text = text.replace("  base: {finetune", "  joined: {ensemble: [large, small]}\n  base: {finetune")
    joined = "  joined: {real: {row: full, source: README}}\n"
    (tmp_path / "sizes.yaml").write_text(text.replace("expect:\n", f"expect:\n{joined}"))
    the_plan = plan.expand(reader.read(tmp_path / "sizes.yaml", plugins.load()))
    lines = held(report.Leaderboard("sizes", tuple(map(outcome, the_plan.rows)), ()), the_plan)
    assert {line.rules for line in of(lines, "large")} == {()}
    assert {line.rules for line in of(lines, "joined")} == {
        ("other image size: published 256x128, measured here 256x128, 32x16",)
    }


def test_stand_in_data_are_a_rule_that_differs(made: Made, papers: Path, tmp_path: Path) -> None:
    root = market1501(tmp_path / "market")
    (root / MARK).write_text("{}")
    file = tmp_path / "matrix.yaml"
    file.write_text(MATRIX.format(root=root))
    marked = plan.expand(reader.read(file, plugins.load()))
    sentence = "stand-in data: market: generated by reidbench, not the published data set"
    board = replace(made[0], results=[outcome(row) for row in marked.rows])
    found = held(board, marked)
    assert {line.cell.method for line in found} >= {"small", "old"}
    assert all(sentence in line.rules for line in found if line.cell.task == "real")
    assert not any("stand-in" in rule for line in held(made[0], made[1]) for rule in line.rules)


ONE_CAMERA, TWO_CAMERAS = "queries of camera 0", "gallery of cameras 0+1, queries of cameras 0+1"


@pytest.mark.parametrize(
    ("evaluate", "nearest", "rules"),
    [
        ("[cosine, {use: cosine, query_cameras: [0]}]", 1, ()),
        ("[{use: cosine, query_cameras: [0]}, cosine]", 0, ()),
        ("[cosine]", 0, (f"other ranking rule: published with {ONE_CAMERA}, measured here without",)),
        (
            "[{use: cosine, query_cameras: [0, 1], gallery_cameras: [0, 1]}, cosine]",
            1,
            (f"other ranking rule: published with {ONE_CAMERA}, measured here without",),
        ),
        (
            "[{use: cosine, query_cameras: [0, 1], gallery_cameras: [0, 1]}]",
            0,
            (f"other ranking rule: published with {ONE_CAMERA}, measured here with {TWO_CAMERAS}",),
        ),
        (
            "[cosine, {use: cosine, query_cameras: [0], gallery_cameras: [1]}]",
            0,
            (f"other ranking rule: published with {ONE_CAMERA}, measured here without",),
        ),
        (
            "[{use: cosine, query_cameras: [0], shots: 1, draw_seed: 3}]",
            0,
            ("other ranking rule: measured here with gallery 1 shot per identity x10",),
        ),
    ],
)
def test_the_published_ranking_rules_choose_the_evaluator(
    made: Made, tmp_path: Path, evaluate: str, nearest: int, rules: tuple[str, ...]
) -> None:
    text = MATRIX.format(root=made[1].benchmark.data["market"].root).partition("expect:")[0]
    evaluators = "evaluate: [cosine, {use: cosine, ap: trapezoid}, k-reciprocal]"
    text = text.replace(evaluators, f"evaluate: {evaluate}") + 'expect: {small: {real: "Made, one camera"}}\n'
    (tmp_path / "rules.yaml").write_text(text)
    the_plan = plan.expand(reader.read(tmp_path / "rules.yaml", plugins.load()))
    rows = [Result(row, "ok", {"mAP": 0.5, "cmc1": 0.75}) for row in the_plan.rows]
    board = report.Leaderboard("rules", tuple(rows), tuple(summarise(rows)))
    found = held(board, the_plan)
    assert {line.evaluator for line in found} == {board.evaluators[nearest]}
    assert {line.rules for line in found} == {rules}


def test_where_no_evaluator_has_the_published_rule_it_is_said_of_map_alone(made: Made) -> None:
    board, the_plan, _ = made
    for kept, expected in (
        (0, {"old": "other AP rule: published trapezoid, measured here step",
             "re-ranked": "other ranking rule: published with re-ranking, measured here without"}),
        (2, {"old": "other AP rule: published trapezoid, measured here step",
             "small": "other ranking rule: measured here with re-ranked (zhong)"}),
    ):  # fmt: skip
        benchmark = replace(the_plan.benchmark, evaluate=(the_plan.benchmark.evaluate[kept],))
        found = held(board, replace(the_plan, benchmark=benchmark))
        for method, sentence in expected.items():
            assert sentence in of(found, method)[0].rules
        assert not any("AP rule" in rule for line in found if line.number.metric != "mAP" for rule in line.rules)


def test_markdown(made: Made) -> None:
    text = written(made, "md")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == [
        "method", "task", "metric", "published", "measured", "difference", "evaluator", "published row",
    ]  # fmt: skip
    assert [row[:7] for row in rows[2:]] == [
        ["old", "real", "mAP", "70.0", "55.0 [55.0, 55.0] (3 seeds)", "-15.0", TRAPEZOID],
        ["old", "real", "R1", "70.0", "75.0 [75.0, 75.0] (3 seeds)", "+5.0", TRAPEZOID],
        ["small", "real", "mAP", "61.28", "50.0 [25.2, 74.8] (3 seeds)", "-11.3", PLAIN],
        ["small", "real", "R1", "70.0", "75.0 [75.0, 75.0] (3 seeds)", "+5.0", PLAIN],
        ["large", "real", "mAP", "85.9", "40.0 (1/3 seeds)", "-45.9 (not comparable: 1)", PLAIN],
        ["large", "real", "R1", "94.5", "75.0 (1/3 seeds)", "-19.5 (not comparable: 1)", PLAIN],
        ["re-ranked", "real", "mAP", "90.0", "-", "- (not comparable: 2)", "k-reciprocal"],
        ["chosen", "real", "mAP", "50.0", "50.0 [25.2, 74.8] (3 seeds)", "+0.0 (not comparable: 3, 4)", PLAIN],
        ["base", "real", "mAP", "40.0", "failed", "- (not comparable: 5)", PLAIN],
        ["base", "real", "distance", "1.5", "failed", "- (not comparable: 5)", PLAIN],
        ["crowded", "real", "mAP", "30.0", "50.0 [25.2, 74.8] (3 seeds)", "+20.0 (not comparable: 6)", PLAIN],
        ["moved", "test", "mAP", "20.0", "50.0 [25.2, 74.8] (3 seeds)", "+30.0 (not comparable: 7)", PLAIN],
    ]
    assert rows[2][7] == "Made, small, 32x16, old rule (paper, Table 1)"
    reasons = re.findall(r"^(\d)\. (.*)$", text, re.MULTILINE)
    assert reasons[0] == ("1", "other image size: published 256x128, measured here 32x16")
    assert [number for number, _ in reasons] == list("1234567")
    assert "**" not in text  # nothing is ranked


def test_csv_and_json_have_the_values_themselves(made: Made) -> None:
    rows = list(csv.DictReader(io.StringIO(written(made, "csv"))))
    records = json.loads(written(made, "json"))["published"]
    assert len(rows) == len(records) == 12
    for row, record in zip(rows, records, strict=True):
        for name, value in record.items():
            text = (
                "; ".join(value) if isinstance(value, list) else str(value).lower() if value in (True, False) else value
            )
            assert row[name] == ("" if text is None else text if isinstance(text, str) else repr(text))
    small, unrun = records[2], records[6]
    assert small == {
        "method": "small", "task": "real", "metric": "mAP", "published": 0.6128, "measured": pytest.approx(0.5), "n": 3,
        "low": pytest.approx(0.5 - HALF), "high": pytest.approx(0.5 + HALF), "difference": pytest.approx(-0.1128),
        "comparable": True, "evaluator": PLAIN, "status": "ok", "rules": [], "component": "made",
        "row": "Made, small, 32x16", "source": "paper, Table 1",
    }  # fmt: skip
    empty = ("measured", "n", "low", "high", "difference")
    assert {name: unrun[name] for name in (*empty, "comparable", "status")} == {
        **dict.fromkeys(empty), "comparable": False, "status": "missing",
    }  # fmt: skip


def test_latex(made: Made) -> None:
    text = written(made, "latex")
    assert r"small & real & mAP & 61.28 & 50.0 {[}25.2, 74.8{]} (3 seeds) & -11.3 & cosine() \\" in text
    assert "% Not comparable because of 1: other image size: published 256x128, measured here 32x16" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert [line.count(" & ") for line in body] == [6] * 12
    assert r"\textbf" not in text


class Tables(HTMLParser):
    """The rows of each table, by section."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: dict[str, list[list[str]]] = {}
        self.section, self.cell = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        self.cell = tag in ("td", "th")
        if self.cell:
            self.rows[self.section][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.cell:
            self.rows[self.section][-1][-1] += data


def test_the_page_has_them_in_a_block_of_their_own(made: Made) -> None:
    board, the_plan, store = made
    with_them = written(made, "html", pictures="none")
    without = report.write_board(board, the_plan, store, "html", Options(pictures="none"))
    found, plain = Tables(with_them).rows, Tables(without).rows
    assert found.pop("published")[3][:6] == ["small", "real", "mAP", "61.28", "50.0 [25.2, 74.8] (3 seeds)", "-11.3"]
    assert found == plain  # the leaderboard and all else
    assert '<li class="wrap">other image size: published 256x128, measured here 32x16</li>' in with_them
    assert 'href="#published"' in with_them
    assert 'id="published"' not in without


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex", "html"])
def test_without_the_option_expectations_change_no_byte(made: Made, form: str) -> None:
    board, the_plan, store = made
    bare = replace(the_plan, benchmark=replace(the_plan.benchmark, expect=()))
    texts = [report.write_board(board, one, store, form, Options(pictures="none")) for one in (the_plan, bare)]
    assert texts[0] == texts[1]


def test_a_file_that_expects_nothing_is_told_so(made: Made) -> None:
    board, the_plan, store = made
    bare = replace(the_plan, benchmark=replace(the_plan.benchmark, expect=()))
    with pytest.raises(
        ReidbenchError, match=r"matrix.yaml has no `expect:`; add one that names the published row of a cell"
    ):
        report.write_board(board, bare, store, "md", Options(published=True))


@pytest.mark.slow
def test_from_a_run_to_the_table(papers: Path, tmp_path: Path) -> None:
    """The measured mean is the leaderboard's, and what was not run has none."""
    file, store = tmp_path / "matrix.yaml", ["--store", str(tmp_path / "store")]
    text = MATRIX.format(root=market1501(tmp_path / "market")).replace("seeds: [0, 1, 2]", "seeds: [0, 1]")
    file.write_text(text)
    run = ["run", str(file), "--executor", "inline", "--only", "small/real", *store]
    assert CliRunner().invoke(main.app, run).exit_code == 0
    board = json.loads(CliRunner().invoke(main.app, ["table", str(file), "--format", "json", *store]).stdout)
    (mean,) = (one["mean"] for one in board["summary"] if (one["evaluator"], one["metric"]) == (PLAIN, "mAP"))
    done = CliRunner().invoke(main.app, ["table", str(file), "--published", "--format", "json", *store])
    records = json.loads(done.stdout)["published"]
    (small,) = (one for one in records if (one["method"], one["metric"]) == ("small", "mAP"))
    assert (small["measured"], small["difference"], small["n"]) == (mean, mean - 0.6128, 2)
    assert {one["status"] for one in records if one["method"] != "small"} == {"missing"}
    refused = CliRunner().invoke(main.app, ["table", str(file), "--published", "--metric", "cmc1", *store]).exception
    assert "remove --metric, --against, --columns and --ranks" in str(refused)
