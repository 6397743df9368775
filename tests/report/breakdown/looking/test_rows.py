"""A closer look at every row, on the page of a leaderboard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reidbench import report
from reidbench.matrix.stage import Plan
from reidbench.report.breakdown.looking.rows import Seen, looks
from reidbench.report.html.page import render
from reidbench.report.html.ranked import Thumbnails
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.store.artifacts import Store
from tests.report.breakdown.looking.test_section import load
from tests.support.browser import browsing, find, in_browser, requests, view, wait
from tests.support.lines import run_line, write_line

Made = tuple[Plan, Store]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("rows")
    write_line(folder)
    rows = "near: {features: near.npz}", "network: {finetune: {use: none}}"
    return run_line(folder, "[k-reciprocal, euclidean]", *rows)


def found(made: Made, **options: Any) -> list[Seen]:
    return list(looks(report.collect(*made), Evidence(*made), Options(**options), Thumbnails()))


def test_each_method_and_task_once(made: Made) -> None:
    """By its first seed, ranked by the evaluator that can be reproduced."""
    rows = found(made, look=load(made), pictures="all", ranked=1)
    assert [(one.method, one.task, one.evaluator, one.look.name) for one in rows] == [
        ("near", "t", "k-reciprocal", "near on t"),
        ("network", "t", "k-reciprocal", "network on t, seed 0"),
    ]
    assert all(one.look.rows[0].ranking == "ranked as by euclidean" for one in rows)
    assert [len(one.look.queries) for one in rows] == [1, 1]
    assert found(made) == []


def test_rows_without_a_result_are_left_out(made: Made) -> None:
    board = report.collect(*made)
    failed = tuple(replace(one, status="failed") if one.row.method == "near" else one for one in board.results)
    board = replace(board, results=failed)
    rows = looks(board, Evidence(*made), Options(look=load(made), ranked=0), Thumbnails())
    assert [one.method for one in rows] == ["network"]


@pytest.fixture(scope="module")
def text(made: Made) -> str:
    board = report.collect(*made)
    return render(board, *made, Options(pictures="all", ranked=1, look=load(made)))


def test_the_page_without_the_switch_has_no_trace_of_it(made: Made, text: str) -> None:
    plain = render(report.collect(*made), *made, Options(pictures="all", ranked=1))
    for trace in ('id="looks"', ".space:has", "Closer look", "Grad-CAM"):
        assert trace in text
        assert trace not in plain


@pytest.fixture(scope="module")
def browser(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file: Path = tmp_path_factory.mktemp("browser") / "page.html"
    file.write_text(text, encoding="utf-8")
    with browsing(file.as_uri()) as driver:
        yield driver


@pytest.mark.slow
@in_browser
def test_images_load_when_a_row_is_opened(browser: Any) -> None:
    view(browser, 1280)
    requests(browser)
    (last,) = (one for one in find(browser, "#looks details.ranked") if "network" in one.text)
    maps = "#looks img[alt^='Grad-CAM']"
    assert not browser.execute_script(f'return document.querySelector("{maps}").naturalWidth')
    last.find_element("css selector", "summary").click()
    wait(lambda: browser.execute_script(f'return document.querySelector("{maps}").naturalWidth') > 0)
    assert len(find(browser, "#looks .space svg")) == 2
    assert requests(browser) == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
