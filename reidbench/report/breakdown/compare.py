"""Compare rows query by query, with values rounded to two bytes so that a page can store them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.matrix.reading.checker import guess
from reidbench.report.results import Leaderboard
from reidbench.report.units import is_percent

from .rows import Row, row_of
from .scored import Unknown

NOT_COUNTED = 0xFFFF  # code of a query that is not counted
FINE = 1e-4  # step for fractions
OTHER_QUERIES = "the two rows count different queries"
UNDECLARED = "its evaluator does not declare whether higher values are better"


@dataclass(frozen=True)
class Grid:
    """Rounded values for comparing rows: `low` + code x `step`. Equal codes are a tie."""

    low: float
    step: float

    @classmethod
    def of(cls, metric: Metric | None, values: Sequence[np.ndarray]) -> Grid:
        """Return steps of 0.0001 for fractions, else the finest that two bytes can hold between minimum and maximum."""
        known = np.concatenate([np.zeros(0), *(one[np.isfinite(one)] for one in values)])
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        if is_percent(metric) and low >= 0 and high <= 1:
            return cls(0.0, FINE)
        return cls(low, (high - low) / (NOT_COUNTED - 1) or 1.0)

    @property
    def words(self) -> str:
        """The rounding in words."""
        return "0.01 points" if self.step == FINE else "1/65,534 of the range of the rows"

    def codes(self, values: np.ndarray) -> NDArray[np.uint16]:
        """Return [Q]: the nearest code of each value, `NOT_COUNTED` for NaN."""
        nearest = np.rint((values - self.low) / self.step)
        return np.where(np.isnan(values), NOT_COUNTED, nearest).astype(np.uint16)


@dataclass(frozen=True)
class Column:
    """The rows of a task and an evaluator with per-query results, averaged over seeds.

    `codes` [Q] by method on a shared `grid`; `better` as `Row.better`; `unknown` are reasons by method.
    """

    task: str
    evaluator: str
    grid: Grid
    better: int
    codes: Mapping[str, NDArray[np.uint16]]
    rows: Mapping[str, Row]
    unknown: Mapping[str, str]


@dataclass(frozen=True)
class Tally:
    """Queries that a method wins, ties and loses against another, and the mean difference, or the reason why not.

    Means over seeds are compared, `rounded` to the grid of the column. `difference` is positive if the method is
    better.
    """

    method: str
    task: str
    evaluator: str
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None
    difference: float | None = None
    rounded: str = ""
    reason: str = ""


def column(board: Leaderboard, task: str, evaluator: str, metric: str) -> Column:
    """Return the rows of a task and an evaluator, in the order of the board's methods."""
    rows: dict[str, Row] = {}
    unknown: dict[str, str] = {}
    for method in board.methods:
        if board.cell(method, task, evaluator):
            try:
                rows[method] = row_of(board, (method, task, evaluator), metric)
            except Unknown as reason:
                unknown[method] = str(reason)
    declared = board.metric(evaluator, metric)
    grid = Grid.of(declared, [row.mean for row in rows.values()])
    better = 0 if declared is None else 1 if declared.better == "higher" else -1
    codes = {method: grid.codes(row.mean) for method, row in rows.items()}
    return Column(task, evaluator, grid, better, codes, rows, unknown)


def tallies(board: Leaderboard, against: str, metric: str) -> Iterator[Tally]:
    """Yield all other methods against one, by task and evaluator. Raises ReidbenchError for an unknown method."""
    if against not in board.methods:
        raise ReidbenchError(
            f"unknown method {against!r}{guess(against, board.methods)} (known: {', '.join(board.methods)})"
        )
    for task in board.tasks:
        for evaluator in board.evaluators:
            found = column(board, task, evaluator, metric)
            for method in [*found.codes, *found.unknown]:
                if method != against:
                    yield _tally(found, method, against)


def _tally(found: Column, method: str, against: str) -> Tally:
    place = method, found.task, found.evaluator
    reason = found.unknown.get(method) or (
        f"{against}: {found.unknown[against]}" if against in found.unknown else "" if found.better else UNDECLARED
    )
    if reason or against not in found.codes:
        return Tally(*place, reason=reason or f"{against} has no such row")
    own, other = (found.codes[name].astype(np.int64) for name in (method, against))
    if not np.array_equal(own == NOT_COUNTED, other == NOT_COUNTED):
        return Tally(*place, reason=OTHER_QUERIES)
    ahead = found.better * (own - other)[own != NOT_COUNTED]
    wins, ties, losses = (int(np.count_nonzero(side)) for side in (ahead > 0, ahead == 0, ahead < 0))
    return Tally(*place, wins, ties, losses, float(ahead.mean() * found.grid.step), found.grid.words)
