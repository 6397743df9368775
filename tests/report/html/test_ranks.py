"""The section of the page about ranks over tasks: as text, and in a browser, dark and on a narrow screen."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench import report
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.report.formats.figures import draw
from reidbench.report.html.page import render
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder
from tests.report.html.test_page import EVIL, Elements
from tests.support.browser import LUMINANCE, browsing, find, in_browser, view

LONG = f"a long name of a method {EVIL}"
MATRIX = """
title: Ranks
image_size: [32, 16]
seeds: [0, 1]
data: {{tiny: {{use: market-folder, root: {tiny}}}, other: {{use: market-folder, root: {other}}}}}
tasks:
  first: {{target: tiny}}
  second: {{target: other}}
  again: {{target: other}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine]
methods:
  untrained: {{finetune: none}}
  colours: {{finetune: colour-histogram}}
  {long!r}: {{finetune: {{use: colour-histogram, stripes: 3}}}}
  supervised: {{finetune: {{use: bot, epochs: 1}}}}
"""


@pytest.fixture(scope="module")
def made(market: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    """Three methods that need no source, on two data sets, and one that is not applicable."""
    folder = tmp_path_factory.mktemp("ranks")
    other = write_market_folder(folder / "other", seed=1)
    text = MATRIX.format(tiny=market, other=other, long=LONG)
    run_matrix(text, folder)
    file = folder / "matrix.yaml"
    file.write_text(text)
    return plan.expand(reader.read(file, plugins.load())), Store(folder / "store")


def page_of(made: tuple[Plan, Store]) -> str:
    the_plan, store = made
    return render(report.collect(the_plan, store), the_plan, store, Options(pictures="none", ranked=0))


@pytest.fixture(scope="module")
def text(made: tuple[Plan, Store]) -> str:
    return page_of(made)


def test_the_section_has_a_diagram_a_table_and_what_was_left_out(text: str) -> None:
    section = text[text.index('<section id="ranks"') :].partition("</section>")[0]
    svg = section[section.index("<svg") : section.index("</svg>") + 6]
    drawn = ET.fromstring(svg)  # noqa: S314 - made here
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawn.findall(f"{space}g/{space}circle")) == 3
    names = [one.text for one in drawn.findall(f"{space}g/{space}text")]
    assert "a long name of a met…" in names
    titles = [one.text or "" for one in drawn.findall(f"{space}g/{space}title")]
    assert any(title.startswith(f"{LONG}: mean rank") for title in titles)
    assert drawn.attrib["role"] == "img"
    for tag, name in (("title", "aria-labelledby"), ("desc", "aria-describedby")):
        named = drawn.find(f"{space}{tag}")
        assert named is not None
        assert drawn.attrib[name] == named.attrib["id"]
    shown = "\n".join(Elements(section).shown)
    assert "Compared: 3 methods on the 2 tasks for which all of them have complete results." in shown
    assert "Left out, method supervised: complete on 0 of 3 tasks." in shown
    assert "Left out, task again: same results as on second, which counts once." in shown
    assert "No critical difference: a rank test requires at least 5 tasks, and there are 2." in shown
    assert EVIL not in section
    assert '<a href="#ranks">' in text


def test_there_is_no_section_for_one_task_or_before_anything_ran(
    made: tuple[Plan, Store], market: Path, tmp_path: Path
) -> None:
    the_plan, store = made
    one = the_plan.only([row for row in the_plan.rows if row.task == "first"])
    assert 'id="ranks"' not in page_of((one, store))
    assert 'id="ranks"' not in page_of((the_plan, Store(tmp_path / "empty")))


@pytest.mark.slow
def test_figures_have_the_diagram(made: tuple[Plan, Store], tmp_path: Path) -> None:
    the_plan, store = made
    board = report.collect(the_plan, store)
    written = draw(board, Evidence(the_plan, store), tmp_path)
    assert {file.name for file in written} >= {"ranks.png", "ranks.svg"}
    svg = (tmp_path / "ranks.svg").read_text()
    ET.fromstring(svg)  # noqa: S314 - made here
    assert EVIL not in svg
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")
def browser(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file = tmp_path_factory.mktemp("browser") / "page.html"
    file.write_text(text, encoding="utf-8")
    with browsing(file.as_uri()) as driver:
        yield driver


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1600])
def test_it_fits_the_screen_and_can_be_read(browser: Any, width: int, scheme: str) -> None:
    view(browser, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    (svg,) = find(browser, "svg.ranks")
    box = svg.rect
    assert box["width"] <= width
    for text in find(browser, "svg.ranks text"):  # nothing is cut off by the frame
        assert text.rect["x"] >= box["x"] - 0.5
        assert text.rect["x"] + text.rect["width"] <= box["x"] + box["width"] + 0.5
        assert text.rect["height"] >= 9  # pixels on the screen
    as_fill = LUMINANCE.replace("getComputedStyle(e).color", "getComputedStyle(e).fill").replace(
        ".filter((e) => e.offsetParent)", ""
    )
    contrasts = browser.execute_script(as_fill, "svg.ranks text, svg.ranks circle")
    contrasts += browser.execute_script(LUMINANCE, "#ranks p, #ranks li, #ranks td, #ranks th")
    assert len(contrasts) > 40
    assert min(contrasts) >= 4.5


@in_browser
def test_regions_have_names_and_tables_have_headers(browser: Any) -> None:
    view(browser, 1280)
    regions = find(browser, "#ranks [role=region]")
    assert len(regions) == 2
    assert all(region.accessible_name and region.get_attribute("tabindex") == "0" for region in regions)
    (svg,) = find(browser, "svg.ranks")
    assert svg.accessible_name == "Mean ranks of 3 methods over 2 tasks: mAP by cosine"
    assert find(browser, "#ranks th[scope=row]")[0].text
    levels = [int(re.sub("h", "", one.tag_name)) for one in find(browser, "h1, h2, #ranks h3")]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert browser.execute_script("return window.hacked === undefined")
    assert browser.get_log("browser") == []
