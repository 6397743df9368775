"""Data of the page's section on ranks over tasks."""

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
    """All comparisons of a page, and reasons for missing ones."""

    meaning: str
    shown: Sequence[Shown]
    refusals: Sequence[str]


def section(board: Leaderboard, metric: str) -> Section | None:
    """Return the section of a board with two or more methods and tasks and results of the metric, else None."""
    measured = any(metric in result.metrics for result in board.results)
    if len(board.methods) < 2 or len(board.tasks) < 2 or not measured:
        return None
    return section_of(board.ranks or ranks_of(board, metric), lambda found: board.metric(found.evaluator, metric))


def section_of(ranks: Ranks, declared: Callable[[Comparison], Metric | None]) -> Section:
    """Return the section of given comparisons; `declared` returns the metric declared by the evaluator of one."""
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
