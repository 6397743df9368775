"""All files of a site: index, a page per matrix, method and data set, the table of all methods, and shared assets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from reidbench import __version__
from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import Recipe
from reidbench.progressbar import Through, quietly
from reidbench.report.formats.extras import require
from reidbench.report.formats.sentences import BOLD
from reidbench.report.html.assets import Linked, files, template
from reidbench.report.html.page import Page
from reidbench.report.html.ranked import Thumbnails
from reidbench.report.html.ranks import Section, section_of
from reidbench.report.html.slugs import slug
from reidbench.report.options import Options
from reidbench.report.provenance import Step
from reidbench.report.ranks.cells import Ranks, ranks_of
from reidbench.report.ranks.comparison import Comparison
from reidbench.report.ranks.lines import Line, headings, lines
from reidbench.report.ranks.sentences import about
from reidbench.report.units import NAMES, described

from .catalogue import Catalogue, Method
from .datasets import DataSets
from .entries import Entries, Entry
from .identity import ROLES
from .sources import Given, Source, sources

INDEX, ACROSS = "index.html", "across.html"
TITLE = "Person re-identification: results"
ENDING = "This page loads nothing but the files of its site."


@dataclass(frozen=True)
class Site:
    """The files of a site by their paths from its root, and sentences about contradictory results."""

    files: Mapping[str, bytes]
    contradictions: Sequence[str]


def build(given: Sequence[Given], options: Options, title: str = "", through: Through = quietly) -> Site:
    """Return the files of a site. Raises ReidbenchError for an unknown metric or if the extra `report` is missing."""
    require("a site", "jinja2", "plotly", "itables")
    found = sources(given)
    catalogue = Catalogue(found, title or TITLE)
    entries = Entries(catalogue, options.metric)
    return Site(_Builder(found, catalogue, entries, options).files(through), catalogue.contradictions)


@dataclass
class Pictures(Thumbnails):
    """Thumbnails as files of the site, for pages in a folder below its root."""

    written: dict[str, bytes] = field(default_factory=dict)

    def address(self, picture: bytes) -> str:
        """Return the address of a thumbnail from a page."""
        path = f"pictures/{hashlib.sha256(picture).hexdigest()}.jpg"
        self.written[path] = picture
        return f"../{path}"


@dataclass
class _Recipe:
    """A recipe and its matrices."""

    recipe: Recipe
    steps: Sequence[Step]
    settings: str
    sources: list[Source] = field(default_factory=list)


class _Builder:
    """Builds the pages."""

    def __init__(self, found: Sequence[Source], catalogue: Catalogue, entries: Entries, options: Options) -> None:
        self.sources, self.catalogue, self.entries, self.options = found, catalogue, entries, options
        self.data = DataSets(catalogue)
        self.methods: dict[str, list[Method]] = {}  # by name; methods with the same name share a page
        for method in catalogue.methods:
            self.methods.setdefault(method.name, []).append(method)
        _refuse_shared([*self.methods], method_page)
        _refuse_shared(self.data.names, data_page)
        self.best = self._best()
        self.ranks = self._ranks()

    def files(self, through: Through) -> dict[str, bytes]:
        """Return all files by path."""
        found: dict[str, bytes] = {f"assets/{name}": text.encode() for name, text in files().items()}
        found[INDEX] = self.index()
        found[ACROSS] = self.across()
        found |= {method_page(name): self.method(name) for name in through("methods", self.methods)}
        found |= {data_page(name): self.data_set(name) for name in through("data sets", self.data.names)}
        for source in through("matrices", self.sources):
            found |= self.matrix(source)
        return found

    def _best(self) -> list[Entry]:
        """Return the candidates for the best line of each task and evaluator."""
        columns = [(task.label, judge.label) for task in self._columns() for judge in self.catalogue.judges.values()]
        return [entry for n, column in enumerate(columns) for entry in self.entries.best(*column, n)]

    def _ranks(self) -> Ranks | None:
        """Return all comparisons over tasks, each evaluator by its own metric, or None without any."""
        board, wanted = self.catalogue.over_tasks, self.entries.metric
        if len(board.methods) < 2 or len(board.tasks) < 2 or not any(result.metrics for result in board.results):
            return None
        found = [ranks_of(board, metric) for metric in dict.fromkeys(map(wanted, board.evaluators))]
        return Ranks(
            "",
            tuple(one for ranks in found for one in ranks.comparisons if one.metric == wanted(one.evaluator)),
            tuple(one for ranks in found for one in ranks.refused if ranks.metric == wanted(one[0])),
        )

    def _section(self) -> Section | None:
        """Return the section on ranks without methods and tasks that are left out; other tables show them."""
        if self.ranks is None:
            return None
        whole = section_of(self.ranks, self._declared)
        shown = []
        for one, found in zip(whole.shown, self.ranks.comparisons, strict=True):
            count = len(found.tasks)
            kept = [replace(line, cells=line.cells[:count]) for line in one.lines[: len(found.methods)]]
            shown.append(replace(one, lines=kept, tasks=one.tasks[:count]))
        return replace(whole, shown=shown)

    @cached_property
    def _rank_lines(self) -> dict[str, list[tuple[str, Sequence[str], Line]]]:
        """Title, columns and the method's line of each comparison, by method."""
        found: dict[str, list[tuple[str, Sequence[str], Line]]] = {}
        for one in self.ranks.comparisons if self.ranks else ():
            known = self._declared(one)
            for line in lines(one, known)[: len(one.methods)]:
                found.setdefault(line.method, []).append((about(one, known), headings(one), line))
        return found

    def _columns(self) -> Iterator[Any]:
        return iter(self.catalogue.columns.values())

    def _declared(self, found: Comparison) -> Metric | None:
        return self.entries.board.metric(found.evaluator, found.metric)

    # ------------------------------------------------------------------ pages
    def page(self, name: str, root: str, **given: Any) -> bytes:
        """Render a page; `root` is the path from its folder to the root. Only pages with `lines` load scripts."""
        text: str = template(f"site/{name}.html").render(
            root=root,
            assets=Linked(f"{root}assets/", ("datatables.js", "page.js") if given.get("lines") else ()),
            site_title=self.catalogue.title,
            several=len(self.catalogue.judges) > 1,
            names=NAMES,
            heading=self.entries.heading,
            method_page=method_page,
            data_page=data_page,
            version=__version__,
            ending=ENDING,
            **given,
        )
        return text.encode()

    def index(self) -> bytes:
        """Return the index: best results by task, and lists of matrices, methods and data sets."""
        shown = {(entry.task, entry.evaluator) for entry in self.best}
        empty = [
            (task.label, judge.label)
            for task in self._columns()
            for judge in self.catalogue.judges.values()
            if (task.label, judge.label) not in shown
        ]
        return self.page(
            "index",
            "",
            title=self.catalogue.title,
            lines=self.best,
            filters=_filters(self.best, self.sources, best=True),
            empty=empty,
            sources=self.sources,
            methods=self.methods,
            data=self.data,
            counts={source.number: _counts(source) for source in self.sources},
            contradictions=self.catalogue.contradictions,
        )

    def matrix(self, source: Source) -> dict[str, bytes]:
        """Return the page of a matrix and its thumbnails."""
        pictures = Pictures()
        known = self.options.metric if self.options.metric and source.board.known(self.options.metric) else None
        options = Options(known, self.options.ranked, self.options.pictures, source.given.arguments)
        page = Page(source.board, source.evidence, options, Linked("../assets/"), pictures)
        text = page.html(ENDING, Links(source))
        return {source.page: text.encode(), **pictures.written}

    def method(self, name: str) -> bytes:
        """Return the page of all methods with a name."""
        methods = self.methods[name]
        lines = [
            entry
            for method in methods
            for task, evaluator in method.numbers
            for entry in self.entries.at((method.label, task, evaluator))
        ]
        recipes = [(method, _recipes(method)) for method in methods]
        labels = [self.catalogue.same_methods.get(one.label, one.label) for one in methods]
        last = {one.steps[-1].component.name: one.steps[-1] for _, several in recipes for one in several if one.steps}
        return self.page(
            "method",
            "../",
            title=name,
            methods=recipes,
            last_steps=list(last.values()),
            ranks=[line for label in labels for line in self._rank_lines.get(label, ())],
            lines=lines,
            filters=_filters(lines, self.sources),
        )

    def data_set(self, name: str) -> bytes:
        """Return the page of a data set."""
        lines = self.data.lines(name, self.best)
        return self.page(
            "data",
            "../",
            title=name,
            contents=self.data.contents(name),
            lines=lines,
            filters=_filters(lines, self.sources, best=True),
            tasks=self.data.tasks(name),
        )

    def across(self) -> bytes:
        """Return the page of all methods on all tasks, by evaluator."""
        tables = {}
        for judge in self.catalogue.judges.values():
            metric = self.entries.metric(judge.label)
            cells = {
                task.label: {entry.method: entry for entry in self.entries.lines(task.label, judge.label)}
                for task in self._columns()
            }
            tables[judge.label] = (metric, {task: found for task, found in cells.items() if found})
        return self.page(
            "across",
            "",
            title="All methods and tasks",
            tables=tables,
            bold=BOLD,
            ranks=self._section(),
            same=self.catalogue.same_methods,
            headings={
                name: described(found, self.entries.board.metric(name, found)) for name, (found, _) in tables.items()
            },
            methods=self.catalogue.methods,
            rows_of={
                name: {method for cells in found.values() for method in cells} for name, (_, found) in tables.items()
            },
            contradictions=self.catalogue.contradictions,
        )


