"""Data of the page's section on groups of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reidbench.report.formats.groups import Column, columns, definitions, incomplete
from reidbench.report.formats.tables import cell
from reidbench.report.results import Leaderboard
from reidbench.report.standings import leaders


@dataclass(frozen=True)
class GroupLine:
    """A method by an evaluator: the text of each number, and whether it is bold."""

    method: str
    evaluator: str
    cells: Sequence[tuple[str, bool]]


@dataclass(frozen=True)
class GroupTable:
    """The numbers of all groups."""

    headings: Sequence[str]
    lines: Sequence[GroupLine]
    sentences: Sequence[str]
    reasons: Sequence[str]


def group_table(board: Leaderboard, metric: str) -> GroupTable | None:
    """Return the numbers of all groups, or None without groups."""
    placed = [column for column in columns(board) if column.board is not board]
    if not placed:
        return None
    headings = [column.task for column in placed]
    return GroupTable(headings, list(_lines(board, placed, metric)), list(definitions(board)), incomplete(board))


def _lines(board: Leaderboard, placed: Sequence[Column], metric: str) -> Iterator[GroupLine]:
    first = {(one.task, e): leaders(one.board, one.task, e, metric) for one in placed for e in board.evaluators}
    for method in board.methods:
        for evaluator in board.evaluators:
            texts = [cell(one.board, method, one.task, evaluator, metric, leads=False) for one in placed]
            bold = [method in first[one.task, evaluator] for one in placed]
            yield GroupLine(method, evaluator, list(zip(texts, bold, strict=True)))
