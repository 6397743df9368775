"""The cells of a board as input of `comparison.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from reidbench.metrics.comparisons.replicates import place
from reidbench.report.queries import metric_per_query
from reidbench.report.results import Leaderboard, Result, replicates
from reidbench.report.standings import kind_of
from reidbench.report.units import NAMES

from .comparison import Cell, Comparison, Refused, comparisons, without_comparison


@dataclass(frozen=True)
class Ranks:
    """All comparisons by one metric, and the reasons for missing ones by evaluator."""

    metric: str
    comparisons: tuple[Comparison, ...]
    refused: tuple[tuple[str, Refused], ...]


def ranks_of(board: Leaderboard, metric: str) -> Ranks:
    """Return the comparisons of all evaluators that give a metric; an undeclared metric has none."""
    found: list[Comparison] = []
    refused: list[tuple[str, Refused]] = []
    for evaluator in board.giving(metric):
        known = board.metric(evaluator, metric)
        if known is None:
            why = f"it does not declare whether higher {NAMES.get(metric, metric)} is better"
            methods = dict.fromkeys(result.row.method for result in board.results if metric in result.metrics)
            refused.append((evaluator, Refused((), tuple(methods), why)))
            continue
        cells = cells_of(board, evaluator, metric)
        found += comparisons(cells, evaluator, metric, known.better)
        refused += [(evaluator, one) for one in without_comparison(cells)]
    return Ranks(metric, tuple(found), tuple(refused))


def cells_of(board: Leaderboard, evaluator: str, metric: str) -> list[Cell]:
    """Return all cells of an evaluator in the order of methods and tasks."""
    return [
        _cell(board, results, metric)
        for method in board.methods
        for task in board.tasks
        if (results := board.cell(method, task, evaluator))
    ]


def _cell(board: Leaderboard, results: Sequence[Result], metric: str) -> Cell:
    row = results[0].row
    good = [result for result in results if metric in result.metrics]
    words = dict.fromkeys(word for one in good or results for word in one.row.protocol.split(", "))
    why = why_incomplete(results, metric)
    return Cell(
        row.method,
        row.task,
        kind_of(board, ", ".join(words)),  # of all results, since one may have seen the test images
        replicates(results, metric),
        not why,
        why,
        queries_of(board, good, metric),
        frozenset(result.row.key for result in good if result.row.key),
        board.targets.get(row.task, ""),
    )


def why_incomplete(results: Sequence[Result], metric: str) -> str:
    """Return the reason why a cell is incomplete, or ""."""
    reasons: dict[str, int] = {}
    for result in results:
        reason = _reason(result, metric)
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
    total = len(results)
    several = any(count < total for count in reasons.values())
    return "; ".join(
        f"{reason} ({count} of {total} results)" if several else reason for reason, count in reasons.items()
    )


def _reason(result: Result, metric: str) -> str:
    if result.status != "ok":
        word = {"not-applicable": "not applicable", "blocked": "failed"}.get(result.status, result.status)
        return f"{word}: {result.error}"
    if metric not in result.metrics:
        return f"{result.row.evaluator} gave no {NAMES.get(metric, metric)}"
    return "" if math.isfinite(result.metrics[metric]) else "its value is infinite"


def queries_of(board: Leaderboard, results: Sequence[Result], metric: str) -> Callable[[], np.ndarray | None]:
    """Return a reader of [R, Q]: the metric by result, in the order of `Cell.seeds`, and query; None if not stored."""
    return partial(_read, board, tuple(results), metric)


def _read(board: Leaderboard, results: Sequence[Result], metric: str) -> np.ndarray | None:
    found = []
    for result in sorted(results, key=lambda one: place((one.row.pretrain_seed, one.row.seed))):
        values = metric_per_query(metric, result.metrics[metric], board.queries(result.row.key or ""))
        if values is None:
            return None
        found.append(values)
    return np.stack(found) if len({(one.shape, np.isnan(one).tobytes()) for one in found}) == 1 else None
