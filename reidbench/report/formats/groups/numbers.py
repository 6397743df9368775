"""The numbers of groups of tasks as leaderboards, so that tables treat them like tasks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from reidbench.components import Metric
from reidbench.matrix.families.groups import FORGETTING, Derived
from reidbench.matrix.stage import Row
from reidbench.report.formats.sentences import INCOMPLETE, STATUS_WORDS
from reidbench.report.queries import Arrays, metric_per_query
from reidbench.report.results import Declared, Leaderboard, Result, summarise

Run = Mapping[str, Result]  # the results of one seed and one pre-training, by task


def boards(board: Leaderboard) -> tuple[Leaderboard, Leaderboard]:
    """Return the averages and the forgetting of a board's groups."""
    return averages(board), forgetting(board)


def averages(board: Leaderboard) -> Leaderboard:
    """Return a leaderboard whose tasks are the averages, with the metrics of the board.

    An average is taken over tasks for each seed (and each pre-training), then over seeds like the mean of a task: its
    interval covers other seeds used for all tasks. Only methods with all results of all tasks have it. Queries of all
    tasks are pooled; each task has the same total weight.
    """
    wanted = [number for number in _there(board) if number.name != FORGETTING]
    return _board(board, wanted, board.declared)


def forgetting(board: Leaderboard) -> Leaderboard:
    """Return a leaderboard whose tasks are the forgetting of sequences, for each declared metric; lower is better.

    The sign follows the metric's direction, so that a positive value is worse. Undeclared metrics have no direction and
    no forgetting.
    """
    wanted = [number for number in _there(board) if number.name == FORGETTING]
    declared = {e: {name: _loss(one) for name, one in board.declarations(e).items()} for e in board.evaluators}
    return _board(board, wanted, declared)


def _there(board: Leaderboard) -> list[Derived]:
    """Return the numbers whose tasks the board has."""
    return [number for number in board.groups if set(number.tasks) & set(board.tasks)]


def _loss(metric: Metric) -> Metric:
    """Return the declaration of a metric's forgetting."""
    low, high = metric.ends
    ends = (low - high, high - low) if math.isfinite(high - low) else (None, None)
    return Metric(metric.name, better="lower", unit=metric.unit, range=ends)


def _board(board: Leaderboard, wanted: Sequence[Derived], declared: Declared | None) -> Leaderboard:
    runs: dict[str, tuple[Derived, Run]] = {}  # by key of the derived row
    found = itertools.product(wanted, board.methods, board.evaluators)
    results = tuple(result for place in found for result in _results(board, *place, runs))

    def queries(key: str) -> Arrays:
        return _queries(board, *runs[key]) if key in runs else {}

    summary = tuple(summarise(results, declared))
    return Leaderboard(board.title, results, summary, declared, board.rules, queries)


def _results(
    board: Leaderboard, number: Derived, method: str, evaluator: str, runs: dict[str, tuple[Derived, Run]]
) -> Iterator[Result]:
    """Yield the number of a method by an evaluator for each seed and pre-training, or one incomplete result."""
    cells = {task: board.cell(method, task, evaluator) for task in number.tasks}
    if not any(cells.values()):
        return
    rows = [result.row for results in cells.values() for result in results]
    protocol = ", ".join(dict.fromkeys(word for row in rows for word in row.protocol.split(", ")))
    seeds = list(itertools.product(_known(row.seed for row in rows), _known(row.pretrain_seed for row in rows)))
    lacking = dict(_lacking(cells, seeds))
    if lacking:
        task, why = next(iter(lacking.items()))
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        counted = f"{len(cells) - len(lacking)} of {len(cells)} task{'s' * (len(cells) > 1)}"
        error = f"{counted}: {task}: {why}{more}"
        yield Result(Row(method, number.heading, evaluator, None, None, None, error, protocol), INCOMPLETE, error=error)
        return
    pretrained = any(row.pretrained for row in rows)
    for seed, pretrain_seed in seeds:
        run = {task: _of(results, seed, pretrain_seed)[0] for task, results in cells.items()}
        key = f"{number.heading} of {method} by {evaluator}: {seed}, {pretrain_seed}"
        runs[key] = number, run
        row = Row(method, number.heading, evaluator, seed, pretrain_seed, key, "", protocol, pretrained)
        yield Result(row, "ok", _metrics(board, number, evaluator, run))


def _known(seeds: Iterable[int | None]) -> list[int | None]:
    """Return the seeds in order, or [None] if no task depends on the seed."""
    found: list[int | None] = [seed for seed in dict.fromkeys(seeds) if seed is not None]
    return found or [None]


def _of(results: Sequence[Result], seed: int | None, pretrain_seed: int | None) -> list[Result]:
    """Return the results of a task with a seed and a pre-training; a result without a seed matches any."""
    return [
        result
        for result in results
        if result.row.seed in (seed, None) and result.row.pretrain_seed in (pretrain_seed, None)
    ]


def _lacking(
    cells: Mapping[str, Sequence[Result]], seeds: Sequence[tuple[int | None, int | None]]
) -> Iterator[tuple[str, str]]:
    """Yield the tasks with missing results, and the reason in a word or two."""
    for task, results in cells.items():
        states = [result.status for result in results if result.status != "ok"]
        if states or not results:
            yield task, STATUS_WORDS[states[0]] if states else "not in this table"
        elif not all(len(_of(results, *one)) == 1 for one in seeds):
            yield task, "seeds that differ from the other tasks'"


def _metrics(board: Leaderboard, number: Derived, evaluator: str, run: Run) -> dict[str, float]:
    """Return all metrics that all tasks have."""
    names = [name for name in board.metrics if all(name in result.metrics for result in run.values())]
    values = {name: {task: result.metrics[name] for task, result in run.items()} for name in names}
    if number.name != FORGETTING:
        return {name: _mean([of[task] for (task,) in number.terms]) for name, of in values.items()}
    declared = {name: known for name in names if (known := board.metric(evaluator, name))}
    return {
        name: _mean([_lost([values[name][task] for task in term], known) for term in number.terms])
        for name, known in declared.items()
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _lost(values: Sequence[float], metric: Metric) -> float:
    """Return the best earlier value minus the last, or the reverse if lower is better."""
    *before, last = values
    return max(before) - last if metric.better == "higher" else last - min(before)


def _queries(board: Leaderboard, number: Derived, run: Run) -> Arrays:
    """Return the queries of all tasks of an average by metric, weighted so that their mean is the mean over tasks.

    Empty if an evaluator stores no per-query results, and for forgetting, which is not a mean over queries.
    """
    if number.name == FORGETTING:
        return {}
    found: dict[str, np.ndarray] = {}
    for name in set.intersection(*(set(result.metrics) for result in run.values())):
        parts = [metric_per_query(name, one.metrics[name], board.queries(one.row.key or "")) for one in run.values()]
        known = [part for part in parts if part is not None]
        if len(known) == len(parts):
            counts = [np.count_nonzero(~np.isnan(part)) for part in known]
            weights = [sum(counts) / (len(counts) * count) for count in counts]
            found[name] = np.concatenate([part * weight for part, weight in zip(known, weights, strict=True)])
    return found
