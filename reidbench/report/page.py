"""The leaderboard as one HTML file that asks the network for nothing: it works from disk, and can be mailed.

Tables are plain HTML, complete without scripts; DataTables sorts and filters them, plotly draws the charts, and both
are written into the file. All text of plugins and files is escaped, and a content security policy allows no other
script than the three whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .. import __version__
from ..errors import ReidbenchError
from ..plan import Plan
from ..store import Store
from .charts import charts
from .extras import require
from .formats import NAMES, STATUS_WORDS, check_metric, visible
from .options import Options
from .provenance import Evidence, Provenance
from .ranked import Thumbnails, ranked_lists
from .results import Leaderboard, Place, Result, Summary, places


@dataclass(frozen=True)
class Line:
    """One line of the table: a method on a task by an evaluator."""

    number: int
    method: str
    task: str
    evaluator: str
    protocol: str
    status: str  # ok, failed, not applicable, missing
    place: Place | None
    values: Mapping[str, Summary]
    good: int
    results: Sequence[Result]
    seconds: float | None
    provenance: Provenance
    edges: frozenset[str] = frozenset()  # of the bracket around methods that are tied: first, last

    @property
    def reasons(self) -> list[str]:
        """Why numbers are missing, equal ones once."""
        return list(dict.fromkeys(result.error for result in self.results if result.status != "ok"))


def render(board: Leaderboard, plan: Plan, store: Store, options: Options) -> str:
    """The page as text. Raises ReidbenchError for an unknown metric, or when the extra `report` is not installed."""
    require("the HTML page", "jinja2", "plotly", "itables")
    check_metric(board, options.metric)
    return _Page(board, Evidence(plan, store, options.arguments), options).html()


class _Page:
    def __init__(self, board: Leaderboard, evidence: Evidence, options: Options) -> None:
        self.board, self.evidence, self.options = board, evidence, options
        self.thumbnails = Thumbnails()

    def html(self) -> str:
        scripts = _Scripts()
        lists = list(
            ranked_lists(self.board, self.evidence, self.options.ranked, self.options.pictures, self.thumbnails)
        )
        lines = list(self.lines())
        text: str = _template().render(
            board=self.board,
            metric=self.options.metric,
            names=NAMES,
            lines=lines,
            columns=[name for name in self.board.metrics if name != self.options.metric],
            scale=_scale(line.values.get(self.options.metric) for line in lines),
            protocols=list(dict.fromkeys(line.protocol for line in lines)),
            heat={evaluator: self.heat(evaluator) for evaluator in self.board.evaluators},
            lists=lists,
            pictures=self.options.pictures,
            left_out=self.thumbnails.left_out,
            thumbnails=self.thumbnails.pictures,
            charts=charts(self.board, self.evidence, self.options.metric),
            file=self.evidence.plan.benchmark.file.name,
            file_hash=self.evidence.file_hash(),
            version=__version__,
            css=scripts.css,
            scripts=scripts,
        )
        return text

    # ------------------------------------------------------------------ lines
    def lines(self) -> Iterator[Line]:
        """By task and evaluator: by rank, then the rows that are set apart, then those without a number."""
        number = 0
        for task in self.board.tasks:
            for evaluator in self.board.evaluators:
                found = places(self.board, task, evaluator, self.options.metric)
                methods = self.ordered(task, evaluator, found)
                for before, method, after in zip([None, *methods], methods, [*methods[1:], None], strict=False):
                    edges = {"first": before, "last": after}
                    sides = frozenset(side for side, other in edges.items() if not _same(found, method, other))
                    yield self.line(number, method, task, evaluator, found.get(method), sides)
                    number += 1

    def ordered(self, task: str, evaluator: str, found: Mapping[str, Place]) -> list[str]:
        def order(method: str) -> tuple[Any, ...]:
            place = found.get(method)
            if place is None:
                return (1, 0, (), 0, 0.0)
            mean = self.board.summarised(method, task, evaluator)[self.options.metric].mean
            return (0, len(place.kind), place.kind, place.rank, -mean)

        return sorted((m for m in self.board.methods if self.board.cell(m, task, evaluator)), key=order)

    def line(
        self, number: int, method: str, task: str, evaluator: str, place: Place | None, edges: frozenset[str]
    ) -> Line:
        results = self.board.cell(method, task, evaluator)
        good = sum(result.status == "ok" for result in results)
        first_bad = next((result.status for result in results if result.status != "ok"), "ok")
        return Line(
            number,
            method,
            task,
            evaluator,
            " / ".join(dict.fromkeys(result.row.protocol for result in results)),
            "ok" if good else STATUS_WORDS[first_bad],
            place,
            self.board.summarised(method, task, evaluator),
            good,
            results,
            self.evidence.mean_seconds(results),
            self.evidence.provenance(self.board, method, task, evaluator),
            edges,
        )

    def heat(self, evaluator: str) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """Method to task to mean, and the best of each task."""
        metric = self.options.metric
        cells = {m: {t: self.board.summarised(m, t, evaluator) for t in self.board.tasks} for m in self.board.methods}
        rows = {m: {t: cell[metric].mean for t, cell in row.items() if metric in cell} for m, row in cells.items()}
        return rows, {t: max((row[t] for row in rows.values() if t in row), default=0.0) for t in self.board.tasks}


def _same(found: Mapping[str, Place], method: str, other: str | None) -> bool:
    """Whether two rows share a rank."""
    if other is None or method not in found or other not in found:
        return False
    own, beside = found[method], found[other]
    return (own.kind, own.rank) == (beside.kind, beside.rank)


def _scale(summaries: Iterator[Summary | None]) -> float:
    """The right end of the interval bars: a round fraction that holds all of them."""
    high = [max(found.mean, found.ci95[1] if found.ci95 else 0) for found in summaries if found]
    return min(1.0, math.ceil(10 * max(high, default=1)) / 10) or 1.0


# ---------------------------------------------------------------------- the file
def _template() -> Any:
    import jinja2
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reidbench.report"),
        autoescape=True,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = lambda fraction, digits=1: f"{100 * fraction:.{digits}f}"
    environment.filters["seconds"] = _seconds
    return environment.get_template("page.html")


def _seconds(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}".replace(",", "\u202f")


@dataclass
class _Scripts:
    """The scripts of the page, and the policy that allows them and nothing else."""

    hashes: list[str] = field(default_factory=list)

    @cached_property
    def css(self) -> str:
        return _resource("page.css")

    @cached_property
    def plotly(self) -> str:
        from plotly.offline import get_plotlyjs

        return _inline(get_plotlyjs())

    @cached_property
    def page(self) -> str:
        """DataTables and the page's own code, one module: what the bundle exports is given to the code by name."""
        bundle = importlib.resources.files("itables").joinpath("html/dt_bundle.js").read_text(encoding="utf-8")
        exports = re.search(r"export\s*\{[^{}]*?(\w+) as default\b[^{}]*\};?", bundle)
        if exports is None:
            raise ReidbenchError("this itables has no DataTables that the page can use: pip install 'itables>=2.5,<3'")
        body = bundle[: exports.start()] + bundle[exports.end() :]
        return _inline(f"{body}\nconst tableLibrary = {exports.group(1)};\n{_resource('page.js')}")

    @property
    def policy(self) -> str:
        """Content security policy: nothing is loaded; scripts by hash; styles and pictures within the file."""
        hashes = " ".join(f"'{_hash(script)}'" for script in (self.plotly, self.page))
        return (
            f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'"
        )


def _resource(name: str) -> str:
    return importlib.resources.files("reidbench.report").joinpath("templates", name).read_text(encoding="utf-8")


def _inline(script: str) -> str:
    """A script that may stand in HTML: nothing in it ends the element, and its line ends are what a browser hashes."""
    script = script.replace("\r\n", "\n").replace("\r", "\n")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
