"""Published rows of a file have a separate block in every format but CSV, and do not change the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidbench import report
from reidbench.cli import main
from reidbench.components import Metric, Published, fractions
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.packs.recorded import record, recorded_plan
from reidbench.registry import plugins
from reidbench.report.formats.quoted import block
from reidbench.report.options import Options
from reidbench.store.artifacts import Store

PUBLISHED = """
  - {row: PCB, task: tiny, metric: cmc1, value: 0.923, source: "ECCV 2018, Table 2"}
  - {row: PCB, task: tiny, metric: mAP, value: 0.774, ap: unknown, source: "ECCV 2018, Table 2"}
  - {row: "<b>PCB | RPP_1", task: tiny, metric: mAP, value: 0.81625, ap: trapezoid, source: README, note: re-ranked,
     rules: [ties worst, "queries of cameras 0+2"]}
"""
LINES = [
    ["PCB", "tiny", "77.4", "92.3", "unknown", "ECCV 2018, Table 2", ""],
    [
        *("<b>PCB | RPP_1", "tiny", "81.625", "-", "trapezoid", "README"),
        "ranking rules: ties worst, queries of cameras 0+2; re-ranked",
    ],
]
Made = tuple[Plan, Plan, Store]


@pytest.fixture
def made(matrix: Callable[..., Path], tmp_path: Path) -> Made:
    """A plan with published rows, the same without, and a store in which its one row has worse numbers than those."""
    known = plugins.load()
    plain, quoting = (plan.expand(reader.read(matrix(**more), known)) for more in ({}, {"published": PUBLISHED}))
    store = Store(tmp_path / "store")
    (row,) = plain.rows
    with store.publishing(row.key or "") as (_, manifest):
        manifest["stage"] = {"kind": "evaluate", "use": "cosine", "label": "made by hand"}
        manifest["metrics"] = {"mAP": 0.5, "cmc1": 0.25}
    return quoting, plain, store


def text(the_plan: Plan, store: Store, form: str) -> str:
    return report.table(the_plan, store, form, Options())


def test_lines_are_by_row_task_and_source_in_the_order_of_the_file(made: Made) -> None:
    found = block(report.collect(made[0], made[2]))
    assert found is not None
    assert found.headers == ["row", "task", "mAP", "R1", "AP rule", "source", "note"]
    assert found.lines == LINES
    assert found.introduction.endswith("not measured here and not ranked with the rows above; in %")
    assert block(report.collect(made[1], made[2])) is None


def test_markdown_has_a_block_below_an_unchanged_table(made: Made) -> None:
    quoting, plain, store = made
    without = text(plain, store, "md")
    assert text(quoting, store, "md").startswith(without)
    below = text(quoting, store, "md").removeprefix(without)
    assert below.lstrip().startswith("## Published rows\n")
    cells = [[cell.strip() for cell in line.split(" | ")] for line in below.splitlines() if line.startswith("| PCB")]
    assert [cell.strip("| ") for cell in cells[0]] == LINES[0]
    assert "&lt;b&gt;PCB" in below


def test_latex_has_a_second_table_below_an_unchanged_one(made: Made) -> None:
    quoting, plain, store = made
    without = text(plain, store, "latex")
    assert text(quoting, store, "latex").startswith(without)
    below = text(quoting, store, "latex").removeprefix(without)
    assert r"\begin{tabular}{llrrlll}" in below
    assert r"PCB & tiny & 77.4 & 92.3 & unknown & ECCV 2018, Table 2 &  \\" in below
    note = "ranking rules: ties worst, queries of cameras 0+2; re-ranked"
    assert (
        r"\textless{}b\textgreater{}PCB \textbar{} RPP\_1 & tiny & 81.625 & -- & trapezoid & README & "
        + note + r" \\"
        in below
    )  # fmt: skip


def test_json_has_them_beside_the_rows(made: Made) -> None:
    quoting, plain, store = made
    found, without = (json.loads(text(one, store, "json")) for one in (quoting, plain))
    published = found.pop("published")
    assert found == without
    assert published[0] == {
        "row": "PCB", "task": "tiny", "metric": "cmc1", "value": 0.923, "source": "ECCV 2018, Table 2", "note": "",
        "ap": None, "rules": [],
    }  # fmt: skip
    assert published[2]["rules"] == ["ties worst", "queries of cameras 0+2"]
    assert [(one["metric"], one["value"], one["ap"]) for one in published[1:]] == [
        ("mAP", 0.774, "unknown"), ("mAP", 0.81625, "trapezoid"),
    ]  # fmt: skip


def test_csv_has_measured_rows_only_and_says_so(made: Made) -> None:
    quoting, plain, store = made
    assert text(quoting, store, "csv") == text(plain, store, "csv")
    command = ["table", str(quoting.benchmark.file), "--store", str(store.root), "--format", "csv"]
    said = CliRunner().invoke(main.app, command, catch_exceptions=False).stderr
    assert said == "note: CSV contains measured rows only; published rows are in md, json, latex and html\n"


class Section(HTMLParser):
    """The cells of the table in the section of published rows, line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = self.cell = False
        self.lines: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = dict(attrs).get("id") == "quoted" if tag == "section" else self.inside
        if self.inside and tag == "tr":
            self.lines.append([])
        if self.inside and tag in ("td", "th"):
            self.cell = True
            self.lines[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "section"
        self.cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.cell:
            self.lines[-1][-1] += data


def test_the_page_has_a_section_of_its_own(made: Made) -> None:
    quoting, plain, store = made
    section = Section()
    section.feed(page := text(quoting, store, "html"))
    assert section.lines == [["Row", "Task", "mAP", "R1", "AP rule", "Source", "Note"], *LINES]
    assert 'href="#quoted"' in page
    assert "quoted" not in text(plain, store, "html")


def test_a_recorded_board_keeps_them(made: Made) -> None:
    quoting, _, store = made
    again = recorded_plan(json.loads(json.dumps(record(quoting))))
    assert again.benchmark.published == quoting.benchmark.published != ()
    assert text(again, store, "md") == text(quoting, store, "md")


def test_a_metric_of_another_unit_is_printed_in_it(made: Made) -> None:
    declared = {
        "timed": {"speed": Metric("speed", unit="img/s")},
        "cosine": {one.name: one for one in fractions("mAP")},
    }
    board = report.collect(made[0], made[2])
    (row,) = board.results
    timed = replace(row, row=replace(row.row, evaluator="timed"))
    numbers = tuple(Published(metric, value, "tiny", "A", "S") for metric, value in (("speed", 12.5), ("mAP", 0.5)))
    found = block(replace(board, results=(row, timed), declared=declared, published=numbers))
    assert found is not None
    assert found.lines == [["A", "tiny", "50.0", "12.5 img/s", "unknown", "S"]]
    assert found.introduction.endswith(", each in its own unit")
