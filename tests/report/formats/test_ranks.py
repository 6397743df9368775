"""Ranks over tasks in Markdown, JSON and LaTeX: the numbers, what is left out, and what may be said of them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from reidbench import report
from reidbench.components import Metric
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Result
from reidbench.report.ranks.cells import ranks_of
from reidbench.report.ranks.sentences import letter
from reidbench.report.results import Declared, summarise
from reidbench.testing import run_matrix, write_market_folder
from tests.cli.test_main import reidbench

MATRIX = """
title: Ranks
image_size: [32, 16]
seeds: [0, 1, 2]
data: {tiny: {use: market-folder, root: TINY}, other: {use: market-folder, root: OTHER}}
tasks:
  first: {target: tiny}
  second: {target: other}
  again: {target: other}
backbone: {use: resnet-tiny, width: 4}
evaluate: [cosine]
methods:
  untrained: {finetune: none}
  colours: {finetune: colour-histogram}
"""
SPREAD = np.linspace(-0.05, 0.05, 40)


def results(method: str, task: str, values: list[float], evaluator: str = "cosine", name: str = "mAP") -> list[Result]:
    rows = [
        Row(method, task, evaluator, seed, None, f"{method} {task} {evaluator} {seed}", protocol="source labels")
        for seed in range(len(values))
    ]
    return [Result(row, "ok", {name: value}) for row, value in zip(rows, values, strict=True)]


def ranked(*given: Result, declared: Declared | None = None, keep: bool = True, name: str = "mAP") -> Leaderboard:
    arrays = {result.row.key: {"ap": result.metrics[name] + SPREAD} for result in given if result.metrics and keep}
    board = Leaderboard(
        "T", given, tuple(summarise(given, declared)), declared, queries=lambda key: arrays.get(key, {})
    )
    return dataclasses.replace(board, ranks=ranks_of(board, name))


def board_of(values: dict[str, dict[str, list[float]]], **more: object) -> Leaderboard:
    given = [one for method, row in values.items() for task, own in row.items() for one in results(method, task, own)]
    return ranked(*given, **more)  # type: ignore[arg-type]


def section(board: Leaderboard) -> str:
    text = report.write(board, "md", "mAP")
    return text[text.index("## Ranks over tasks") :]


def cells(text: str, method: str) -> list[str]:
    (line,) = re.findall(rf"^\| {re.escape(method)} .*$", text, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


CLOSE = {
    "best": {"x": [0.50, 0.51, 0.52], "y": [0.60, 0.61, 0.62]},
    "near": {"x": [0.51, 0.50, 0.50], "y": [0.61, 0.60, 0.60]},
    "far": {"x": [0.10, 0.11, 0.12], "y": [0.20, 0.21, 0.22]},
}


def test_markdown_has_the_numbers_and_says_what_they_are() -> None:
    text = section(board_of(CLOSE))
    assert cells(text, "method") == [
        *("method", "mean rank", "95 % interval", "win rate, %", "Borda", "group", "x", "y"),
    ]
    assert cells(text, "best") == ["best", "1.00", "[1.00, 2.00]", "100.0", "4", "a", "1 (51.0)", "1 (61.0)"]
    assert cells(text, "near") == ["near", "2.00", "[1.00, 2.00]", "50.0", "2", "a", "2 (50.3)", "2 (60.3)"]
    assert cells(text, "far") == ["far", "3.00", "[3.00, 3.00]", "0.0", "0", "", "3 (11.0)", "3 (21.0)"]
    assert "### mAP in %, by cosine" in text
    assert "Compared: 3 methods on the 2 tasks for which all of them have complete results." in text
    assert "cover other queries and seeds, not other tasks" in text
    assert "Methods that share a letter do not differ significantly" in text
    assert "No critical difference: a rank test requires at least 5 tasks, and there are 2." in text


def test_what_is_missing_is_shown_and_never_ranked() -> None:
    board = board_of({**CLOSE, "part": {"x": [0.9, 0.9, 0.9]}})
    failed = Result(Row("part", "y", "cosine", 0, None, "k"), "failed", error="bot [seed 0]: boom")
    text = section(ranked(*board.results, failed))
    assert cells(text, "part") == ["part", *["–"] * 5, "90.0", "–"]
    assert "Left out, method part: complete on 1 of 2 tasks." in text
    assert "Missing results (shown as –, not imputed): part on y: failed: bot [seed 0]: boom." in text
    assert cells(text, "best")[1] == "1.00"  # though part is better on x


def test_a_task_that_is_left_out_is_marked() -> None:
    values = {m: dict(row) for m, row in CLOSE.items()}
    values["best"]["z"] = [0.7, 0.7, 0.7]
    text = section(board_of(values))
    assert cells(text, "method")[-1] == "z (left out)"
    assert (cells(text, "best")[-1], cells(text, "far")[-1]) == ("70.0", "–")
    assert "Left out, task z: not complete for near, far." in text


def test_without_queries_and_with_one_seed_it_says_so() -> None:
    text = section(board_of(CLOSE, keep=False))
    assert cells(text, "best") == ["best", "1.00", "–", "100.0", "4", "1 (51.0)", "1 (61.0)"]
    assert "No intervals and no groups: best on x has no stored per-query results." in text
    assert "share a letter" not in text
    text = section(board_of({**CLOSE, "far": {"x": [0.1], "y": [0.2]}}))
    assert "Methods with a single seed on some task: far." in text
    assert cells(text, "far")[5] == "a"
    apart = {m: {t: [v + n / 10 for v in [0.5, 0.5, 0.5]] for t in "xy"} for n, m in enumerate("ab")}
    assert "All methods differ significantly" in section(board_of(apart))


def test_five_tasks_have_a_test_and_same_images_weaken_it() -> None:
    values = {m: {t: [0.5 - n / 10] * 3 for t in "uvwxy"} for n, m in enumerate("abc")}
    board = board_of(values)
    text = section(board)
    assert "Nemenyi's test over tasks, 95 %: mean ranks that differ by at least 1.48" in text
    assert "rejects the hypothesis that all methods have equal ranks" in text
    assert [cells(text, m)[6] for m in ("method", "a", "b", "c")] == ["Nemenyi", "a", "a b", "b"]
    same = dataclasses.replace(board, targets=dict.fromkeys("uv", "images"))
    text = section(dataclasses.replace(same, ranks=ranks_of(same, "mAP")))
    assert "u, v have the same test images and share the drawn queries." in text
    assert "The test assumes independent tasks." in text
    even = [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2], [3, 2, 1]]
    cycle = {m: {t: [even[n][k] / 10] * 3 for n, t in enumerate("uvwxy")} for k, m in enumerate("abc")}
    assert (
        "does not reject the hypothesis that all methods have equal ranks, so no methods differ significantly"
        in section(board_of(cycle))
    )


def test_evaluators_are_compared_apart_and_lower_may_be_better() -> None:
    declared = {
        "cosine": {"mAP": Metric("mAP", unit="%", range=(0, 1))},
        "other": {"mAP": Metric("mAP", better="lower")},
    }
    given = [
        one
        for evaluator in (*declared, "third")
        for method, value in (("a", 0.4), ("b", 0.6))
        for task in "xy"
        for one in results(method, task, [value, value], evaluator)
    ]
    text = section(ranked(*given, declared=declared))
    first, second = text.split("### ")[1:]
    assert cells(first, "b")[1] == cells(second, "a")[1] == "1.00"
    assert first.startswith("mAP in %, by cosine")
    assert second.startswith("mAP, lower is better, by other")
    assert "No ranks over tasks by third for a, b: it does not declare whether higher mAP is better." in text


def test_nothing_to_compare_is_one_sentence() -> None:
    text = section(board_of({"a": {"x": [0.1, 0.2]}, "b": {"x": [0.3, 0.2]}}))
    assert text == (
        "## Ranks over tasks\n\n"
        "No ranks over tasks by cosine for a, b: fewer than two methods are complete on two or more tasks.\n"
    )


def test_names_cannot_break_the_table() -> None:
    evil = "a|b\n<img src=x>"
    text = section(board_of({evil: CLOSE["best"], "near": CLOSE["near"], "part": {"x": [0.1]}}))
    assert "<img" not in text
    assert cells(text.replace("\\|", "!"), "a!b &lt;img src=x&gt;")[1] == "1.00"
    latex = report.write(board_of({"a_b & {c}": CLOSE["best"], "near": CLOSE["near"]}), "latex", "mAP")
    assert r"a\_b \& \{c\} & 1.00" in latex


def test_json_has_every_value_and_reason() -> None:
    board = board_of({**CLOSE, "part": {"x": [0.9, 0.9, 0.9]}})
    content = json.loads(report.write(board, "json"))["ranks"]
    assert (content["metric"], content["refused"]) == ("mAP", [])
    (found,) = content["comparisons"]
    assert found["methods"][1] == {
        **{"method": "near", "mean_rank": 2.0, "low": 1.0, "high": 2.0, "win_rate": 0.5, "borda": 2.0},
        "ranks": {"x": 2.0, "y": 2.0},
        "values": {"x": pytest.approx(0.5033333), "y": pytest.approx(0.6033333)},
    }
    assert found["groups"] == [["best", "near"]]
    assert found["left_out"] == [{"what": "method", "name": "part", "why": "complete on 1 of 2 tasks"}]
    assert found["missing"] == [{"method": "part", "task": "y", "why": "no such row"}]
    assert (found["test"], found["no_intervals"]) == (None, "")
    assert "ranks" not in json.loads(report.write(dataclasses.replace(board, ranks=None), "json"))


def test_latex_lines_fill_their_columns() -> None:
    text = report.write(board_of({**CLOSE, "part": {"x": [0.9]}}), "latex", "mAP")
    table = text.split(r"\begin{table}")[2]
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", table)
    body = [line for line in table.split("\n") if line.endswith(r" \\")]
    assert {len(line.split(" & ")) for line in body} == {len(columns)} == {8}
    assert r"part & -- & -- & -- & -- & -- & 90.0 & -- \\" in table
    only = report.write(board_of({"a": {"x": [0.1]}}), "latex", "mAP")
    assert "\n% No ranks over tasks by cosine for a: fewer than two" in only


@pytest.mark.parametrize(("number", "text"), [(0, "a"), (25, "z"), (26, "aa"), (51, "az"), (52, "ba"), (701, "zz")])
def test_letters_do_not_end(number: int, text: str) -> None:
    assert letter(number) == text


@pytest.mark.slow
def test_the_command(market: Path, tmp_path: Path) -> None:
    """A real run on two data sets, the second under two names."""
    other = write_market_folder(tmp_path / "other", seed=1)
    text = MATRIX.replace("TINY", str(market)).replace("OTHER", str(other))
    run_matrix(text, tmp_path)
    file = tmp_path / "matrix.yaml"
    file.write_text(text)
    store = ["--store", tmp_path / "store"]
    done = reidbench("table", file, *store, "--ranks")
    assert done.returncode == 0, done.stderr
    assert "Compared: 2 methods on the 2 tasks for which all of them have complete results." in done.stdout
    assert "Left out, task again: same results as on second, which counts once." in done.stdout
    assert {cells(done.stdout[done.stdout.index("## Ranks") :], m)[1] for m in ("untrained", "colours")} <= {
        *("1.00", "1.50", "2.00"),
    }
    done = reidbench("table", file, *store, "--ranks", "--format", "csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "reidbench: --ranks is not available with --format csv; use md, json, latex or html\n"
