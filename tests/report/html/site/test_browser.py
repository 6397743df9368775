"""A site in a headless browser, as a reader would use it: from a server and from a disk."""

from __future__ import annotations

import functools
import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from tests.support.browser import LUMINANCE, browsing, choose, find, in_browser, requests, resize, view, wait
from tests.support.sites import publish, read

pytestmark = in_browser

EVIL = "evil </script><img src=x onerror=window.hacked=1>" + "x" * 150
MATRIX = """
title: {title}
image_size: [32, 16]
seeds: [0, 1]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks:
  second: {{target: tiny}}
  {task}: {{source: tiny, target: tiny}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine, query-expansion]
methods:
  untrained: {{finetune: none}}
  {method}: {{finetune: colour-histogram}}
"""
OVERLAP = "target is a source"
KNOWN = """
image_size: [32, 16]
seeds: [0, 1, 2]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{third: {{source: tiny, target: tiny, pool: tiny}}}}
backbone: {{use: resnet-tiny, width: 8}}
methods:
  nothing: {{finetune: none}}
  less: {{finetune: {{use: bot, epochs: 1}}}}
  more: {{finetune: {{use: bot, epochs: 2}}}}
  adapted: {{finetune: bot, adapt: adabn}}
"""


@pytest.fixture(scope="module")
def folder(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of a matrix that was run, of the same with names of a stranger, of one with numbers that the tests know,
    and of a pack, which was checked by nobody."""
    place = tmp_path_factory.mktemp("browser")
    store = ["--store", str(place / "store")]
    for name, called in (("one", "colours"), ("two", EVIL)):
        values = {"title": f"Matrix {EVIL}", "root": str(market), "method": called, "task": called}
        text = MATRIX.format(**{key: json.dumps(value) for key, value in values.items()})
        (place / f"{name}.yaml").write_text(text)
    run_matrix((place / "one.yaml").read_text(), place)
    (place / "three.yaml").write_text(KNOWN.format(root=json.dumps(str(market))))
    numbers = {"nothing": 0.1, "less": 0.3, "more": 0.5, "adapted": 0.7}
    publish(read(place / "three.yaml", plugins.load()), Store(place / "known"), numbers)
    command("pack", str(place / "one.yaml"), *store, "-o", str(place / "sent.zip"))
    files = [str(place / name) for name in ("one.yaml", "two.yaml", "three.yaml", "sent.zip")]
    command("site", *files, *store, "--store", str(place / "known"), "-o", str(place / "site"), "--pictures", "all")
    return place / "site"


def command(*words: str) -> None:
    done = CliRunner().invoke(main.app, words)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a server of the site's folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(server: str) -> Iterator[Any]:
    with browsing(f"{server}/index.html") as driver:
        yield driver


@pytest.fixture(params=["server", "disk"])
def root(request: pytest.FixtureRequest, server: str, folder: Path) -> str:
    """The address of the site."""
    return server if request.param == "server" else folder.as_uri()


def rows(browser: Any) -> list[Any]:
    return find(browser, "#board tbody > tr[data-task]")


def methods(browser: Any) -> set[str]:
    return {row.find_element("css selector", "th a").text for row in rows(browser)}


@pytest.mark.slow
def test_the_best_follows_the_filters(browser: Any) -> None:
    view(browser, 1280)
    words = [select.get_attribute("data-word") for select in find(browser, "select[data-word]")]
    assert words == ["AP step", "no labels", "query expansion", "source labels", "target images", OVERLAP]
    choose(browser, "#task", "third")
    assert methods(browser) == {"adapted"}
    find(browser, ".words summary")[0].click()
    choose(browser, "select[data-word='target images']", "without")
    assert methods(browser) == {"more"}
    choose(browser, "#show", "the best of each protocol")
    assert methods(browser) == {"more", "nothing"}
    choose(browser, "select[data-word='source labels']", "without")
    assert methods(browser) == {"nothing"}
    assert find(browser, "#count")[0].text.startswith("1 of ")
    find(browser, "#filters button[type=reset]")[0].click()
    wait(lambda: "#" not in browser.current_url)
    find(browser, "#search")[0].send_keys("nothing adapted")  # no row has both
    assert rows(browser) == []
    find(browser, "#filters button[type=reset]")[0].click()
    wait(lambda: "#" not in browser.current_url)
    choose(browser, "select[data-word='query expansion']", "with")
    assert {row.get_attribute("data-evaluator") for row in rows(browser)} == {"query-expansion"}
    choose(browser, "#matrix", "two")
    assert all("1" in row.get_attribute("data-matrix").split() for row in rows(browser))
    assert rows(browser)


def test_an_address_keeps_the_view(browser: Any, root: str) -> None:
    view(browser, 1280, at=f"{root}/index.html#?task=second&evaluator=cosine&matrix=two&without=query+expansion")
    assert {row.get_attribute("data-task") for row in rows(browser)} == {"second"}
    assert find(browser, "#matrix option:checked")[0].text == "two"
    assert not find(browser, "#filter-note")[0].is_displayed()
    choose(browser, "#checked", "run here")
    assert browser.current_url.startswith(
        f"{root}/index.html#?task=second&evaluator=cosine&checked=run+here&matrix=two"
    )


@pytest.mark.slow
def test_from_the_best_to_the_command_that_makes_it_again(browser: Any, root: str) -> None:
    """By keyboard: the link of a row leads to the row of its matrix, which is open and has the command."""
    from selenium.webdriver.common.keys import Keys

    view(browser, 1280, at=f"{root}/index.html#?task=second&evaluator=cosine")
    row = rows(browser)[0]
    method = row.find_element("css selector", "th a").text
    row.find_elements("css selector", "td:last-child a")[0].send_keys(Keys.ENTER)
    wait(lambda: "/matrix/" in browser.current_url)
    wait(lambda: len(find(browser, ".detail")) == 1)
    (detail,) = find(browser, ".detail")
    assert detail.accessible_name == f"Details of {method} on second"
    assert "reidbench run" in detail.text
    assert "Checked: run here" in detail.text
    focused = browser.execute_script("return document.activeElement")
    assert focused.text == method
    detail.find_element("link text", "All commands and versions").send_keys(Keys.ENTER)
    wait(lambda: find(browser, "details.again")[0].get_property("open"))


@pytest.mark.slow
def test_results_of_a_pack_say_that_nobody_checked_them(browser: Any, root: str) -> None:
    view(browser, 1280, at=f"{root}/matrix/sent.html#row-colours--second--cosine")
    assert "Checked: self-reported" in find(browser, ".detail")[0].text


@pytest.mark.slow
def test_pictures_and_charts_of_a_matrix_are_there(browser: Any, root: str) -> None:
    view(browser, 1280, at=f"{root}/matrix/one.html")
    assert len(find(browser, "#cmc .scatterlayer .trace")) == 2
    find(browser, "details.ranked summary")[0].click()
    images = find(browser, "details.ranked[open] img")
    assert images
    wait(lambda: all(browser.execute_script("return arguments[0].naturalWidth > 0", image) for image in images))


def test_pages_are_small_beside_what_they_share(folder: Path) -> None:
    """Eight rows and more, with charts and ranked lists."""
    assert all((folder / path).stat().st_size < 300_000 for path in pages(folder))
    names = sorted(path.name for path in (folder / "pictures").iterdir())
    assert len(names) == len({(folder / "pictures" / name).read_bytes() for name in names}) > 5


def pages(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))


@pytest.mark.slow
def test_no_error_and_no_request_beyond_the_site(browser: Any, root: str, folder: Path) -> None:
    browser.get_log("browser"), requests(browser)
    for path in pages(folder):
        view(browser, 1280, at=f"{root}/{path}")
        for details in find(browser, "details"):
            browser.execute_script("arguments[0].open = true", details)
    assert browser.get_log("browser") == []
    asked = requests(browser)
    assert len(asked) > len(pages(folder))
    assert all(url.startswith(f"{root}/") for url in asked)
    assert browser.execute_script("return window.hacked === undefined")
    refused = "return fetch('https://example.org/').then(() => 'sent', (error) => String(error))"
    assert "Failed to fetch" in browser.execute_script(refused)
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


FITS = "return document.documentElement.scrollWidth <= arguments[0]"
READ = "p, small, caption, label, output, summary, a, td, th, li, dt, dd, .reason, .status, .under, .narrow"


@pytest.mark.slow
def test_every_page_fits_the_screen_and_can_be_read(browser: Any, server: str, folder: Path) -> None:
    for path in pages(folder):
        view(browser, 1600, at=f"{server}/{path}")
        for scheme, width in itertools.product(("light", "dark"), (1600, 900, 390)):
            resize(browser, width, scheme)
            place = f"{path}, {scheme}, {width} pixels"
            wait(functools.partial(browser.execute_script, FITS, width), place)  # charts follow a little later
            assert min(browser.execute_script(LUMINANCE, READ)) >= 4.5, place  # WCAG AA


@pytest.mark.slow
def test_headings_labels_and_tables_are_for_everybody(browser: Any, server: str) -> None:
    for path in ("index.html", "across.html", "matrix/one.html", "method/untrained.html", "data/tiny.html"):
        view(browser, 1280, at=f"{server}/{path}")
        for details in find(browser, "details"):
            browser.execute_script("arguments[0].open = true", details)
        for element in find(browser, "button, select, input, summary, nav, [role=region], section"):
            assert element.accessible_name, element.get_attribute("outerHTML")[:200]
        assert all(table.find_elements("css selector", "th[scope]") for table in find(browser, "table")), path
        levels = [int(heading.tag_name[1]) for heading in find(browser, "h1, h2, h3")]
        assert levels.count(1) == 1, path
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), path
        wide = "return [...document.querySelectorAll('.scroll')].every((e) => e.tabIndex === 0 && e.role === 'region')"
        assert browser.execute_script(wide), path
