"""The files of a site, read as text: what is on which page, links, names, sizes, hostile texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pytest

from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry
from reidbench.report.html.site import pages
from reidbench.report.html.site.folder import OURS
from reidbench.report.html.site.pages import Site
from reidbench.report.html.site.sources import Given
from reidbench.report.options import Options
from reidbench.report.results import collect
from reidbench.store.artifacts import Store
from tests.support.sites import given, publish, read

EVIL = "<script>window.hacked=1</script>"
SCRIPT_END = "a</script><img src=x onerror=window.hacked=1>"
NAMES = [
    "con",
    "Con",
    "CON",
    "..",
    "a/b",
    "-",
    "人",
    "x" * 200,
    EVIL,
    SCRIPT_END,
    'it\'s "q" & {{ 7*7 }}',
    "é",
]


class Elements(HTMLParser):
    """All elements with their attributes, and the text that a reader may see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.shown.append(data)

    def all(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements for key, value in attributes.items() if key == name and value]


def html(site: Site) -> Iterator[tuple[str, Elements]]:
    for path, data in site.files.items():
        if path.endswith(".html"):
            yield path, Elements(data.decode())


Make = Callable[..., Site]


@pytest.fixture
def make(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> Make:
    """The site of matrix files, each with these parts and numbers by method."""

    def build(*several: tuple[str, dict[str, float], dict[str, str]], **options: object) -> Site:
        found, store = [], Store(tmp_path / "store")
        for name, numbers, parts in several:
            file = matrix(**{"seeds": "[0, 1, 2]", **parts}).rename(tmp_path / f"{name}.yaml")
            publish(read(file, registry), store, numbers)
            found.append(given(file, registry, store))
        return pages.build(found, Options(**options))  # type: ignore[arg-type]

    return build


def test_every_link_leads_somewhere(make: Make) -> None:
    two = "{untrained: {finetune: none}, Hist: {finetune: colour-histogram}}"
    tasks = "{tiny: {source: tiny, target: tiny}, 'a->b': {target: tiny}}"
    site = make(("a", {"untrained": 0.4}, {}), ("b", {"Hist": 0.3}, {"methods": two, "tasks": tasks}))
    found = dict(html(site))
    assert {
        "index.html",
        "across.html",
        "matrix/a.html",
        "matrix/b.html",
        "method/untrained.html",
        "data/tiny.html",
    } <= (found.keys())
    for path, page in found.items():
        folder = PurePosixPath(path).parent
        for link in page.all("href") + page.all("src"):
            address, _, place = link.partition("#")
            if address.startswith(("data:", "https:")):
                continue
            target = _joined(folder, unquote(address)) if address else path
            assert target in site.files, f"{path} leads to {link}"
            if place and not place.startswith("?"):
                assert place in found[target].all("id"), f"{path} leads to {link}"


def _joined(folder: PurePosixPath, address: str) -> str:
    parts = list(folder.parts)
    for part in PurePosixPath(address).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def test_the_best_of_a_task_says_all_that_a_reader_asks(make: Make) -> None:
    """Method, interval, command and level of verification."""
    two = "{untrained: {finetune: none}, histogram: {finetune: {use: bot, epochs: 1}}}"
    index = Elements(make(("a", {"untrained": 0.4, "histogram": 0.6}, {"methods": two})).files["index.html"].decode())
    (row,) = [a for tag, a in index.elements if tag == "tr" and str(a.get("id")).startswith("row-histogram")]
    assert row["data-checked"] == "run here"
    text = " ".join(" ".join(index.shown).split())
    assert "60.1 ± 0.1 [59.9, 60.3]" in text  # 60.0, 60.1, 60.2
    assert "1 of 2" in text
    assert "2026-01-02" in text
    assert "matrix/a.html#row-histogram--tiny--cosine" in index.all("href")


def test_a_number_with_notes_behind_it_says_so(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> None:
    file, store = matrix(seeds="[0, 1, 2]"), Store(tmp_path / "store")
    publish(read(file, registry), store, {"untrained": 0.4}, notes=["3 pictures were dropped"])
    index = Elements(pages.build([given(file, registry, store)], Options()).files["index.html"].decode())
    assert "3 notes" in index.shown  # of three stages, one for each seed


def test_the_same_results_give_the_same_bytes(make: Make) -> None:
    first = make(("a", {"untrained": 0.4}, {}))
    assert first == make(("a", {}, {}))


def test_names_of_strangers_are_text_and_their_pages_have_sound_names(make: Make) -> None:
    methods = (
        "{"
        + ", ".join(f"{json.dumps(name)}: {{finetune: {{use: bot, epochs: {n}}}}}" for n, name in enumerate(NAMES, 1))
        + "}"
    )
    tasks = (
        "{" + ", ".join(f"{json.dumps(name)}: {{source: tiny, target: tiny}}" for name in NAMES[:3] + NAMES[8:]) + "}"
    )
    title = json.dumps(f"Site {EVIL}")
    numbers = {name: 0.1 + number / 100 for number, name in enumerate(NAMES)}
    site = make(("a", numbers, {"methods": methods, "tasks": tasks, "title": title}))
    paths = [path for path in site.files if path.startswith("method/")]
    assert len({path.lower() for path in paths}) == len(NAMES)
    assert all(OURS.fullmatch(path) for path in site.files)
    assert "method/con.html" not in paths
    assert all(len(path) < 100 for path in paths)
    for path, page in html(site):
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")], path
        assert "window.hacked=1" not in " ".join(a.get("src") or "" for _, a in page.elements)
        assert [tag for tag, _ in page.elements].count("img") == 0
        ids = page.all("id")
        assert len(ids) == len(set(ids)), path
    evil = Elements(site.files["index.html"].decode())
    assert EVIL in evil.shown
    assert not any("49" in name for name in evil.shown if "7*7" in name)


def test_marks_that_turn_text_around_are_not_printed(
    make: Make, matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    """No matrix file may have them; a pack of a stranger may."""
    plain = read(matrix(seeds="[0, 1, 2]"), registry)
    name = "\u202eknab\x1b[31m"
    recipes = tuple(replace(recipe, name=name) for recipe in plain.benchmark.methods)
    turned = Plan(
        replace(plain.benchmark, methods=recipes), plain.stages, [replace(r, method=name) for r in plain.rows]
    )
    store = Store(tmp_path / "store")
    publish(turned, store, {name: 0.5})
    found = [Given(tmp_path / "x.zip", turned, store, collect(turned, store))]
    site = pages.build(found, Options())
    assert "method/knab-31m-" + sha256(name.encode()).hexdigest()[:8] + ".html" in site.files
    for path, data in site.files.items():
        if path.endswith(".html"):
            assert not {"\u202e", "\x1b"} & set(data.decode()), path


def test_two_names_of_one_page_are_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with the digits of another can be found within minutes: no page of one may take the other's place."""
    monkeypatch.setattr("reidbench.report.html.slugs.DIGITS", 0)
    two = "{'a b': {finetune: none}, a.b: {finetune: colour-histogram}}"
    with pytest.raises(ReidbenchError, match=r"'a b' and 'a\.b' would share the page method/a-b-\.html: rename one"):
        make(("a", {}, {"methods": two}))


def test_a_method_without_a_row_has_a_page_that_says_so(
    matrix: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    """As in a pack of some rows of a file."""
    whole = read(matrix(methods="{untrained: {finetune: none}, other: {finetune: colour-histogram}}"), registry)
    some = whole.only([row for row in whole.rows if row.method == "untrained"])
    store = Store(tmp_path / "store")
    site = pages.build([Given(tmp_path / "x.zip", some, store, collect(some, store))], Options())
    assert "No rows: no matrix" in site.files["method/other.html"].decode()
    assert "script" not in [tag for tag, _ in Elements(site.files["method/other.html"].decode()).elements]


def test_six_rows_take_less_than_300_kB_beside_the_shared_files(make: Make) -> None:
    methods = "{" + ", ".join(f"m{n}: {{finetune: {{use: bot, epochs: {n}}}}}" for n in range(1, 7)) + "}"
    site = make(("a", {f"m{n}": 0.1 * n for n in range(1, 7)}, {"methods": methods}))
    sizes = {path: len(data) for path, data in site.files.items() if path.endswith(".html")}
    assert max(sizes.values()) < 300_000
    assert sorted(path for path in site.files if path.startswith("assets/")) == [
        "assets/datatables.js", "assets/page.css", "assets/page.js", "assets/plotly.js",
    ]  # fmt: skip


def test_nothing_but_the_files_of_the_site_may_be_loaded(make: Make) -> None:
    for path, page in html(make(("a", {"untrained": 0.4}, {}))):
        (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
        rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
        assert rules["default-src"] == "'none'", path
        assert rules["script-src"] == "'self' file:"
        assert set(rules["img-src"].split()) == {"'self'", "file:", "data:", "blob:"}
        assert not [
            a for tag, a in page.elements if tag == "script" and "src" not in a and a.get("type") != "application/json"
        ]


def test_a_method_has_its_paper_its_recipes_and_all_its_cells(make: Make) -> None:
    bot = "{bot: {finetune: {use: bot, epochs: 3}}}"
    wide = {"methods": bot, "backbone": "{use: resnet-tiny, width: 8}"}
    site = make(("a", {"bot": 0.4}, {"methods": bot}), ("b", {"bot": 0.5}, wide))
    page = Elements(site.files["method/bot.html"].decode())
    text = " ".join(" ".join(page.shown).split())
    assert "Bag of Tricks and A Strong Baseline" in text
    assert "https://arxiv.org/abs/1903.07071" in page.all("href")
    assert "width=8" in text
    assert "width=4" in text
    rows = [a["id"] for tag, a in page.elements if tag == "tr" and "data-task" in a]
    assert [re.sub("-[0-9a-f]{8}", "", str(row)) for row in rows] == [
        "row-bot-a--tiny--cosine",
        "row-bot-b--tiny--cosine",
    ]


def test_methods_are_compared_over_the_tasks_of_all_matrices(make: Make) -> None:
    """Each matrix has one task; over both, `low` and `high` are complete, and `only` is not."""
    bot = "{{finetune: {{use: bot, epochs: {}}}}}".format
    two = f"{{low: {bot(1)}, high: {bot(2)}}}"
    three = f"{{low: {bot(1)}, high: {bot(2)}, only: {bot(3)}}}"
    numbers = {"low": 0.3, "high": 0.5, "only": 0.9}
    whole = "{whole: {source: tiny, target: tiny}}"
    part = "{part: {source: {use: tiny, identities: 2}, target: tiny}}"
    site = make(("a", numbers, {"methods": two, "tasks": whole}), ("b", numbers, {"methods": three, "tasks": part}))
    text = " ".join(" ".join(Elements(site.files["across.html"].decode()).shown).split())
    assert "Compared: 2 methods on the 2 tasks for which all of them have complete results." in text
    assert "Left out, method only: " in text
    page = " ".join(" ".join(Elements(site.files["method/high.html"].decode()).shown).split())
    assert "Mean rank 95 % interval Win rate, % Borda high 1.00 – 100.0 2" in page  # best of both tasks, one rival
    assert "Ranks over tasks" not in site.files["method/only.html"].decode()


def test_a_data_set_has_its_tasks_and_their_roles(make: Make) -> None:
    tasks = "{tiny: {source: tiny, target: tiny}, alone: {target: tiny}}"
    page = Elements(make(("a", {"untrained": 0.4}, {"tasks": tasks})).files["data/tiny.html"].decode())
    text = " ".join(" ".join(page.shown).split())
    assert "tiny: as target, source, in" in text
    assert "alone: as target, in" in text
    assert "market-folder" in text
    assert "matrix/a.html#?task=alone" in " ".join(page.all("href"))


def test_an_index_of_no_results_names_what_is_missing(make: Make) -> None:
    page = Elements(make(("a", {}, {})).files["index.html"].decode())
    assert "No results yet (1)" in page.shown
    assert "board" not in page.all("id")
