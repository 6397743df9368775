"""Pages of many metrics: no page scrolls sideways, and hidden columns are in the details of each row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from tests.support.browser import browsing, find, in_browser, resize, view, wait

PACK = Path(__file__).parents[3] / "benchmarks" / "results" / "packs" / "quickstart.zip"
MORE = """
const shown = [...document.querySelectorAll("#board thead th")].find((one) => one.textContent.includes("R20"));
const place = shown.cellIndex;
for (const row of document.querySelectorAll("#board thead tr, #board tbody > tr[data-number]")) {
  for (let n = 0; n < arguments[0]; n++) row.cells[place].after(row.cells[place].cloneNode(true));
}
dispatchEvent(new Event("resize"));
"""
WIDTH = "return document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file = tmp_path_factory.mktemp("fit") / "page.html"
    done = CliRunner().invoke(main.app, ["table", str(PACK), "--format", "html", "--pictures", "none", "-o", str(file)])
    assert done.exit_code == 0, done.output
    with browsing(file.as_uri()) as driver:
        yield driver


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("width", [390, 800, 1110, 1280, 1500])
@pytest.mark.parametrize("more", [0, 1, 6])
def test_no_page_scrolls_sideways_with_more_metrics(browser: Any, width: int, more: int) -> None:
    view(browser, width)
    browser.execute_script(MORE, more)
    assert browser.execute_script(WIDTH) <= width


@pytest.mark.slow
@in_browser
def test_columns_come_back_on_a_wider_screen_and_details_have_what_is_hidden(browser: Any) -> None:
    view(browser, 1110)
    browser.execute_script(MORE, 2)
    assert find(browser, "#board.tight")
    assert not find(browser, "#board td.wide")[0].is_displayed()
    find(browser, "button.open")[0].click()
    (detail,) = find(browser, ".detail")
    assert "R20" in detail.text
    assert "AP step" in detail.text
    assert browser.execute_script(WIDTH) <= 1110
    resize(browser, 1900, "light")
    wait(lambda: not find(browser, "#board.tight"))
    assert find(browser, "#board td.wide")[0].is_displayed()