@dataclass(frozen=True)
class Links:
    """Addresses of other pages of the site, for the page of a matrix."""

    source: Source
    home: str = f"../{INDEX}"
    across: str = f"../{ACROSS}"

    def method(self, name: str) -> str:
        """Return the page of a method."""
        return f"../{method_page(name)}"

    def data(self, task: str) -> list[tuple[str, str]]:
        """Return the data sets of a task with their pages."""
        given = self.source.evidence.tasks[task]
        names = dict.fromkeys(ref.name for role in ROLES for ref in given.refs(role))
        return [(name, f"../{data_page(name)}") for name in names]


def method_page(name: str) -> str:
    """Return the address of a method's page from the root of the site."""
    return f"method/{slug(name)}.html"


def data_page(name: str) -> str:
    """Return the address of a data set's page from the root of the site."""
    return f"data/{slug(name)}.html"


def _refuse_shared(names: Sequence[str], page: Callable[[str], str]) -> None:
    """Raise ReidbenchError if two names share a page: hashes of names can be made to collide."""
    of: dict[str, str] = {}
    for name in names:
        if of.setdefault(page(name), name) != name:
            raise ReidbenchError(
                f"{of[page(name)]!r} and {name!r} would share the page {page(name)}: rename one of them"
            )


def _recipes(method: Method) -> list[_Recipe]:
    """Return the different recipes of a method in its matrices."""
    found: dict[tuple[str, ...], _Recipe] = {}
    for source, recipe in method.recipes:
        steps, settings = list(source.evidence.own_steps(recipe.name)), source.evidence.settings()
        texts = (f"{step.kind} {step.component.name} {step.component.version} {step.params}" for step in steps)
        found.setdefault((settings, *texts), _Recipe(recipe, steps, settings)).sources.append(source)
    return list(found.values())


def _counts(source: Source) -> tuple[int, int]:
    """Return the numbers of existing and planned results of a matrix."""
    results = source.board.results
    return sum(result.status == "ok" for result in results), len(results)


def _filters(lines: Sequence[Entry], found: Sequence[Source], best: bool = False) -> dict[str, Any]:
    """Return the filters of a table; `best` adds the choice between the best matching rows and all candidates."""
    checked = sorted({entry.cell.checked for entry in lines if entry.cell.checked})
    selects = [
        ("task", "Task", list(dict.fromkeys(entry.task for entry in lines)), "all tasks"),
        ("evaluator", "Evaluator", list(dict.fromkeys(entry.evaluator for entry in lines)), "all evaluators"),
        ("checked", "Checked", checked, "all"),
        ("matrix", "Matrix", [source.called for source in found], "all matrices"),
    ]
    show = [("show", "Show", ["the best of each protocol"], "the best matching rows")]
    words = sorted({word for entry in lines for word in entry.cell.words})
    return {"selects": [*selects, *(show if best else ())], "words": words}
