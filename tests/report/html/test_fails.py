"""The failure analysis of a page: breakdowns, and two rows query by query, also in a headless browser."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from reidbench import report
from reidbench.matrix.stage import Plan
from reidbench.report.breakdown.compare import NOT_COUNTED, column, tallies
from reidbench.report.html import fails as section
from reidbench.report.html import queries
from reidbench.report.html.fails import Fails, fails
from reidbench.report.html.page import render
from reidbench.report.html.pictures import picture_warning
from reidbench.report.html.queries import largest_differences
from reidbench.report.html.ranked import Thumbnails
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.store.artifacts import Store
from tests.support.browser import LUMINANCE, browsing, choose, find, in_browser, view, wait
from tests.support.lines import run_line, write_line

Made = tuple[Plan, Store]
EVIL = "evil <img src=x onerror=window.hacked=1>"
# As tests/report/breakdown/test_parts.py has them by hand: queries of cameras 0, 1, 0, 1.
AP = [0.7, 1 / 4, 1 / 2, 5 / 12]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("fails")
    write_line(folder)
    rows = "near: {features: near.npz}", "right: {features: right.npz}", f"{json.dumps(EVIL)}: {{features: near.npz}}"
    return run_line(folder, "[euclidean, query-expansion]", *rows)


def found(made: Made, options: Options | None = None, **changes: Any) -> Fails:
    board = dataclasses.replace(report.collect(*made), **changes)
    section = fails(board, Evidence(*made), "mAP", options or Options(pictures="all"), Thumbnails())
    assert section is not None
    return section


def test_cameras_pairs_and_persons_of_a_row(made: Made) -> None:
    row = found(made).rows[0]
    assert row.cell == ("near", "t", "euclidean")
    assert row.heat.cameras == ("camera 0", "camera 1")
    first, second = row.heat.lines
    assert [cell and (cell.text, cell.queries, cell.lack) for cell in first[1]] == [
        ("60.0", 2, pytest.approx(0)), None, ("60.0", 2, pytest.approx(0))
    ]  # fmt: skip
    assert [cell and (cell.text, cell.queries, cell.lack) for cell in second[1]] == [
        ("33.3", 2, pytest.approx(1)), ("33.3", 2, pytest.approx(1)), None
    ]  # fmt: skip
    assert (row.across, row.worst) == ("46.7", "camera 1 → camera 0: 33.3")
    assert [(pid, value) for pid, value, _, _ in row.persons] == [("2", "45.8"), ("1", "47.5")]
    assert "These 2 of 2 identities have 4 of 4 queries and 100.0 % of the error" in row.persons_sentence


def test_what_is_not_there_is_said(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    expanded = next(row for row in found(made).rows if row.cell[2] == "query-expansion")
    assert expanded.heat.cameras == ()
    assert any("No pairs of cameras: its evaluator changes the ranking" in reason for reason in expanded.reasons)
    said = "1 of 5 queries are ignored: they have no true match"
    assert found(made).notes == (f"t by euclidean: {said}", f"t by query-expansion: {said}")
    unkept = found(made, queries=lambda key: {})
    assert (unkept.rows, unkept.queries["columns"]) == ((), [])
    assert list(unkept.unknown) == ["its evaluator stores no per-query results"]
    monkeypatch.setattr(section, "MOST_PRODUCTS", 100)  # of two rows, whose rankings take 80
    kept = [any("exceeds the budget" in reason for reason in row.reasons) for row in found(made).rows[:3]]
    assert kept == [False, True, True]


def test_no_section_without_a_number(made: Made) -> None:
    board = dataclasses.replace(report.collect(*made), summary=())
    assert fails(board, Evidence(*made), "mAP", Options(), Thumbnails()) is None


# ---------------------------------------------------------------------- what the page's script reads
def test_values_of_queries_in_two_bytes(made: Made) -> None:
    data = found(made).queries
    first = data["columns"][0]
    assert first["methods"][0] == "right"  # the best one
    codes = {
        method: np.frombuffer(base64.b64decode(text), "<u2").tolist()
        for method, text in zip(first["methods"], first["codes"], strict=True)
    }
    assert codes["near"] == [7000, 2500, 5000, 4167, NOT_COUNTED]
    assert codes["right"] == [10000] * 4 + [NOT_COUNTED]
    assert data["targets"][first["target"]] == {"steps": [1, 0, 1, 0, 1], "camids": [0, 1, 0, 1, 0]}


def test_lists_of_the_queries_that_tell_rows_apart(made: Made) -> None:
    """Query 1 has the least AP of "near", then query 3; the list of each is what the distances say."""
    first = found(made, Options(ranked=2, pictures="all")).queries["columns"][0]
    assert largest_differences(column(report.collect(*made), "t", "euclidean", "mAP"), "right", "near", 2) == [1, 3]
    assert {method: list(lists) for method, lists in first["lists"].items()} == {m: [1, 3] for m in first["methods"]}
    near = first["lists"]["near"][1]
    assert [(pid, camid) for pid, camid, _ in near["gallery"]] == [(2, 0), (2, 1), (0, 1), (1, 0), (2, 0)]
    assert (near["first"], near["ap"]) == (4, 0.25)
    assert all(name.startswith("p") for _, _, name in near["gallery"])
    assert found(made, Options(ranked=0)).queries["columns"][0]["lists"] == {}
    none = found(made, Options(ranked=2, pictures="none")).queries["columns"][0]["lists"]["near"][1]
    assert {name for _, _, name in none["gallery"]} == {""}
    reasons = found(made).queries["columns"][1]["reasons"]
    assert all("changes the ranking" in reason for reason in reasons.values())


def test_pairs_with_pictures_have_an_end(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_PAIRS", 1)
    first = found(made).queries["columns"][0]
    assert len(first["lists"]) == 2  # the best row and one other


def test_too_many_values_are_not_on_the_page(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_VALUES", 29)  # three rows of five queries by two evaluators
    data = found(made).queries
    assert data["columns"] == []
    assert "table FILE --against METHOD" in data["note"]
    assert data["note"] in render(report.collect(*made), *made, Options(pictures="none"))
    monkeypatch.setattr(queries, "MOST_VALUES", 30)
    assert len(found(made).queries["columns"]) == 2


def test_pictures_of_real_persons_are_warned_of(made: Made) -> None:
    warning = picture_warning(made[0], Options(pictures="all"))
    assert warning.startswith("This page contains images of line (--pictures all)")
    assert picture_warning(made[0], Options()) == ""
    assert picture_warning(made[0], Options(pictures="all", ranked=0)) == ""
    stages = {key: dataclasses.replace(stage, root=None) for key, stage in made[0].stages.items()}
    rendered = Plan(made[0].benchmark, stages, made[0].rows)
    assert picture_warning(rendered, Options(pictures="all")) == ""


class Visible(HTMLParser):
    """The text of a page that is neither script nor style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self._inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag

    def handle_data(self, data: str) -> None:
        self.text += "" if self._inside in ("script", "style") else data


