"""The best row of each task during a run, by its mean so far; ranks need all seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reidbench.components import Metric
from reidbench.matrix.stage import Plan, Row
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

MAIN = "mAP"


@dataclass(frozen=True)
class Best:
    """Row with the best mean of a task by an evaluator so far, over `n` of `rows` seeds."""

    task: str
    evaluator: str
    method: str
    protocol: str
    metric: str
    unit: str
    value: float
    n: int
    rows: int

    @property
    def words(self) -> str:
        """Return the row as text: `plaza: bot, mAP 69.3 % (1 of 3 seeds)`."""
        number = f"{100 * self.value:.1f} %" if self.unit == "%" else f"{self.value:.4g} {self.unit}".rstrip()
        seeds = f"{self.n} of {self.rows} seeds" if self.rows > 1 else "1 result"
        return f"{self.task}: {self.method}, {self.metric} {number} ({seeds}; {self.protocol})"


class Standings:
    """Means of the rows of a plan, updated with each result."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.declared = {choice.name: choice.component.declared for choice in plan.benchmark.evaluate}
        self.rows: dict[tuple[str, str, str], list[Row]] = {}
        self.cells_of: dict[str, list[tuple[str, str, str]]] = {}
        for row in plan.rows:
            if row.key:
                self.rows.setdefault(row.cell, []).append(row)
                self.cells_of.setdefault(row.key, []).append(row.cell)
        self._metrics: dict[str, Mapping[str, float]] = {}

    def best(self) -> list[Best]:
        """Return the best row of each task and evaluator with results, in the order of the plan."""
        return list(self._best(self.rows))

    def best_with(self, key: str) -> list[Best]:
        """Return the best rows of the tasks of a new result."""
        places = {(task, evaluator) for _, task, evaluator in self.cells_of.get(key, ())}
        return list(self._best([cell for cell in self.rows if cell[1:] in places]))

    def _best(self, cells: Mapping[tuple[str, str, str], list[Row]] | list[tuple[str, str, str]]) -> Iterator[Best]:
        found: dict[tuple[str, str], Best] = {}
        for cell in cells:
            one, declared = self._mean(cell)
            if one is None:
                continue
            other = found.get(cell[1:])
            if other is None or _better(declared, one.value, other.value):
                found[cell[1:]] = one
        yield from found.values()

    def _mean(self, cell: tuple[str, str, str]) -> tuple[Best | None, Metric | None]:
        """Return the mean of a cell by its main metric; None before its first result, or without a declared metric."""
        rows = self.rows[cell]
        declared = self.declared.get(self.plan.stages[rows[0].key or ""].use, {})
        name = MAIN if MAIN in declared else next(iter(declared), "")
        values = [metrics[name] for row in rows if name in (metrics := self._of(row.key or ""))]
        if not values:
            return None, None
        method, task, evaluator = cell
        metric = declared[name]
        mean = statistics.fmean(values)
        best = Best(task, evaluator, method, rows[0].protocol, name, metric.unit, mean, len(values), len(rows))
        return best, metric

    def _of(self, key: str) -> Mapping[str, float]:
        if key not in self._metrics:
            try:
                found = self.store.facts(key, ("metrics",)).get("metrics") if self.store.has(key) else None
            except (BadArtifact, KeyError):
                found = None
            if found is None:
                return {}
            self._metrics[key] = found
        return self._metrics[key]


def _better(metric: Metric | None, one: float, other: float) -> bool:
    return one < other if metric is not None and metric.better == "lower" else one > other
