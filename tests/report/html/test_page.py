"""The HTML page: read as text, and used in a headless browser as a reader would use it.

The browser tests are skipped only on a machine without chromium and chromedriver.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench import report
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.metrics import rank
from reidbench.registry import plugins
from reidbench.report.breakdown import scored as scored_again
from reidbench.report.html.page import render
from reidbench.report.html.ranked import RankedList, Thumbnails, ranked_lists
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from tests.support.browser import LUMINANCE, browsing, choose, find, in_browser, requests, view, wait

EVIL = "<script>window.hacked=1</script>"
METHOD = f"bad {EVIL} \"'&<b>bold</b>"
TASK = "same</template></script><img src=x onerror=window.hacked=1>"
REASON = "boom <img src=x onerror=window.hacked=1> at {{ 7*7 }}\x1b[31m\u202e"
TOLD = "boom <img src=x onerror=window.hacked=1> at {{ 7*7 }} [31m"  # as a reader sees it
MATRIX = """
title: {title}
image_size: [32, 16]
seeds: [0, 1]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks:
  {task}: {{source: tiny, target: tiny}}
  second: {{target: tiny}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine, query-expansion]
methods:
  untrained: {{finetune: none}}
  colours: {{finetune: colour-histogram}}
  {method}: {{finetune: {{use: colour-histogram, stripes: 3}}}}
  trained: {{finetune: {{use: bot, epochs: 1}}}}
"""


@pytest.fixture(scope="module")
def made(market: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    """A matrix that was run but for one method, which failed on one task and cannot run on the other."""
    folder = tmp_path_factory.mktemp("page")
    names = {"title": f"Page {EVIL}", "task": TASK, "method": METHOD, "root": str(market)}
    text = MATRIX.format(**{key: json.dumps(value) for key, value in names.items()})
    run_matrix(text.split("  trained:")[0], folder)
    file = folder / "matrix.yaml"
    file.write_text(text)
    registry = plugins.load()
    the_plan, store = plan.expand(reader.read(file, registry)), Store(folder / "store")
    for stage in the_plan.stages.values():
        if stage.use == "bot":
            store.record_failure(stage.key, REASON)
    return the_plan, store


def page_of(made: tuple[Plan, Store], options: Options | None = None) -> str:
    the_plan, store = made
    return render(report.collect(the_plan, store), the_plan, store, options or Options(pictures="all"))


@pytest.fixture(scope="module")
def text(made: tuple[Plan, Store]) -> str:
    return page_of(made, Options(pictures="all", arguments=("--set", "seeds=[0, 1]")))


class Elements(HTMLParser):
    """All elements with their attributes, scripts with their text, and the text that a reader may see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.shown: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.shown.append(data)


@pytest.fixture(scope="module")
def elements(text: str) -> Elements:
    return Elements(text)


# ---------------------------------------------------------------------- the file
def test_names_and_reasons_are_text_only(elements: Elements, text: str) -> None:
    assert [tag for tag, _ in elements.elements].count("script") == 6  # three of data, three of code
    handlers = [name for _, attributes in elements.elements for name in attributes if name.startswith("on")]
    assert handlers == []
    shown = "\n".join(elements.shown)
    assert METHOD in shown
    assert TOLD in shown  # not 49: names are not templates
    assert TASK in shown
    assert "bold" not in elements.shown  # the method's <b> is not an element
    assert not {"\x1b", "\u202e"} & set(text)


def test_data_of_charts_end_no_script_and_hold_no_markup(elements: Elements) -> None:
    charts = json.loads(elements.scripts[0])
    names = [trace["name"] for trace in charts["0-0"]["cmc"]["data"]]
    assert "bad &lt;script&gt;window.hacked=1&lt;/script&gt; \"'&amp;&lt;b&gt;bold&lt;/b&gt;" in names
    assert len(json.loads(elements.scripts[1])) > 0  # pictures