@pytest.fixture(scope="module")
def text(made: Made) -> str:
    return render(report.collect(*made), *made, Options(pictures="all"))


def test_the_section_escapes_names(text: str) -> None:
    part = text[text.index('<section id="fails"') : text.index('<section id="again"')]
    assert "<img src=x" not in part
    assert f"{EVIL} on t" in Visible(part).text
    data = re.search(r'<script type="application/json" id="fails-data">(.*?)</script>', text, re.DOTALL)
    assert data
    assert "<img" not in data[1]
    assert EVIL in json.loads(data[1])["columns"][0]["methods"]
    assert "This page contains images of line" in text


# ---------------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")
def browser(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file = tmp_path_factory.mktemp("browser") / "page.html"
    file.write_text(text, encoding="utf-8")
    with browsing(file.as_uri()) as driver:
        yield driver


@pytest.mark.slow
@in_browser
def test_two_rows_are_compared_as_text_does(browser: Any, made: Made) -> None:
    view(browser, 1280)
    board = report.collect(*made)
    for other in ("near", "right"):
        choose(browser, "#compare-evaluator", "euclidean")
        choose(browser, "#compare-one", other)
        choose(browser, "#compare-other", "right" if other == "near" else "near")
        against = "right" if other == "near" else "near"
        (tally,) = (
            one for one in tallies(board, against, "mAP") if (one.method, one.evaluator) == (other, "euclidean")
        )
        said = find(browser, "#compared")[0].text
        assert f"Of 4 queries {other} wins {tally.wins} " in said
        assert f"loses {tally.losses} " in said
        assert f"Mean difference: {100 * (tally.difference or 0):+.1f} points." in said


@pytest.mark.slow
@in_browser
def test_the_list_of_queries_and_their_pictures(browser: Any) -> None:
    view(browser, 1280)
    choose(browser, "#compare-one", "right")
    choose(browser, "#compare-other", "near")
    rows = [[cell.text for cell in line.find_elements("css selector", "th, td")]
            for line in find(browser, "#compared tbody tr")]  # fmt: skip
    assert rows == [
        ["1", "1", "100.0", "25.0", "+75.0"],
        ["2", "1", "100.0", "41.7", "+58.3"],
        ["2", "0", "100.0", "50.0", "+50.0"],
        ["1", "0", "100.0", "70.0", "+30.0"],
    ]
    images = find(browser, "#compared img")
    assert images
    wait(lambda: all(browser.execute_script("return arguments[0].naturalWidth > 0", image) for image in images))
    assert all(image.get_attribute("alt") for image in images)
    marks = [mark.text.split()[0] for mark in find(browser, "#compared ol")[1].find_elements("css selector", ".mark")]
    assert marks == ["✗", "✗", "✗", "✓", "✗"]  # of "near" for the first query


@in_browser
def test_ties_names_and_rows_without_lists(browser: Any) -> None:
    view(browser, 1280)
    choose(browser, "#compare-one", "near")
    choose(browser, "#compare-other", EVIL)
    said = find(browser, "#compared")[0].text
    assert f"near wins 0 (0.0 %) and loses 0 (0.0 %) against {EVIL}; 4 (100.0 %) are ties" in said
    choose(browser, "#compare-other", "near")
    assert find(browser, "#compared")[0].text == "Choose two different methods."
    assert browser.execute_script("return window.hacked === undefined")
    choose(browser, "#compare-evaluator", "query-expansion")
    assert "No ranked lists for" in find(browser, "#compared")[0].text


@in_browser
def test_the_filters_of_the_leaderboard_choose_here_too(browser: Any) -> None:
    view(browser, 1280)
    choose(browser, "#evaluator", "query-expansion")
    assert find(browser, "#compare-evaluator")[0].get_attribute("value") == "query-expansion"
    shown = [row.get_attribute("data-evaluator") for row in find(browser, "details.fails:not([hidden])")]
    assert shown == ["query-expansion"] * 3


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (900, "light"), (1600, "dark"), (390, "light")])
def test_it_fits_the_screen_and_can_be_read(browser: Any, width: int, scheme: str) -> None:
    view(browser, width, scheme)
    for details in find(browser, "#fails details"):
        browser.execute_script("arguments[0].open = true", details)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    selector = "#fails :is(p, small, caption, td, th, summary, h4, label, .of, .mark)"
    contrasts = browser.execute_script(LUMINANCE, selector)
    assert len(contrasts) > 50
    assert min(contrasts) >= 4.5
    for element in find(browser, "#fails :is(select, summary, [role=region], [role=group])"):
        assert element.accessible_name, element.get_attribute("outerHTML")[:200]
    assert browser.get_log("browser") == []
