"""The section of a page about ranks over tasks: what its template prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reidbench.components import Metric
from reidbench.report.ranks.cells import Ranks, ranks_of
from reidbench.report.ranks.comparison import Comparison
from reidbench.report.ranks.diagram import Diagram, diagram
from reidbench.report.ranks.lines import Line, headings, lines, tasks
from reidbench.report.ranks.sentences import MEANING, about, refusals, sentences
from reidbench.report.results import Leaderboard


@dataclass(frozen=True)
class Shown:
    """One comparison: its heading, diagram, table and sentences."""

    about: str
    diagram: Diagram
    headings: Sequence[str]
    tasks: Sequence[str]
    lines: Sequence[Line]
    sentences: Sequence[str]


@dataclass(frozen=True)
class Section:
    """All comparisons of a page, and what is not compared."""

    meaning: str
    shown: Sequence[Shown]
    refusals: Sequence[str]


def section(board: Leaderboard, metric: str) -> Section | None:
    """Of a board with two methods and two tasks at least; None for a smaller one, or where nothing was measured."""
    measured = any(metric in result.metrics for result in board.results)
    if len(board.methods) < 2 or len(board.tasks) < 2 or not measured:
        return None
    return section_of(board.ranks or ranks_of(board, metric), lambda found: board.metric(found.evaluator, metric))


def section_of(ranks: Ranks, declared: Callable[[Comparison], Metric | None]) -> Section:
    """What the template prints of any comparisons; `declared` gives the metric of one as its evaluator declares it."""
    return Section(
        MEANING,
        [_shown(found, declared(found)) for found in ranks.comparisons],
        list(refusals(ranks)),
    )


def _shown(found: Comparison, known: Metric | None) -> Shown:
    return Shown(
        about(found, known),
        diagram(found),
        headings(found),
        tasks(found),
        lines(found, known),
        list(sentences(found)),
    )