def test_a_row_without_a_seed_says_so_where_others_count_theirs(elements: Elements, text: str) -> None:
    """Two colour histograms on the second task, by two evaluators each, and untrained rows of two seeds."""
    rows = re.findall(r'<tr data-number="\d+" data-task="second".*?</tr>', text, re.DOTALL)
    counts = [cell for row in rows for cell in re.findall(r'class="number mid" data-order="\d+">([^<]*)</td>', row)]
    assert (counts.count("no seed"), counts.count("2")) == (4, 2)
    cells = [re.findall(r"<small>([^<]*)</small>", row)[0] for row in rows if "no seed</td>" in row]
    assert cells == ["(no seed)"] * 4
    assert '<th scope="row" class="seed">no seed</th>' in text
    assert "<small>no seed</small></summary>" in text
    assert any("they have one result (n = 1) and no interval over seeds" in shown for shown in elements.shown)
    assert "None" not in " ".join(elements.shown)


def test_the_policy_allows_these_scripts_and_no_request(elements: Elements) -> None:
    (policy,) = [a["content"] for tag, a in elements.elements if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    assert rules["default-src"] == "'none'"
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in elements.scripts[3:]]
    assert rules["script-src"] == " ".join(f"'sha256-{digest}'" for digest in hashes)
    assert rules["img-src"] == "data: blob:"
    links = [value for _, a in elements.elements for key, value in a.items() if key in ("src", "href", "action")]
    assert links
    assert all(str(link).startswith(("#", "data:")) for link in links)


def test_size_and_bytes(text: str, made: tuple[Plan, Store]) -> None:
    size = len(text.encode())
    assert size < 15e6
    assert f"Size: {size / 1e6:.1f} MB.</p>" in text
    assert text == page_of(made, Options(pictures="all", arguments=("--set", "seeds=[0, 1]")))


def test_provenance_of_a_row(made: tuple[Plan, Store], elements: Elements) -> None:
    the_plan, store = made
    board, evidence = report.collect(the_plan, store), Evidence(the_plan, store, ("--set", "seeds=[0, 1]"))
    found = evidence.provenance(board, "trained", "second", "cosine")
    assert found.command == "reidbench run matrix.yaml --only trained/second --set 'seeds=[0, 1]'"
    assert [step.component.name for step in found.steps] == ["resnet-tiny", "bot", "cosine"]
    assert evidence.command("a*[b]", "c") == "reidbench run matrix.yaml --only 'a[*][[]b]/c' --set 'seeds=[0, 1]'"
    done = evidence.provenance(board, "untrained", "second", "cosine")
    (data,) = done.data
    assert data.fingerprint in the_plan.stages
    assert "query images 8" in data.counts
    assert data.roles == "target (test, no labels)"
    assert done.versions["numpy"] == np.__version__
    assert [made.label.split()[0] for made in done.made] == ["finetune", "embed", "evaluate"]
    shown = "\n".join(elements.shown)
    assert "the ReLU after the stem's batch norm is kept" in shown
    assert "85.9" not in shown  # published for Market-1501, and this is another folder
    assert hashlib.sha256(the_plan.benchmark.file.read_bytes()).hexdigest()[:16] in shown


# ---------------------------------------------------------------------- ranked lists
def lists_of(made: tuple[Plan, Store], pictures: Any = "all", budget: int = 1 << 20) -> tuple[list[RankedList], Any]:
    the_plan, store = made
    thumbnails = Thumbnails(budget)
    board = report.collect(the_plan, store)
    return list(ranked_lists(board, Evidence(the_plan, store), 2, pictures, thumbnails)), thumbnails


def test_ranked_lists_are_what_was_scored(made: tuple[Plan, Store]) -> None:
    the_plan, store = made
    found = next(x for x in lists_of(made)[0] if (x.method, x.task, x.evaluator) == ("untrained", "second", "cosine"))
    row = next(r for r in the_plan.rows if (r.method, r.task, r.evaluator, r.seed) == (*_place(found), 0))
    stage = the_plan.stages[str(row.key)]
    features = dict(np.load(store.path(stage.parents[0][1]) / "features.npz"))
    scored = rank(
        *(features[f"{side}_{what}"] for side in ("query", "gallery") for what in ("features", "pids", "camids"))
    )
    assert [query.ap for query in found.best] == pytest.approx(sorted(scored.ap)[::-1][:2])
    assert [query.ap for query in found.worst] == pytest.approx(sorted(scored.ap)[:2])
    for query in (*found.best, *found.worst):
        marks = [shown.match for shown in query.gallery]
        assert marks.index(True) + 1 == query.first_hit
        same = [(shown.pid, shown.camid) == (query.query.pid, query.query.camid) for shown in query.gallery]
        assert not any(same)  # the market1501 camera rule
        assert len(marks) == 7  # the whole gallery but the own camera's image, so that AP can be had by its definition
        hits = np.flatnonzero(marks) + 1
        assert query.ap == pytest.approx(np.mean([(n + 1) / place for n, place in enumerate(hits)]))


