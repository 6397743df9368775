"""Published rows of the matrix file, in a separate block below the table: never ranked, in file order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reidbench.components import Metric, Published
from reidbench.registry.published import percent
from reidbench.report.results import METRICS, Leaderboard
from reidbench.report.units import NAMES, is_percent

TITLE = "Published rows"
INTRODUCTION = "Numbers as published by their sources: not measured here and not ranked with the rows above"
IN_PERCENT = "; in %"


@dataclass
class Quoted:
    """The numbers of one published row on one task from one source, as text by metric."""

    row: str
    task: str
    source: str
    ap: str = "-"  # the rule of its mAP
    notes: dict[str, None] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def cells(self, metrics: Sequence[str], noted: bool) -> list[str]:
        """Return the strings of a line, in the order of `headers`."""
        values = [self.values.get(name, "-") for name in metrics]
        return [self.row, self.task, *values, self.ap, self.source, *(["; ".join(self.notes)] if noted else [])]


@dataclass(frozen=True)
class Block:
    """The table of published rows; the columns of its `metrics` start at the third."""

    introduction: str
    headers: list[str]
    metrics: list[str]
    lines: list[list[str]]

    @property
    def titles(self) -> list[str]:
        """Return the headers in title case; names of metrics do not change."""
        first = 2 + len(self.metrics)
        return [text if 2 <= place < first else text[:1].upper() + text[1:] for place, text in enumerate(self.headers)]


def block(board: Leaderboard) -> Block | None:
    """Return the table of a board's published rows, or None if it has none."""
    if not board.published:
        return None
    found: dict[tuple[str, str, str], Quoted] = {}
    for number in board.published:
        one = found.setdefault((number.row, number.task, number.source), Quoted(number.row, number.task, number.source))
        one.values[number.metric] = _text(board, number)
        ranked = f"ranking rules: {', '.join(number.rules)}" if number.rules else ""
        one.notes |= dict.fromkeys(filter(None, [ranked, number.note]))
        one.ap = number.ap if number.metric == "mAP" else one.ap
    given = dict.fromkeys(number.metric for number in board.published)
    metrics = [name for name in METRICS if name in given] + [name for name in given if name not in METRICS]
    noted = any(one.notes for one in found.values())
    headers = ["row", "task", *(NAMES.get(name, name) for name in metrics), "AP rule", "source", *(["note"] * noted)]
    fractions = all(_is_fraction(board, number) for number in board.published)
    introduction = f"{INTRODUCTION}{IN_PERCENT if fractions else ', each in its own unit'}"
    return Block(introduction, headers, metrics, [one.cells(metrics, noted) for one in found.values()])


def _text(board: Leaderboard, number: Published) -> str:
    """Return a value with its published digits, and its unit if it is not a fraction."""
    if _is_fraction(board, number):
        return percent(number.metric, number.value)
    known = _declared(board, number.metric)
    return " ".join(filter(None, (f"{number.value:g}", known.unit if known else "")))


def _is_fraction(board: Leaderboard, number: Published) -> bool:
    return is_percent(_declared(board, number.metric))


def _declared(board: Leaderboard, metric: str) -> Metric | None:
    """Return the declaration of a metric. Evaluators of one file declare a published metric with the same unit."""
    return next(filter(None, (board.metric(evaluator, metric) for evaluator in board.evaluators)), None)
