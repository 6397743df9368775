"""Results of earlier versions of a matrix file: one row each, below the table, never ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reidbench.components import Metric
from reidbench.report.results import Result, Summary
from reidbench.report.units import number, unit

INTRODUCTION = (
    "History: results of earlier versions of this file that its plan no longer has. They are not ranked, and not "
    "compared with the rows above."
)


@dataclass(frozen=True)
class Past:
    """One cell of an earlier version: its results with a number, and the changes since then.

    `made` are the first and the last day of the results, "" if unknown; `declared` are the metrics as the evaluator
    declared them at that time.
    """

    method: str
    task: str
    evaluator: str
    changed: tuple[str, ...]
    made: tuple[str, str]
    results: tuple[Result, ...]
    summaries: Mapping[str, Summary]
    declared: Mapping[str, Metric]

    @property
    def days(self) -> str:
        """Return the period of the results as text."""
        first, last = self.made
        return first if first == last else f"{first} to {last}"

    @property
    def protocol(self) -> str:
        """Return the protocols of the results."""
        return " / ".join(dict.fromkeys(result.row.protocol for result in self.results))

    def shown(self, name: str) -> str:
        """Return the mean of a metric with its standard deviation, or "-" if it is missing."""
        found, known = self.summaries.get(name), self.declared.get(name)
        if found is None:
            return "-"
        sd = "" if found.sd is None else f" ± {number(found.sd, known)}"
        return f"{number(found.mean, known)}{sd}{unit(known)}"


def cells(history: Sequence[Past], metric: str) -> list[list[str]]:
    """Return table rows: method, task, evaluator, mean, number of results, changes, dates, protocol."""
    return [
        [
            *(past.method, past.task, past.evaluator, past.shown(metric), str(len(past.results))),
            *("; ".join(past.changed), past.days or "unknown", past.protocol),
        ]
        for past in history
    ]


def raw(history: Sequence[Past]) -> list[dict[str, Any]]:
    """Return the rows for JSON, with all metrics as evaluators gave them."""
    return [
        {
            "method": past.method,
            "task": past.task,
            "evaluator": past.evaluator,
            "changed": list(past.changed),
            "made": list(past.made),
            "protocol": past.protocol,
            "summary": {
                name: {"n": one.n, "results": one.results, "mean": one.mean, "sd": one.sd, "ci95": one.ci95}
                | {"seedless": one.seedless}
                for name, one in past.summaries.items()
            },
            "rows": [
                {"seed": result.row.seed, "pretrain_seed": result.row.pretrain_seed, "metrics": dict(result.metrics)}
                | {"notes": list(result.notes), "key": result.row.key}
                for result in past.results
            ],
        }
        for past in history
    ]