def test_ranked_lists_leave_out_own_pictures(made: tuple[Plan, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each query's picture is numbered as that of the next gallery row, and scored so: no list shows it."""
    plain = scored_again.read_arrays
    names = [f"{side}_{what}" for side in ("query", "gallery") for what in ("features", "pids", "camids", "images")]

    def numbered(artifact: Any, name: str) -> dict[str, Any]:
        found: dict[str, Any] = plain(artifact, name)
        if name == "features.npz":
            return found | {"query_images": np.arange(8), "gallery_images": np.roll(np.arange(8), 1)}
        (parent,) = [key for _, key in artifact.manifest["stage"]["parents"]]
        c = numbered(made[1].read(parent), "features.npz")
        q, q_pids, q_camids, q_images, g, g_pids, g_camids, g_images = (c[name] for name in names)
        images = {"query_images": q_images, "gallery_images": g_images}
        again = rank(q, q_pids, q_camids, g, g_pids, g_camids, **images)
        return found | {"ap": again.ap, "valid": again.valid}

    monkeypatch.setattr(scored_again, "read_arrays", numbered)
    found = next(x for x in lists_of(made)[0] if (x.method, x.task, x.evaluator) == ("untrained", "second", "cosine"))
    assert found.note == ""
    # Eight rows less the own camera's and the own picture, which is another row here.
    assert {len(query.gallery) for query in (*found.best, *found.worst)} == {6}
    for query in (*found.best, *found.worst):
        hits = np.flatnonzero([shown.match for shown in query.gallery]) + 1
        assert query.ap == pytest.approx(np.mean([(n + 1) / place for n, place in enumerate(hits)]))


def _place(found: RankedList) -> tuple[str, str, str]:
    return found.method, found.task, found.evaluator


def test_a_ranking_that_is_not_stored_is_not_made_up(made: tuple[Plan, Store]) -> None:
    notes = {x.evaluator: x.note for x in lists_of(made)[0] if x.method == "untrained"}
    assert notes["cosine"] == ""
    assert "changes the ranking" in notes["query-expansion"]


def test_pictures_of_a_users_data_only_on_request(made: tuple[Plan, Store]) -> None:
    assert lists_of(made, "rendered")[1].pictures == {}
    pictures = lists_of(made, "all")[1].pictures
    assert pictures
    assert all(base64.b64decode(uri.split(",")[1])[:2] == b"\xff\xd8" for uri in pictures.values())  # JPEG
    the_plan, store = made
    stages = {key: dataclasses.replace(stage, root=None) for key, stage in the_plan.stages.items()}
    rendered = Plan(the_plan.benchmark, stages, the_plan.rows)
    assert lists_of((rendered, store), "rendered")[1].pictures == pictures


def test_pictures_stop_at_the_budget(made: tuple[Plan, Store]) -> None:
    thumbnails = lists_of(made, "all", budget=2000)[1]
    assert 0 < sum(map(len, thumbnails.pictures.values())) <= 2000
    assert thumbnails.left_out > 0


def test_no_ranked_lists_when_none_are_asked_for(made: tuple[Plan, Store]) -> None:
    assert 'id="ranked"' not in page_of(made, Options(ranked=0))
    assert "images that the evaluator's rules exclude for the query" in " ".join(page_of(made).split())


def test_no_chart_and_no_heat_map_where_there_is_no_number(
    matrix: Callable[..., Path], registry: plugins.Registry, tmp_path: Path
) -> None:
    the_plan, store = plan.expand(reader.read(matrix(), registry)), Store(tmp_path / "empty")
    text = page_of((the_plan, store), Options())
    found = [attributes.get("id") for _, attributes in Elements(text).elements]
    assert "leaderboard" in found
    assert not {"heat", "charts", "cmc", "cost", "notes"} & set(found)
    assert not {"#heat", "#charts", "#notes"} & {a.get("href") for _, a in Elements(text).elements}


def test_one_seed_has_no_rank(made: tuple[Plan, Store]) -> None:
    the_plan, store = made
    text = page_of((the_plan.only([row for row in the_plan.rows if row.seed == 0]), store), Options(pictures="none"))
    assert "Rows with one seed are neither ranked nor bold" in text
    ranks = [attributes["data-order"] for tag, attributes in Elements(text).elements
             if str(attributes.get("class")).startswith("rank") and tag == "td"]  # fmt: skip
    assert set(ranks) == {"999999"}


def test_notes_are_text_and_rows_point_to_them(made: tuple[Plan, Store]) -> None:
    the_plan, store = made
    board = report.collect(the_plan, store)
    stage = "finetune none [tiny, seed {}]: "
    results = [
        dataclasses.replace(r, notes=(f"{stage.format(r.row.seed)}3 files {EVIL}",))
        if (r.row.method, r.row.task) == ("untrained", "second")
        else r
        for r in board.results
    ]
    text = render(dataclasses.replace(board, results=tuple(results)), the_plan, store, Options(pictures="none"))
    found = Elements(text)
    assert [tag for tag, _ in found.elements].count("script") == 6
    assert f"finetune none [tiny, seeds 0, 1]: 3 files {EVIL}" in found.shown
    links = [a for tag, a in found.elements if tag == "a" and a.get("href") == "#note-1"]
    assert len(links) == 2  # of the row by each evaluator
    assert len([a for _, a in found.elements if a.get("id") == "note-1"]) == 1


@pytest.mark.slow
def test_the_command_writes_page_and_figures_without_torch(made: tuple[Plan, Store], tmp_path: Path) -> None:
    the_plan, store = made
    arguments = ["table", str(the_plan.benchmark.file), "--store", str(store.root), "--format", "html"]
    arguments += ["-o", str(tmp_path / "out.html"), "--figures", str(tmp_path / "figures")]
    code = (
        f"import sys\nfrom reidbench.cli import main as cli\nsys.argv = ['reidbench', *{arguments!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print([name for name in ('torch', 'faiss', 'sklearn') if name in sys.modules])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<h2" in text
    assert done.stderr.endswith(f"out.html: one file of {len(text.encode()) / 1e6:.1f} MB\n")
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 10  # two kinds for four columns, two heat maps


# ---------------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")
def browser(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium for the page."""
    file = tmp_path_factory.mktemp("browser") / "page.html"
    file.write_text(text, encoding="utf-8")
    with browsing(file.as_uri()) as driver:
        yield driver


@pytest.fixture
def opened(browser: Any) -> Any:
    """The page as a reader with a wide, light screen meets it."""
    return view(browser, 1280)


def rows(browser: Any) -> list[Any]:
    return find(browser, "#board tbody > tr[data-number]")


@pytest.mark.slow
@in_browser
def test_rows_are_grouped_sorted_and_filtered(opened: Any) -> None:
    assert len(rows(opened)) == 16
    assert find(opened, "#count")[0].text == "16 of 16 rows"
    assert len(find(opened, "#board.grouped td.tied")) > 0
    header = next(h for h in find(opened, "#board thead th") if h.text.strip() == "R1")
    header.click()
    assert header.get_attribute("aria-sort") in ("ascending", "descending")
    shown = [row.find_elements("css selector", "td.number")[1].get_attribute("data-order") for row in rows(opened)]
    values = [float(value) for value in shown]
    assert values == sorted(values, reverse=header.get_attribute("aria-sort") == "descending")
    assert len(set(values)) > 2
    assert find(opened, "#board.grouped") == []  # brackets only where ties are adjacent
    choose(opened, "#task", "second")
    choose(opened, "#evaluator", "cosine")
    assert {row.get_attribute("data-task") for row in rows(opened)} == {"second"}
    assert len(rows(opened)) == 4
    assert all(d.get_attribute("data-task") == "second" for d in find(opened, "details.ranked:not([hidden])"))
    find(opened, "#search")[0].send_keys("colours")
    (only,) = rows(opened)
    assert only.find_element("css selector", "button").text == "colours"
    find(opened, "#filters button[type=reset]")[0].click()
    wait(lambda: len(rows(opened)) == 16)
    wait(lambda: len(find(opened, "#board.grouped")) == 1)


@in_browser
def test_rows_are_filtered_by_the_words_of_their_protocols(opened: Any) -> None:
    named = [select.get_attribute("data-word") for select in find(opened, "select[data-word]")]
    assert named == ["AP step", "no labels", "query expansion", "source labels"]
    find(opened, ".words summary")[0].click()
    choose(opened, "select[data-word='source labels']", "without")
    protocols = {row.get_attribute("data-words") for row in rows(opened)}
    assert protocols == {"no labels, AP step", "no labels, AP step, query expansion"}
    choose(opened, "select[data-word='query expansion']", "with")
    assert {row.get_attribute("data-words") for row in rows(opened)} == {"no labels, AP step, query expansion"}
    choose(opened, "select[data-word='no labels']", "without")
    assert rows(opened) == []
    assert find(opened, "#count")[0].text == "0 of 16 rows"


@pytest.mark.slow
@in_browser
def test_an_address_keeps_the_filters(opened: Any) -> None:
    find(opened, "#search")[0].send_keys("colours")
    choose(opened, "#task", TASK)
    find(opened, ".words summary")[0].click()
    choose(opened, "select[data-word='query expansion']", "without")
    address = opened.current_url
    assert address.partition("#?")[2].startswith("search=colours&task=same%3C%2Ftemplate%3E")
    assert address.endswith("&without=query+expansion")
    view(opened, 1280, at=address)
    (only,) = rows(opened)
    assert (only.get_attribute("data-task"), only.get_attribute("data-evaluator")) == (TASK, "cosine")
    assert find(opened, "#task option:checked")[0].text == TASK
    find(opened, "#filters button[type=reset]")[0].click()
    wait(lambda: opened.current_url == opened.address)
    assert len(rows(opened)) == 16


@pytest.mark.slow
@in_browser
def test_an_address_that_names_what_is_not_here_says_so(opened: Any) -> None:
    view(opened, 1280, at=f"{opened.address}#?task=second&with=transductive&evaluator=mine")
    assert len(rows(opened)) == 8
    note = find(opened, "#filter-note")[0].text
    assert note.endswith("ignored: with=transductive, evaluator=mine")
    view(opened, 1280, at=f"{opened.address}#row-gone--second--cosine")
    assert "is not on this page" in find(opened, "#filter-note")[0].text


@pytest.mark.slow
@in_browser
def test_a_link_to_a_row_opens_it(opened: Any) -> None:
    name = "row-colours--second--query-expansion"
    view(opened, 1280, at=f"{opened.address}#{name}")
    (detail,) = find(opened, ".detail")
    assert detail.accessible_name == "Details of colours on second"
    row = opened.execute_script("return document.activeElement.closest('tr')")
    assert row.get_attribute("id") == name
    assert opened.execute_script("return arguments[0].getBoundingClientRect().top", row) < 900
    assert detail.find_element("link text", "Link to this row").get_attribute("href") == f"{opened.address}#{name}"
    choose(opened, "#task", TASK)  # and then follows a link to a row that the filter hides
    opened.execute_script("location.hash = 'row-colours--second--cosine'")
    wait(lambda: len(find(opened, ".detail")) == 2)
    assert len(rows(opened)) == 16


@in_browser
def test_reasons_stand_where_numbers_are_missing(opened: Any) -> None:
    failed = [row.text for row in rows(opened) if "failed" in row.text]
    assert len(failed) == 2
    assert all(TOLD in words for words in failed)
    assert sum("bot needs a source, and the task has none" in row.text for row in rows(opened)) == 2


@in_browser
def test_a_row_opens_by_keyboard_and_shows_text(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    button = next(b for b in find(opened, "button.open") if b.text.startswith("bad"))
    assert button.text == METHOD
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-expanded") == "true"
    (detail,) = find(opened, ".detail")
    assert "reidbench run matrix.yaml --only" in detail.text
    assert "fingerprint" in detail.text
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-expanded") == "false"
    assert find(opened, ".detail") == []
    header = next(h for h in find(opened, "#board thead th") if h.text.strip() == "Task")
    header.find_element("css selector", "[tabindex='0']").send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "ascending"
    assert opened.execute_script("return window.hacked === undefined")


@pytest.mark.slow
@in_browser
def test_pictures_appear_when_a_list_is_opened(opened: Any) -> None:
    details = next(d for d in find(opened, "details.ranked") if d.text.startswith("untrained"))
    details.find_element("css selector", "summary").click()
    images = details.find_elements("css selector", "img")
    assert len(images) == 6 * (1 + 7)  # three best and three worst queries; eight gallery images but the own camera's
    wait(lambda: all(opened.execute_script("return arguments[0].naturalWidth > 0", image) for image in images))
    assert all(image.get_attribute("alt") for image in images)
    marks = {mark.text.split()[0] for mark in details.find_elements("css selector", "li .mark")}
    assert marks == {"✓", "✗"}


@in_browser
def test_charts_follow_the_task(opened: Any) -> None:
    names = [name.text for name in find(opened, "#cmc .legendtext")]
    assert METHOD in names
    assert len(find(opened, "#cmc .scatterlayer .trace")) == 3
    assert len(find(opened, "#cost .scatterlayer .trace")) == 3
    choose(opened, "#task", "second")
    assert find(opened, "#chart-task")[0].get_attribute("value") == "1"


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_screen_and_can_be_read(browser: Any, width: int, scheme: str) -> None:
    view(browser, width, scheme)
    find(browser, "button.open")[0].click()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    selector = "p, small, caption, label, output, .reason, .status, .open, .protocol, dt, dd, summary, .mark, a"
    contrasts = browser.execute_script(LUMINANCE, selector)
    assert len(contrasts) > 50
    assert min(contrasts) >= 4.5  # WCAG AA
    dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(json.loads(f"[{dark[4:-1]}]")) < 120) == (scheme == "dark")


@pytest.mark.slow
@in_browser
def test_everything_that_can_be_used_has_a_name(opened: Any) -> None:
    find(opened, "button.open")[0].click()
    for details in find(opened, "details"):
        opened.execute_script("arguments[0].open = true", details)  # what is not shown has no name
    for element in find(opened, "button, select, input, summary, [role=region], [role=img], section"):
        assert element.accessible_name, element.get_attribute("outerHTML")[:200]
    assert all(table.find_elements("css selector", "th[scope]") for table in find(opened, "table"))
    assert find(opened, "html")[0].get_attribute("lang") == "en"


@pytest.mark.slow
@in_browser
def test_no_error_and_no_request(browser: Any) -> None:
    browser.get_log("browser"), browser.get_log("performance")
    view(browser, 1280)
    for details in find(browser, "details.ranked"):
        browser.execute_script("arguments[0].open = true", details)
    for button in find(browser, "button.open"):
        browser.execute_script("arguments[0].click()", button)
    assert browser.get_log("browser") == []
    assert requests(browser) == [browser.address]
    refused = "return fetch('https://example.org/').then(() => 'sent', (error) => String(error))"
    assert "Failed to fetch" in browser.execute_script(refused)
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_a_mean_without_an_interval_is_printed_with_neither() -> None:
    """With several pre-trainings, one of which lacks a seed, there is a deviation and no interval."""
    pytest.importorskip("jinja2")
    from reidbench.report.html.assets import template
    from reidbench.report.results import Summary

    found = Summary("a", "t", "cosine", "mAP", 2, 2, 0.4, 0.1, None, results=3)
    shown = str(template("parts.html").module.interval(found, lambda value, *_: f"{100 * value:.1f}"))
    assert shown.strip() == "40.0"
