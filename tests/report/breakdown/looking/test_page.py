"""The page of a closer look: escaped, without requests, and complete in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reidbench.matrix.stage import Plan
from reidbench.report.breakdown.looking.page import render
from reidbench.report.breakdown.looking.section import Wanted, look
from reidbench.report.html.ranked import Thumbnails
from reidbench.store.artifacts import Store
from tests.report.breakdown.looking.test_section import load, place
from tests.support.browser import LUMINANCE, browsing, find, in_browser, requests, view
from tests.support.lines import run_line, write_line

EVIL = "evil </svg><img src=x onerror=window.hacked=1>"
Made = tuple[Plan, Store]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Rows on the line; the data set and one of its images have hostile names."""
    folder = tmp_path_factory.mktemp("look")
    write_line(folder)
    rows = "network: {finetune: none}", f"{json.dumps(EVIL)}: {{finetune: {{use: colour-histogram}}}}"
    return run_line(folder, "euclidean", *rows)


def page(made: Made, **wanted: Any) -> str:
    thumbnails = Thumbnails()
    found = look([place(made, "network"), place(made, EVIL)], Wanted(**wanted), thumbnails)
    return render(replace(found, real=(EVIL,)), thumbnails)


@pytest.fixture(scope="module")
def text(made: Made) -> str:
    return page(made, worst=2, load=load(made))


def test_names_are_escaped_and_nothing_is_fetched(text: str) -> None:
    assert "<img src=x" not in text
    assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in text
    assert "<script" not in text
    addresses = re.findall(r"""(?:src|href)=["']([^"']*)""", text)
    assert len(addresses) > 20
    assert all(one.startswith("data:") for one in addresses)
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_the_page_says_not_to_publish_images_of_real_persons(made: Made, text: str) -> None:
    assert "<b>Do not publish:</b> this shows images of" in text
    thumbnails = Thumbnails()
    hidden = look([place(made, "network", pictures="none")], Wanted(), thumbnails)
    without = render(hidden, thumbnails)
    assert "Do not publish" not in without
    assert "Images are not shown." in without
    assert "data:image/jpeg" not in without


def test_the_same_bytes_again(made: Made, text: str) -> None:
    assert page(made, worst=2, load=load(made)) == text


def test_a_hostile_file_name_is_text(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "<img src=x onerror=window.hacked=1>\x1b[31m.png"
    Image.new("RGB", (4, 8)).save(file)
    thumbnails = Thumbnails()
    text = render(look([place(made, "network")], Wanted([str(file)], load=load(made)), thumbnails), thumbnails)
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=window.hacked=1&gt;" in text
    assert "\x1b" not in text


def test_images_beyond_the_budget_are_left_out(made: Made) -> None:
    thumbnails = Thumbnails(budget=4000)
    found = look([place(made, "network")], Wanted(worst=2), thumbnails)
    text = render(found, thumbnails)
    assert f"{thumbnails.left_out} images were left out" in text
    assert thumbnails.left_out > 0


# ---------------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")
def browser(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file: Path = tmp_path_factory.mktemp("browser") / "look.html"
    file.write_text(text, encoding="utf-8")
    with browsing(file.as_uri()) as driver:
        yield driver


def fills(browser: Any) -> set[str]:
    found = "return [...document.querySelectorAll('.space .dot')].map((dot) => getComputedStyle(dot).fill)"
    return set(browser.execute_script(found))


@in_browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_images_colours_and_pairs(browser: Any, width: int, scheme: str) -> None:
    """All images load, the colours change with the selection, and each pair of cameras opens with a click."""
    view(browser, width, scheme)
    requests(browser)
    assert browser.execute_script("return [...document.images].every((one) => one.naturalWidth > 0)")
    assert len(find(browser, "ol.look li.query img")) == 2 * 2 * 3 - 2 * 2  # a histogram of colours has no maps
    by_camera = fills(browser)
    find(browser, ".space .by-identity")[0].click()
    assert fills(browser) != by_camera
    for wanted in (".distances details.pairs", ".distances details.pairs details"):
        find(browser, f"{wanted} summary")[0].click()
        assert find(browser, wanted)[0].get_attribute("open")
    assert find(browser, ".distances details.pairs svg")[0].is_displayed()
    assert browser.execute_script("return window.hacked") is None
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert min(browser.execute_script(LUMINANCE, "main p, main summary, main figcaption, main li span")) > 3
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
