"""Points of charts: CMC curves, and accuracy against training time or other costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidbench.report.efficiency import Column
from reidbench.report.provenance import Evidence
from reidbench.report.queries import CMC, read_arrays, read_notes
from reidbench.report.results import Leaderboard, Result, Summary
from reidbench.store.artifact import BadArtifact

RANKS = 50


@dataclass(frozen=True)
class Curve:
    """CMC of one method: the share of queries (a fraction) with a true match among the first `ranks[i]`."""

    method: str
    ranks: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Cost:
    """One method's metric (mean over seeds) against its cost: seconds of all training, or another amount."""

    method: str
    amount: float
    summary: Summary


def curves(board: Leaderboard, evidence: Evidence, task: str, evaluator: str) -> list[Curve]:
    """Return the CMC curves of all methods of a column, means over seeds, up to rank 50.

    Only metrics cmc1, cmc2, ... that the evaluator declares as fractions in % count. Without a stored `first_hit` per
    query that matches these metrics, a curve has the ranks of the metrics only.
    """
    found = []
    ranks = {name for name, metric in board.declarations(evaluator).items() if metric.unit == "%"}
    for method in board.methods:
        each = [_curve(r, evidence, ranks) for r in board.cell(method, task, evaluator) if r.status == "ok"]
        shared = sorted(set(each[0]).intersection(*each[1:])) if each else []
        if shared:
            means = [sum(curve[rank] for curve in each) / len(each) for rank in shared]
            found.append(Curve(method, tuple(shared), tuple(means)))
    return found


def costs(board: Leaderboard, evidence: Evidence, task: str, evaluator: str, metric: str) -> list[Cost]:
    """Return metric and training seconds of the methods of a column that have both."""
    found = []
    for method in board.methods:
        summary = board.summarised(method, task, evaluator).get(metric)
        seconds = evidence.mean_seconds(board.cell(method, task, evaluator))
        if summary is not None and seconds is not None:
            found.append(Cost(method, max(seconds, 0.01), summary))
    return found


def efficiency_costs(board: Leaderboard, task: str, evaluator: str, metric: str, column: Column) -> list[Cost]:
    """Return metric and an efficiency column of the methods of a column, measured on one machine."""
    found = []
    for method in board.methods:
        summary = board.summarised(method, task, evaluator).get(metric)
        amount = board.efficiency.shown(method, task, column).value if board.efficiency else None
        if summary is not None and amount is not None:
            found.append(Cost(method, amount, summary))
    return found


def _curve(result: Result, evidence: Evidence, ranks: set[str]) -> dict[int, float]:
    """Return shares by rank: the whole curve only if it matches the metrics that the evaluator reported."""
    points = {int(name[3:]): value for name, value in result.metrics.items() if CMC.fullmatch(name) and name in ranks}
    whole = _whole(result, evidence) if points else {}
    agrees = all(abs(whole[rank] - value) < 1e-9 for rank, value in points.items() if rank in whole)
    return whole if whole and agrees else points


def _whole(result: Result, evidence: Evidence) -> dict[int, float]:
    try:
        artifact = evidence.store.read(result.row.key or "")
    except (KeyError, BadArtifact):
        return {}
    arrays = read_arrays(artifact, "per_query.npz")
    first, valid = (arrays.get(name, np.zeros(0)) for name in ("first_hit", "valid"))
    if (first.dtype.kind, valid.dtype.kind) != ("i", "b") or first.shape != valid.shape:
        return {}
    rules = read_notes(artifact).get("rules")
    zero = isinstance(rules, dict) and rules.get("invalid") == "zero"
    count = len(first) if zero else int(valid.sum())
    hits = np.bincount(first[valid & (first > 0)].clip(max=RANKS + 1), minlength=RANKS + 2)[1 : RANKS + 1].cumsum()
    return {rank: float(hits[rank - 1]) / count for rank in range(1, RANKS + 1)} if count else {}
