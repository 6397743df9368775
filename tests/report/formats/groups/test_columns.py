"""Tables, JSON, LaTeX and the page show a group's numbers behind its tasks; files without families show nothing new."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench import report
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry
from reidbench.report.formats.groups import columns
from reidbench.report.options import Options
from reidbench.store.artifacts import Store

WORLDS = (
    "{a: {use: synthetic, size: tiny}, b: {use: synthetic, world: station, size: tiny}, "
    "c: {use: synthetic, world: arcade, size: tiny}}"
)
TASKS = "{dg: {leave-one-out: [a, b, c]}, own: {source: a, target: a}, '<i>life': {sequence: [a, b], unseen: [c]}}"
VALUES = {"dg: b+c->a": 0.1, "dg: a+c->b": 0.3, "dg: a+b->c": 0.8}


@pytest.fixture
def planned(matrix: Callable[..., Path], registry: Registry) -> Callable[..., Plan]:
    def made(tasks: str = TASKS, **parts: str) -> Plan:
        methods = "{plain: {finetune: none}, bot: {finetune: bot}}"
        file = matrix(data=WORLDS, tasks=tasks, methods=methods, seeds="[0, 1, 2]", **parts)
        return plan.expand(reader.read(file, registry))

    return made


def filled(the_plan: Plan, folder: Path, left_out: str = "") -> Store:
    """A store with the evaluations of a plan, with mAP by the task and the seed, but those of `bot` on one task."""
    store = Store(folder)
    for row in the_plan.rows:
        if row.key and not store.has(row.key) and (row.method, row.task) != ("bot", left_out):
            with store.publishing(row.key) as (_, manifest):
                value = VALUES.get(row.task, 0.5) + 0.01 * (row.seed or 0)
                manifest |= {
                    "stage": {"kind": "evaluate", "use": "cosine", "label": "made up"},
                    "settings": {"precision": "32-true"},
                    "versions": {},
                    "plugin": "made up",
                    "source": "0" * 8,
                    "platform": "none",
                    "processor": "one",
                    "seconds": 1.0,
                    "metrics": {"mAP": value, "cmc1": value},
                }
    return store


def lines_of(text: str, first: str) -> list[list[str]]:
    """The cells of the Markdown lines that begin with this cell."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [cells for cells in lines if cells[0] == first]


def test_the_numbers_of_a_group_come_behind_its_last_task(planned: Callable[..., Plan], tmp_path: Path) -> None:
    the_plan = planned()
    board = report.collect(the_plan, filled(the_plan, tmp_path / "store"))
    assert [column.task for column in columns(board)] == [
        "dg: b+c->a",
        "dg: a+c->b",
        "dg: a+b->c",
        "dg: mean",
        "own",
        "<i>life: a->a",
        "<i>life: a>b->a",
        "<i>life: a>b->b",
        "<i>life: a>b->c",
        "<i>life: seen average",
        "<i>life: unseen average",
        "<i>life: forgetting",
    ]


def test_markdown_has_the_mean_with_its_interval_and_says_what_is_missing(
    planned: Callable[..., Plan], tmp_path: Path
) -> None:
    the_plan = planned("{dg: {leave-one-out: [a, b, c]}}")
    store = filled(the_plan, tmp_path / "store", left_out="dg: a+c->b")
    text = report.table(the_plan, store, "md", Options())
    (plain, *_), (bot, *_) = lines_of(text, "plain"), lines_of(text, "bot")
    # (10 + 30 + 80) / 3 = 40 for seed 0, 41 and 42 for the others; t interval 4.303 / sqrt(3) around the mean
    assert plain[4].replace("*", "") == "41.0 ± 1.0 [38.5, 43.5]"
    assert bot[4] == "2 of 3 tasks"
    assert "- bot on dg: mean: 2 of 3 tasks: dg: a+c->b: missing" in text
    assert (
        "dg: mean: the mean over the tasks of the group, each with the same weight; seed by seed, then over seeds."
        in text
    )
    assert lines_of(text, "dg: mean")[0][1:5] == ["plain", "cosine", "41.0", "41.0"]


def test_differences_of_means(planned: Callable[..., Plan], tmp_path: Path) -> None:
    the_plan = planned()
    text = report.table(the_plan, filled(the_plan, tmp_path / "store"), "md", Options(), against=["plain"])
    headings = lines_of(text, "method")[-1]
    assert headings[1:5] == ["dg: b+c->a", "dg: a+c->b", "dg: a+b->c", "dg: mean"]
    assert "&lt;i&gt;life: forgetting" not in headings  # of which less is better


def test_json_has_definition_tasks_and_means(planned: Callable[..., Plan], tmp_path: Path) -> None:
    the_plan = planned("{dg: {leave-one-out: [a, b, c]}}")
    store = filled(the_plan, tmp_path / "store", left_out="dg: a+c->b")
    (group,) = json.loads(report.table(the_plan, store, "json", Options()))["groups"]
    assert (group["group"], group["number"], group["column"]) == ("dg", "mean", "dg: mean")
    assert group["tasks"] == list(VALUES)
    assert group["incomplete"] == [
        {"method": "bot", "evaluator": "cosine", "reason": "2 of 3 tasks: dg: a+c->b: missing"}
    ]
    found = {one["metric"]: one for one in group["summary"]}
    assert found["mAP"]["method"] == "plain"
    assert found["mAP"]["mean"] == pytest.approx(0.41)
    assert found["mAP"]["n"] == 3


def test_latex_has_the_columns(planned: Callable[..., Plan], tmp_path: Path) -> None:
    the_plan = planned("{dg: {leave-one-out: [a, b, c]}}")
    text = report.table(the_plan, filled(the_plan, tmp_path / "store"), "latex", Options())
    assert r"\begin{tabular}{lrrrrrrrr}" in text
    assert r"\multicolumn{2}{c}{dg: mean}" in text
    assert r"41.0 {\footnotesize $\pm$ 1.0}" in text


def test_the_page_has_a_section_whose_names_are_text(planned: Callable[..., Plan], tmp_path: Path) -> None:
    the_plan = planned()
    page = report.table(the_plan, filled(the_plan, tmp_path / "store"), "html", Options())
    section = page[page.index('<section id="groups"') :]
    section = section[: section.index("</section>")]
    assert '<th scope="col">&lt;i&gt;life: forgetting</th>' in section
    assert "<i>life" not in page
    assert ">41.0 ± 1.0 [38.5, 43.5]<" in section


def test_csv_has_rows_only(planned: Callable[..., Plan], tmp_path: Path) -> None:
    the_plan = planned()
    text = report.table(the_plan, filled(the_plan, tmp_path / "store"), "csv", Options())
    assert len(text.splitlines()) == 1 + len(the_plan.rows)
    assert "dg: mean" not in text


def test_a_file_without_families_shows_nothing_new(planned: Callable[..., Plan], tmp_path: Path) -> None:
    the_plan = planned("{own: {source: a, target: a}}")
    store = filled(the_plan, tmp_path / "store")
    board = report.collect(the_plan, store)
    assert [column.task for column in columns(board)] == board.tasks
    assert "groups" not in json.loads(report.table(the_plan, store, "json", Options()))
    assert 'id="groups"' not in report.table(the_plan, store, "html", Options())
    assert "the mean over the tasks of the group" not in report.table(the_plan, store, "md", Options())
