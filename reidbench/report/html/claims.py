"""Data of the claims section of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reidbench.matrix.stage import Plan
from reidbench.report.claims.lines import headings, lines
from reidbench.report.claims.sentences import MEANING, TITLE, rule
from reidbench.report.claims.texts import counted, origins
from reidbench.report.claims.timing import timing
from reidbench.report.claims.verdicts import judge
from reidbench.report.results import Leaderboard
from reidbench.store.artifacts import Store


@dataclass(frozen=True)
class Section:
    """The claims of a matrix file in a table, and the rule."""

    title: str
    counted: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    rule: Sequence[str]


def section(board: Leaderboard, plan: Plan, store: Store) -> Section | None:
    """Return the section, or None if the matrix file has no claims."""
    if not plan.benchmark.claims:
        return None
    found = judge(board, plan)
    said = [*rule(found), *timing(board, found, store), *origins(board, found), *MEANING]
    return Section(TITLE, counted(found), headings(found), lines(board, found), said)
