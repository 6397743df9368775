"""Metrics of an exported network: over the seeds of its row, or of the one result that was named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reidbench.components import Metric
from reidbench.matrix.stage import Plan, Row
from reidbench.registry.plugins import Registry
from reidbench.report import collect
from reidbench.report.units import NAMES, is_percent, number, scaled
from reidbench.store.artifact import Artifact
from reidbench.store.artifacts import Store

from .recipe import data_entry


@dataclass(frozen=True)
class Score:
    """One metric: value of the exported network, mean and 95 % interval over `n` seeds (None for one)."""

    metric: str
    declared: Metric | None
    value: float | None
    mean: float | None = None
    n: int = 0
    ci95: tuple[float, float] | None = None

    @property
    def title(self) -> str:
        """Name of the metric with its unit."""
        return NAMES.get(self.metric, self.metric) + (" (%)" if is_percent(self.declared) else "")

    def shown(self, value: float | None) -> str:
        """Return a value as text."""
        return "-" if value is None else number(value, self.declared)

    @property
    def interval(self) -> str:
        """The interval over seeds as text; "" without one."""
        return f"{self.shown(self.ci95[0])} to {self.shown(self.ci95[1])}" if self.ci95 else ""

    def scaled(self, value: float) -> float:
        """Return a value in the unit of the title, rounded."""
        return round(scaled(value, self.declared), 4)


@dataclass(frozen=True)
class Scores:
    """Metrics by one evaluator on one data set, and the protocol under which they were measured."""

    evaluator: str
    data: str
    component: str  # of the data set
    protocol: str
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Tested:
    """Row that was exported: its method, the data set that it was tested on, as under `data`, and its metrics."""

    method: str
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scores: tuple[Scores, ...] = ()
    notes: tuple[str, ...] = ()


def of_row(plan: Plan, store: Store, row: Row, data: Mapping[str, Mapping[str, Any]]) -> Tested:
    """Return the metrics of a row by all evaluators, over all of its seeds that are in the store."""
    rows = [one for one in plan.rows if (one.method, one.task) == (row.method, row.task)]
    board = collect(plan.only(rows), store)
    (name,) = data
    found, notes = [], []
    for evaluator in board.evaluators:
        results = [one for one in board.cell(row.method, row.task, evaluator) if one.status == "ok"]
        own = [one for one in results if (one.row.seed, one.row.pretrain_seed) == (row.seed, row.pretrain_seed)]
        summaries = board.summarised(row.method, row.task, evaluator)
        scores = []
        for metric in (one for one in board.metrics if one in summaries):
            one = summaries[metric]
            value = own[0].metrics.get(metric) if own else None
            declared = board.metric(evaluator, metric)
            scores.append(Score(metric, declared, value, one.mean, one.results, one.ci95))
        if scores:
            protocol = (own or results)[0].row.protocol
            found.append(Scores(evaluator, name, str(data[name]["use"]), protocol, tuple(scores)))
            notes += [note for one in own for note in one.notes]
    return Tested(row.method, data, tuple(found), tuple(dict.fromkeys(notes)))


def of_result(registry: Registry, store: Store, artifact: Artifact, method: str) -> Tested:
    """Return the metrics of one evaluation; none for another artifact, since a network alone has no result."""
    stage = artifact.need("stage")
    if stage["kind"] != "evaluate":
        return Tested(method)
    features = [store.manifest(key) for _, key in stage["parents"]]
    (given,) = features[0].need("stage", "data")
    data = store.manifest(given["key"]).need("stage")
    declared = registry.get("evaluator", stage["use"]).declared
    scores = tuple(Score(name, declared.get(name), value) for name, value in artifact.metrics.items())
    entry = data_entry(registry, given["data"], data)
    return Tested(method, {given["data"]: entry}, (Scores(stage["use"], given["data"], data["use"], "", scores),))
