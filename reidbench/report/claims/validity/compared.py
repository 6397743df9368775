"""Compare the order of a file's rows with the published order of their methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reidbench.components import Published
from reidbench.matrix.benchmark import Choice, DataRef, Task
from reidbench.matrix.labels import judges_of
from reidbench.matrix.reading.expect import data_set
from reidbench.matrix.stage import Plan
from reidbench.metrics.comparisons.concordance import (
    Concordance,
    Pairs,
    concordance,
    pairs_apart,
    tau_by_chance,
    tau_over_seeds,
)
from reidbench.metrics.comparisons.replicates import Common, common
from reidbench.metrics.statistics import TINY, Difference, Doubles, Interval
from reidbench.report.results import Leaderboard, Result, replicates
from reidbench.report.standings import NOT_COMPARABLE
from reidbench.report.units import is_percent

from ..published import words_apart
from .groups import Group

LEAST = 0.01  # closer published numbers define no order: two runs of the same code differ as much
ACROSS_RULES = 0.04  # of average precision: trapezoid and step rules differ by about 3 points at AP 0.3 to 0.5
FEWEST = 8  # methods for a conclusion


@dataclass(frozen=True)
class Pair:
    """Two rows, the better published one first; differences are first minus second, as fractions."""

    first: str
    second: str
    published: float
    measured: Difference


@dataclass(frozen=True)
class Order:
    """The rows of a group on one task of a file, compared with the numbers published for the task `published`.

    `chance` is the share of random orders with at least this tau. `close` pairs were published within LEAST of each
    other, `rules` within ACROSS_RULES under AP rules that differ or are unknown: neither is counted. `without` names
    seeds and pre-trainings that some rows lack; `unmeasured` are rows without a comparable result, with reasons.
    """

    group: Group
    title: str
    task: str
    published: str
    metric: str
    evaluator: str
    rows: tuple[str, ...]
    counts: Concordance
    tau: Interval
    chance: float
    discordant: tuple[Pair, ...]
    tied: tuple[Pair, ...]
    close: tuple[tuple[str, str], ...]
    rules: tuple[tuple[str, str], ...]
    without: tuple[str, ...]
    unmeasured: Mapping[str, str]
    pretrainings: int = 1

    @property
    def small(self) -> bool:
        """Whether there are too few methods for a conclusion."""
        return len(self.rows) < FEWEST


@dataclass(frozen=True)
class Found:
    """The orders of a group in one file, sentences about missing comparisons, and how many of its rows the file has."""

    orders: tuple[Order, ...]
    notes: tuple[str, ...]
    rows: int


def compared(group: Group, board: Leaderboard, plan: Plan) -> Found:
    """Return all orders of a group in the results of one file, task by task."""
    lacking = [row for row in group.rows if row not in board.methods]
    notes = [f"not rows of {board.title}: {'; '.join(lacking)}"] if lacking else []
    orders = []
    for task in plan.benchmark.tasks:
        reason, found = _unlike(group, task, plan), []
        if not reason:
            found = [order for published in group.tasks for order in _orders(group, board, plan, task, published)]
            reason = "" if found else "fewer than two rows of the group have comparable results for a common seed"
        notes += [f"not compared: {board.title}: {task.name}, {reason}"] if reason else []
        orders += found
    return Found(tuple(orders), tuple(notes), len(group.rows) - len(lacking))


def _unlike(group: Group, task: Task, plan: Plan) -> str:
    """Return the reason why a task does not match a group's published numbers, or ""."""
    refs = (*task.source, task.target)
    if task.group or task.in_order or task.test:
        return "which belongs to a family or a sequence, or is tested on other data"
    if task.adapt_on != "train":
        return "where methods learn from the test images"
    if any(ref.identities is not None or ref.images != DataRef("").images for ref in refs):
        return "which uses a part of the identities, or images other than train"
    sources = {_content(plan, ref) for ref in task.source}
    own = sources == {_content(plan, task.target)}
    if group.across and (own or not sources):
        return "which does not go from one data set to another"
    return "" if group.across or own else "which is not trained on its own data"


def _content(plan: Plan, ref: DataRef) -> tuple[str, str]:
    """Return the identity of a data set, independent of its name."""
    return data_set(plan.benchmark.data, ref), str(plan.benchmark.data[ref.name].root)


