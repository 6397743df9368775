"""The leaderboard as one self-contained HTML file: it makes no network requests, works from disk, and can be mailed.

Tables are plain HTML and complete without scripts; DataTables sorts and filters them, plotly draws the charts. Both are
inside the file, or in shared files for the pages of a site. All text of plugins and files is escaped, and a content
security policy allows only these scripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reidbench import __version__
from reidbench.components import Metric
from reidbench.matrix.stage import Plan
from reidbench.report.breakdown.looking.rows import looks
from reidbench.report.claims.expected import held
from reidbench.report.formats import published
from reidbench.report.formats.extras import require
from reidbench.report.formats.notes import Note, notes
from reidbench.report.formats.quoted import TITLE, block
from reidbench.report.formats.sentences import (
    BOLD,
    cut,
    no_seed,
    of_pretrainings,
    ranking,
    rule_warnings,
    status_word,
    unmeasured_here,
)
from reidbench.report.formats.tables import chosen
from reidbench.report.html.checked import checked
from reidbench.report.html.slugs import row_anchor
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence, Provenance
from reidbench.report.results import Leaderboard, Result, Summary, without_seed
from reidbench.report.standings import Place, places
from reidbench.report.units import (
    NAMES,
    Scale,
    all_percent,
    heading,
    is_percent,
    lower_is_better,
    nearness,
    number,
    own_unit,
    scale,
    unit,
)
from reidbench.store.artifacts import Store

from .again import again
from .assets import Assets, Inline, looking_css, style, template
from .charts import charts
from .claims import section as claims_section
from .fails import fails
from .grouped import group_table
from .pictures import picture_warning
from .ranked import Thumbnails, ranked_lists
from .ranks import section

SIZE = "<!-- size -->"  # cannot occur in text of plugins or files, which is escaped


@dataclass(frozen=True)
class Line:
    """One row of the table: a method on a task by an evaluator."""

    number: int
    method: str
    task: str
    evaluator: str
    protocol: str
    status: str  # of a row without a number: not measured, failed, not applicable, missing
    place: Place | None
    values: Mapping[str, Summary]
    good: int
    results: Sequence[Result]
    seconds: float | None
    provenance: Provenance
    scale: Scale | None  # of the bar, if any
    notes: Sequence[int]  # numbers in the page's list of notes
    unmeasured: str  # the reason why an evaluated cell has no number
    edges: frozenset[str] = frozenset()  # of the bracket around ties: first, last

    @property
    def seeds(self) -> str:
        """Return the number of results with a number, such as "3" or "2/3", or "no seed"."""
        counted = f"{self.good}" if self.good == len(self.results) else f"{self.good}/{len(self.results)}"
        if not without_seed(self.results):
            return counted
        return "no seed" if self.good == len(self.results) else f"no seed, {counted}"

    @property
    def words(self) -> list[str]:
        """Return the protocol words of all its results, without duplicates."""
        words = (word for result in self.results for word in result.row.protocol.split(", "))
        return list(dict.fromkeys(filter(None, words)))

    @property
    def checked(self) -> str:
        """Return the level of verification; empty without numbers."""
        return checked(self.words) if self.good else ""

    @property
    def anchor(self) -> str:
        """Return the id of the row on the page."""
        return row_anchor(self.method, self.task, self.evaluator)

    @property
    def reasons(self) -> list[str]:
        """Return the reasons for missing numbers, without duplicates."""
        errors = dict.fromkeys(result.error for result in self.results if result.status != "ok")
        return [*filter(None, [self.unmeasured]), *errors]


def render(board: Leaderboard, plan: Plan, store: Store, options: Options) -> str:
    """Return the page as one file. Raises ReidbenchError for an unknown metric or if the extra `report` is missing."""
    require("the HTML page", "jinja2", "plotly", "itables")
    page = Page(board, Evidence(plan, store, options.arguments), options, Inline(), Thumbnails())
    return with_size(page.html(f"This file is self-contained and makes no network requests. Size: {SIZE}."))


def with_size(text: str) -> str:
    """Replace `SIZE` by the size of the page."""
    before = len(text.encode()) - len(SIZE)
    words = size_words(before + len(size_words(before)))
    return text.replace(SIZE, words)


def size_words(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e6:.1f} MB"


class Page:
    """One page; `assets` are its styles and scripts, `thumbnails` make its images."""

    def __init__(
        self, board: Leaderboard, evidence: Evidence, options: Options, assets: Assets, thumbnails: Thumbnails
    ) -> None:
        self.board, self.evidence, self.options = board, evidence, options
        self.metric = chosen(board, options.metric)
        self.assets, self.thumbnails = assets, thumbnails

    def html(self, ending: str, site: Any = None) -> str:
        """Return the HTML; `ending` is the last sentence of the footer, `site` links to the other pages of a site."""
        lists = list(
            ranked_lists(self.board, self.evidence, self.options.ranked, self.options.pictures, self.thumbnails)
        )
        failing = fails(self.board, self.evidence, self.metric, self.options, self.thumbnails)
        looked = list(looks(self.board, self.evidence, self.options, self.thumbnails))
        lines = list(self.lines())
        from markupsafe import Markup

        text: str = template("page.html").render(
            board=self.board,
            metric=self.metric,
            names=NAMES,
            lines=lines,
            columns=[name for name in self.board.metrics if name != self.metric],
            efficiency=self.board.efficiency,
            heading=heading(self.board, self.metric),
            all_percent=all_percent(self.board, self.board.metrics),
            lower=lower_is_better(self.board, self.board.metrics),
            sentences=[
                said for say in (ranking, no_seed, of_pretrainings, cut) for said in say(self.board, self.metric)
            ],
            warnings=rule_warnings(self.board, self.metric),
            bars=self.bars,
            notes=self.notes,
            words=sorted({word for line in lines for word in line.words}),
            heat={
                evaluator: found for evaluator in self.board.evaluators if any((found := self.heat(evaluator)).values())
            },
            lists=lists,
            looks=looked,
            looking_styles=style(looking_css()),
            ranks=section(self.board, self.metric),
            claims=claims_section(self.board, self.evidence.plan, self.evidence.store),
            pictures=self.options.pictures,
            picture_warning=picture_warning(self.evidence.plan, self.options),
            left_out=self.thumbnails.left_out,
            thumbnails=self.thumbnails.pictures,
            printed=self.printed,
            own_unit=self.own_unit,
            unit_of=lambda found: unit(self.board.metric(found.evaluator, found.metric)),
            charts=charts(self.board, self.evidence, self.metric),
            file=self.evidence.plan.benchmark.file.name,
            file_hash=self.evidence.plan.benchmark.sha256,
            again=again(self.evidence),
            fails=failing,
            options=self.options,
            published=self.published(),
            groups=group_table(self.board, self.metric),
            bold=BOLD,
            quoted=block(self.board),
            quoted_title=TITLE,
            version=__version__,
            assets=self.assets,
            site=site,
            ending=Markup(ending),  # noqa: S704 - text of this package, with the placeholder of the size
        )
        return text

    def printed(self, value: float, evaluator: str, name: str, with_unit: bool = False) -> str:
        """Format a value of a metric, with its unit on request."""
        known = self.board.metric(evaluator, name)
        return number(value, known) + (unit(known) if with_unit else "")

    def own_unit(self, evaluator: str, name: str) -> str:
        """Return the unit of a metric if evaluators use several."""
        return own_unit(self.board, name, evaluator)

    @cached_property
    def scales(self) -> dict[str, Scale]:
        """Ends of the bars, by evaluator."""
        found = {}
        for evaluator in self.board.evaluators:
            given = [s for s in self.board.summary if (s.evaluator, s.metric) == (evaluator, self.metric)]
            ends = scale(given, self.board.metric(evaluator, self.metric))
            if ends is not None:
                found[evaluator] = ends
        return found

    def published(self) -> dict[str, Any] | None:
        """Return the cells with their published numbers and the rules that differ, if requested."""
        if not self.options.published:
            return None
        found = held(self.board, self.evidence.plan)
        reasons = published.reasons_of(found)
        lines = [published.cells(self.board, one, reasons) for one in found]
        words = {"introduction": published.INTRODUCTION, "because": published.BECAUSE}
        return {"headers": published.HEADERS, "lines": lines, "rules": reasons, **words}

    @property
    def bars(self) -> str:
        """Return the ranges of the bars, for the caption."""
        ends: dict[str, list[str]] = {}
        for evaluator, found in self.scales.items():
            known = self.board.metric(evaluator, self.metric)
            low, high = (_end(value, known) for value in (found.low, found.high))
            ends.setdefault(f"from {low} to {high}{unit(known)}", []).append(evaluator)
        if len(ends) < 2:
            return next(iter(ends), "")
        return ", ".join(f"{words} ({', '.join(evaluators)})" for words, evaluators in ends.items())

    @cached_property
    def notes(self) -> list[Note]:
        """Notes of the stages of all rows; rows refer to them by number."""
        return notes(self.board.results)

    def noted(self, results: Sequence[Result]) -> list[int]:
        """Return the numbers, from 1, of the notes of these results."""
        said = {note for result in results for note in result.notes}
        return [number for number, note in enumerate(self.notes, 1) if note.members & said]

    # ------------------------------------------------------------------ lines
    def lines(self) -> Iterator[Line]:
        """Yield rows by task and evaluator: by rank, then rows ranked separately, then rows without a number."""
        number = 0
        for task in self.board.tasks:
            for evaluator in self.board.evaluators:
                found = places(self.board, task, evaluator, self.metric)
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
                return (1, 0, (), 0, *self.worse(method, task, evaluator))
            return (0, len(place.kind), place.kind, place.rank, *self.worse(method, task, evaluator))

        return sorted((m for m in self.board.methods if self.board.cell(m, task, evaluator)), key=order)

    def worse(self, method: str, task: str, evaluator: str) -> tuple[int, float]:
        """Return a sort key: cells from the best mean to the worst, then cells without a number."""
        found = self.board.summarised(method, task, evaluator).get(self.metric)
        known = self.board.metric(evaluator, self.metric)
        if found is None or known is None:
            return int(found is None), 0.0
        return 0, found.mean if known.better == "lower" else -found.mean

    def line(
        self, number: int, method: str, task: str, evaluator: str, place: Place | None, edges: frozenset[str]
    ) -> Line:
        results = self.board.cell(method, task, evaluator)
        measured = [result for result in results if result.status == "ok"]
        values = self.board.summarised(method, task, evaluator)
        lacking = [result for result in measured if self.metric not in result.metrics]
        good = len(measured) - (len(lacking) if self.metric in values else 0)
        names = [name for name in self.board.metrics if lacking and name in lacking[0].metrics]
        return Line(
            number,
            method,
            task,
            evaluator,
            " / ".join(dict.fromkeys(result.row.protocol for result in results)),
            status_word(results),
            place,
            values,
            good,
            results,
            self.evidence.mean_seconds(results),
            self.evidence.provenance(self.board, method, task, evaluator),
            self.scales.get(evaluator),
            self.noted(results),
            unmeasured_here(self.metric, names) if lacking else "",
            edges,
        )

    def heat(self, evaluator: str) -> dict[str, dict[str, tuple[float, float]]]:
        """Return mean and closeness to the task's best (0 to 1) by method and task; methods may have none."""
        board = self.board
        cells = {m: {t: board.summarised(m, t, evaluator).get(self.metric) for t in board.tasks} for m in board.methods}
        means = {m: {t: cell.mean for t, cell in row.items() if cell} for m, row in cells.items()}
        known = board.metric(evaluator, self.metric)
        near = {t: nearness({m: row[t] for m, row in means.items() if t in row}, known) for t in board.tasks}
        return {m: {t: (mean, near[t][m]) for t, mean in row.items()} for m, row in means.items()}


def _same(found: Mapping[str, Place], method: str, other: str | None) -> bool:
    """Return whether two rows share a rank."""
    if other is None or method not in found or other not in found:
        return False
    one, two = found[method], found[other]
    return (one.kind, one.rank) == (two.kind, two.rank)


def _end(value: float, metric: Metric | None) -> str:
    return f"{100 * value:.0f}" if is_percent(metric) else number(value, metric)
