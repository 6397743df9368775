"""Results as frames, text and pages: the numbers of the table, in every form."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import reidbench
from reidbench import report
from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Row
from reidbench.report.breakdown.compare import tallies
from reidbench.report.results import Leaderboard, Result, summarise
from reidbench.report.standings import leaders

FAILS = "{use: command, extract: 'false {images} {out}'}"
TEXT = """
title: Test <b>board</b>
image_size: [32, 16]
seeds: [0, 1, 2]
data: {{tiny: {{use: market-folder, root: '{root}'}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  untrained: {{finetune: none}}
  colours: {{finetune: colour-histogram}}
  bot: {{finetune: {{use: bot, epochs: 1}}}}
  bad: {{finetune: {fails}}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, market: Path) -> reidbench.Results:
    """Two methods of three seeds, one of none, and one that fails."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "matrix.yaml").write_text(TEXT.format(root=market, fails=FAILS))
    return reidbench.run(folder / "matrix.yaml", store=folder / "store", executor="inline", progress=False)


def board(*results: Result, declared: Any = None) -> reidbench.Results:
    """Results that are put together by hand."""
    found = Leaderboard("By hand", results, tuple(summarise(results, declared)), declared)
    return reidbench.Results(found, None, None)  # type: ignore[arg-type]


def result(method: str, seed: int | None, metrics: dict[str, float], **more: Any) -> Result:
    return Result(
        Row(method, "t", "e", seed, None, f"key-{method}-{seed}", protocol="no labels"), "ok", metrics, **more
    )


# ---------------------------------------------------------------------- frames
def test_a_frame_has_a_row_for_each_result(results: reidbench.Results) -> None:
    pytest.importorskip("pandas")
    frame = results.frame()
    first = ["method", "task", "evaluator", "seed", "pretrain_seed", "status", "protocol"]
    assert list(frame.columns) == [*first, *results.board.metrics, "error", "key"]
    assert frame["method"].tolist() == ["untrained"] * 3 + ["colours"] + ["bot"] * 3 + ["bad"]
    assert frame["seed"].fillna(-1).tolist() == [0, 1, 2, -1, 0, 1, 2, -1]
    assert {str(frame[name].dtype) for name in results.board.metrics} == {"float64"}
    assert str(frame["seed"].dtype) == str(frame["pretrain_seed"].dtype) == "Int64"
    assert frame["mAP"].isna().tolist() == [False] * 7 + [True]
    assert frame["mAP"].tolist()[:7] == [one.metrics["mAP"] for one in results.board.results[:7]]
    assert "extract ended with exit code 1" in frame["error"].tolist()[-1]
    assert frame["key"].tolist() == [one.row.key for one in results.board.results]


def test_a_summary_has_the_numbers_of_the_json_table(results: reidbench.Results) -> None:
    pytest.importorskip("pandas")
    lines = results.summary().to_dict("records")
    expected = json.loads(report.write(results.board, "json"))["summary"]
    assert len(lines) == len(expected) == 3 * len(results.board.metrics)
    for line, wanted in zip(lines, expected, strict=True):
        low, high = wanted.pop("ci95") or (None, None)
        for name, value in {**wanted, "low": low, "high": high}.items():
            assert math.isnan(line[name]) if value is None else line[name] == value, name


def test_differences_are_those_of_the_table(results: reidbench.Results) -> None:
    pytest.importorskip("pandas")
    frame = results.against("untrained")
    assert frame["method"].tolist() == ["colours", "bot"]
    assert set(frame["metric"]) == {"mAP"}
    pairs = list(report.differences(results.board, "untrained", "mAP"))
    assert frame["difference"].tolist() == [pair.difference.value for pair in pairs]
    assert frame["better"].tolist() == [pair.better for pair in pairs]
    told = [one for one in tallies(results.board, "untrained", "mAP") if one.wins is not None]
    counted = [(one.wins, one.ties, one.losses) for one in told]
    assert frame[["wins", "ties", "losses"]].to_records(index=False).tolist() == counted
    assert {(one.wins or 0) + (one.ties or 0) + (one.losses or 0) for one in told} == {8}  # queries
    assert results.against("untrained", "cmc1")["metric"].tolist() == ["cmc1"] * 2
    with pytest.raises(ReidbenchError, match="unknown method 'bott'"):
        results.against("bott")
    with pytest.raises(ReidbenchError, match="unknown metric 'map'"):
        results.against("untrained", "map")


def test_the_score_is_computed_where_it_is_the_metric(results: reidbench.Results) -> None:
    """The mean of rank 1 and mAP, which no board has unless it is asked for."""
    pytest.importorskip("pandas")
    assert "score" not in results.frame().columns
    difference = results.against("untrained", "score").set_index("method").difference["bot"]
    parts = [results.against("untrained", one).set_index("method").difference["bot"] for one in ("mAP", "cmc1")]
    assert difference == pytest.approx(sum(parts) / 2, abs=1e-12)
    assert "not measured" not in results.markdown("score")
    assert results.leaderboard("score").loc["bot", "tiny"] in results.markdown("score").replace("  ", " ")


def test_differences_by_hand() -> None:
    """0.5 - 0.3 and 0.7 - 0.4: mean 0.25, sd 0.1/sqrt(2), t(0.975, 1) = 12.706, so 0.25 +- 12.706 * 0.05."""
    pd = pytest.importorskip("pandas")
    ours = [result("a", 0, {"mAP": 0.5}), result("a", 1, {"mAP": 0.7})]
    base = [result("b", 0, {"mAP": 0.3}), result("b", 1, {"mAP": 0.4})]
    (line,) = board(*ours, *base).against("b").to_dict("records")
    assert line["difference"] == pytest.approx(0.25)
    assert (line["low"], line["high"]) == pytest.approx((0.25 - 0.6353, 0.25 + 0.6353), abs=1e-4)
    assert (line["n"], line["better"], line["apart"]) == (2, 2, "")
    assert pd.isna(line["wins"])  # no results of queries are kept


def over_tasks(values: dict[str, dict[str, float]]) -> reidbench.Results:
    """Methods of two seeds on tasks, whose results of the queries were not kept."""
    return board(
        *(
            Result(Row(method, task, "e", seed, None, f"{method} {task} {seed}"), "ok", {"mAP": value})
            for method, row in values.items()
            for task, value in row.items()
            for seed in (0, 1)
        )
    )


def test_ranks_by_hand_and_what_is_left_out() -> None:
    pytest.importorskip("pandas")
    tasks = "uvwxy"
    values = {"a": dict.fromkeys(tasks, 0.3), "b": dict.fromkeys(tasks, 0.5), "c": {"u": 0.9}}
    found = over_tasks(values)
    frame = found.ranks()
    assert list(frame["method"]) == ["b", "a", "c"]
    assert list(frame["mean_rank"])[:2] == [1, 2]
    assert list(frame["win_rate"])[:2] == [1, 0]
    assert list(frame["borda"])[:2] == [5, 0]
    assert list(frame["tasks"]) == [5, 5, 5]
    assert frame[["low", "high"]].isna().all(axis=None)
    assert list(frame["nemenyi"][:2]) == ["", ""]  # 1 apart, which is more than the critical difference 0.88
    assert frame["group"].isna().all()
    assert list(frame["left_out"]) == ["", "", "complete on 1 of 5 tasks"]
    assert frame.loc[2, ["mean_rank", "win_rate", "borda"]].isna().all()
    assert "## Ranks over tasks" in found.markdown(ranks=True)
    assert "## Ranks over tasks" not in found.markdown()


def test_ranks_of_one_task_are_an_empty_frame(results: reidbench.Results) -> None:
    pytest.importorskip("pandas")
    frame = results.ranks()
    assert len(frame) == 0
    assert frame["mean_rank"].dtype == "float64"
    with pytest.raises(ReidbenchError, match="unknown metric 'accuracy'"):
        results.ranks("accuracy")


def test_a_leaderboard_has_the_cells_of_the_markdown_table(results: reidbench.Results) -> None:
    pytest.importorskip("pandas")
    frame = results.leaderboard()
    assert (list(frame.index), list(frame.columns)) == (results.board.methods, ["tiny", "protocol"])
    table = results.markdown()
    for method, line in frame.iterrows():
        assert re.search(rf"\| {method} +\| {re.escape(line['tiny'])} +\| {re.escape(line['protocol'])} +\|", table)
    assert frame.loc["bad", "tiny"] == "failed"
    assert "cmc1" not in set(frame.columns)
    assert results.leaderboard("cmc1").loc["bot", "tiny"] != frame.loc["bot", "tiny"]


def test_frames_of_several_evaluators_and_of_nothing() -> None:
    pytest.importorskip("pandas")
    one = result("a", 0, {"mAP": 0.5})
    two = dataclasses.replace(one, row=dataclasses.replace(one.row, evaluator="f"))
    several = board(one, two)
    assert list(several.leaderboard().index) == [("a", "e"), ("a", "f")]
    assert several.leaderboard().index.names == ["method", "evaluator"]
    missing = dataclasses.replace(one, status="missing", metrics={})
    for empty in (board(), board(missing)):
        assert len(empty.summary()) == len(empty.against("a") if empty.board.results else []) == 0
        assert list(empty.summary()["mean"]) == []
        assert len(empty.frame()) == len(empty.board.results)


def test_a_metric_with_the_name_of_a_column_has_a_column_of_its_own() -> None:
    pytest.importorskip("pandas")
    names = ["status", "metric status", "key", "metric"]
    given = {name: number / 10 for number, name in enumerate(names)}
    frame = board(result("a", 0, given)).frame()
    assert frame.columns.is_unique
    assert frame["status"].tolist() == ["ok"]
    headings = {
        "status": "metric status",
        "metric status": "metric metric status",
        "key": "metric key",
        "metric": "metric",
    }
    assert {name: frame[headings[name]].item() for name in names} == given


def test_without_pandas_the_cure_is_named(results: reidbench.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    for call in (results.frame, results.summary, results.leaderboard, lambda: results.against("bot")):
        with pytest.raises(ReidbenchError, match=r"a frame requires pandas: pip install 'reidbench\[pandas\]'"):
            call()
    assert results.markdown()
    assert results._repr_html_()


# ---------------------------------------------------------------------- text and pages
def test_markdown_is_what_the_table_prints(results: reidbench.Results) -> None:
    assert results.markdown() == report.write(results.board, "md")
    assert results.markdown("cmc1", against="bot") == report.write(results.board, "md", "cmc1", ["bot"])


def test_the_page(results: reidbench.Results) -> None:
    page = results.html()
    assert page.startswith("<!doctype html>") or page.lower().startswith("<!doctype html")
    assert "reidbench run matrix.yaml --only" in page
    assert results.html("cmc1") != page
    for arguments in ({"ranked": -1}, {"ranked": True}, {"pictures": "some"}):
        with pytest.raises(ReidbenchError, match="must be"):
            results.html(**arguments)  # type: ignore[arg-type]


class Tags(HTMLParser):
    """The tags of a page, the cells of its table, and whether all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        assert attrs == []
        self.open += [] if tag == "br" else [tag]
        self.cells += [""] if tag in ("th", "td") else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"th", "td"} & set(self.open):
            self.cells[-1] += data


def test_a_cell_of_a_notebook_has_the_table_and_what_belongs_beside_it(results: reidbench.Results) -> None:
    text = results._repr_html_()
    tags = Tags(text)
    assert tags.tags <= {"p", "b", "br", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert "Test &lt;b&gt;board&lt;/b&gt;" in text
    assert tags.cells[:4] == ["method", "tiny", "protocol", "untrained"]
    assert "Cells without a number" in text
    assert "extract ended with exit code 1" in text
    best = leaders(results.board, "tiny", "cosine", "mAP")
    assert best
    assert set(re.findall(r"<tr><th>([^<]*)</th><td><b>", text)) == best


def test_a_cell_of_a_notebook_escapes_all_text() -> None:
    hostile = '<script>alert("x")</script>**b**\u202e'
    one = result(hostile, 0, {"mAP": 0.5}, notes=(f"data {hostile}: {hostile}",))
    bad = dataclasses.replace(result("x", 0, {}), status="failed", error=hostile)
    text = board(one, bad)._repr_html_()
    assert "script" not in Tags(text).tags
    assert "\u202e" not in text
    assert "**b**" in text  # only a mean is bold


def test_a_long_list_is_counted() -> None:
    several = [dataclasses.replace(result(f"m{n}", 0, {}), status="failed", error=f"reason {n}") for n in range(50)]
    text = board(*several)._repr_html_()
    assert text.count("<li>") == 21
    assert "and 30 more" in text


def test_notes_of_several_seeds_are_one() -> None:
    rows = [
        result("a", seed, {"mAP": 0.5}, notes=(f"finetune bot [t, seed {seed}]: 3 files left out",)) for seed in (0, 1)
    ]
    assert board(*rows).notes == ("finetune bot [t, seeds 0, 1]: 3 files left out",)


def test_units_stay_those_of_the_evaluator() -> None:
    pytest.importorskip("pandas")
    declared = {"e": {"rank": Metric("rank", better="lower", unit="rank", range=(1, None))}}
    (line,) = board(result("a", 0, {"rank": 3.0}), declared=declared).summary().to_dict("records")
    assert (line["mean"], line["better"], line["unit"], line["n"]) == (3.0, "lower", "rank", 1)
    assert math.isnan(line["sd"])


def test_a_matrix_without_claims_has_an_empty_frame_of_them(results: reidbench.Results) -> None:
    pytest.importorskip("pandas")
    frame = results.claims()
    assert len(frame) == 0
    assert list(frame.columns)[:2] == ["say", "kind"]
    assert {str(frame[name].dtype) for name in ("effect", "low", "high", "p", "against", "power")} == {"float64"}