def _orders(group: Group, board: Leaderboard, plan: Plan, task: Task, published: str) -> Iterator[Order]:
    """Yield the order by each metric, from the evaluator whose ranking rules are nearest to the published ones.

    Of equally near ones, that with most measured rows is used, then the first of the file.
    """
    judges = {label: choice for choice, label in judges_of(plan.benchmark, task)}
    for metric in group.metrics:
        giving = [one for one in board.giving(metric) if one in judges and is_percent(board.metric(one, metric))]
        numbers = {row: one for row, stand in group.rows.items() if (one := stand.numbers.get((published, metric)))}
        rows = [row for row in numbers if row in board.methods]
        every = [_Measured(board, task.name, one, metric, rows) for one in giving]
        usable = [(one, one.common) for one in every if len(one.rows) > 1 and one.common]
        if usable:
            apart = {one: _words_apart([numbers[row] for row in rows], judges[one]) for one in giving}
            nearest = min(usable, key=lambda one: (apart[one[0].evaluator], -len(one[0].rows)))
            yield _order(group, board.title, published, numbers, *nearest)


def _words_apart(numbers: Sequence[Published], judge: Choice) -> int:
    """Return how many words of ranking rules the published numbers or the evaluator alone have."""
    return sum(len(words) for number in numbers for words in words_apart(number, judge))


class _Measured:
    """The values of rows on one task, over their common pre-trainings and seeds."""

    def __init__(self, board: Leaderboard, task: str, evaluator: str, metric: str, rows: Sequence[str]) -> None:
        self.task, self.evaluator, self.metric = task, evaluator, metric
        cells = {row: board.cell(row, task, evaluator) for row in rows}
        apart = {row: why for row, results in cells.items() if (why := _apart(results))}
        values = {row: {} if row in apart else replicates(results, metric) for row, results in cells.items()}
        self.rows = [row for row in rows if values[row]]
        self.unmeasured = {row: apart.get(row) or _why(cells[row]) for row in rows if not values[row]}
        self.common = common(*(values[row] for row in self.rows)) if self.rows else None


def _apart(results: Sequence[Result]) -> str:
    """Return the protocol word that makes a row incomparable with published numbers, or ""."""
    words = {word for result in results for word in result.row.protocol.split(", ")}
    return next((f"not comparable: {word}" for word in NOT_COMPARABLE if word in words), "")


def _why(results: Sequence[Result]) -> str:
    return next((one.error or one.status for one in results if one.status != "ok"), "no such metric")


def _order(
    group: Group, title: str, published: str, numbers: Mapping[str, Published], measured: _Measured, of: Common
) -> Order:
    rows = measured.rows
    stated = [numbers[row] for row in rows]
    values = np.array([number.value for number in stated])
    means = of.values.mean((1, 2))
    every, far, very_far = (_set(pairs_apart(values, least)) for least in (0.0, LEAST, ACROSS_RULES))
    counted = [(i, j) for i, j in sorted(far) if (i, j) in very_far or _same_rule(stated[i], stated[j])]
    pairs = np.array([i for i, _ in counted], int), np.array([j for _, j in counted], int)
    found = [_pair(rows, values, of, i, j) for i, j in counted]
    return Order(
        group,
        title,
        measured.task,
        published,
        measured.metric,
        measured.evaluator,
        tuple(rows),
        concordance(values, means, pairs),
        tau_over_seeds(values, np.moveaxis(of.values, 0, -1), pairs),
        tau_by_chance(values, means, pairs),
        tuple(one for one in found if one.measured.value < -TINY),
        tuple(one for one in found if abs(one.measured.value) <= TINY),
        tuple((rows[i], rows[j]) for i, j in sorted(every - far)),
        tuple((rows[i], rows[j]) for i, j in sorted(far.difference(counted))),
        of.without,
        measured.unmeasured,
        of.pretrainings,
    )


def _set(pairs: Pairs) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in zip(*pairs, strict=True)}


def _same_rule(first: Published, second: Published) -> bool:
    """Return whether two values are known to follow one rule: not mAP, one known AP rule, or one table."""
    return first.metric != "mAP" or first.source == second.source or first.ap == second.ap != "unknown"


def _pair(rows: Sequence[str], values: Doubles, of: Common, i: int, j: int) -> Pair:
    i, j = (i, j) if values[i] > values[j] else (j, i)
    return Pair(rows[i], rows[j], float(values[i] - values[j]), of.difference(i, j, samples=1))
