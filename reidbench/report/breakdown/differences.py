"""All methods against one of them: differences paired over common seeds, or over queries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.matrix.reading.checker import guess
from reidbench.metrics import MetricError
from reidbench.metrics.statistics import Difference, paired_bootstrap, paired_seeds, within
from reidbench.report.results import Leaderboard, Result, by_seed, without_seed
from reidbench.report.standings import apart, per_query

Cell = Sequence[Result]
Found = tuple[Difference, int | None]  # and the number of seeds where the method is better


@dataclass(frozen=True)
class Paired:
    """Paired difference of two methods on a task over seeds, and the number of seeds where the first is better.

    The interval is over seeds, for the same queries. `seedless` is the number of methods that do not depend on `seeds`.
    If it is 1, that method has the same value for every seed of the other, and the interval is over the other's seeds.
    If it is 2, the interval is over queries (paired bootstrap), or missing without stored per-query results, and
    `better` is None.

    The sign is such that positive is better, also if lower values are better. For an undeclared metric, the difference
    is the method minus the other, and `better` is None. `apart` are the protocol words that only one of the two has and
    that exclude a common ranking.
    """

    method: str
    task: str
    evaluator: str
    difference: Difference
    better: int | None
    apart: tuple[str, ...] = ()
    seedless: int = 0


def differences(board: Leaderboard, against: str, metric: str) -> Iterator[Paired]:
    """Yield paired differences to the method `against`; values of several pre-trainings are averaged by seed.

    Raises ReidbenchError for an unknown method.
    """
    if against not in board.methods:
        raise ReidbenchError(
            f"unknown method {against!r}{guess(against, board.methods)} (known: {', '.join(board.methods)})"
        )
    for task in board.tasks:
        for evaluator in board.evaluators:
            base = board.cell(against, task, evaluator)
            for method in (name for name in board.methods if name != against):
                own = board.cell(method, task, evaluator)
                seedless = without_seed(own) + without_seed(base)
                compare = _over_queries if seedless == 2 else _over_seeds
                found = compare(board, own, base, evaluator, metric)
                if found:
                    yield Paired(method, task, evaluator, *found, _apart(board, own, base, metric), seedless)


def _over_seeds(board: Leaderboard, own: Cell, base: Cell, evaluator: str, metric: str) -> Found | None:
    """Return the difference and the number of seeds where it is positive; None without common seeds."""
    mine, other = _for_all(by_seed(own, metric), by_seed(base, metric))
    seeds = [seed for seed in mine if seed in other]
    if not seeds:
        return None
    known = board.metric(evaluator, metric)
    if known is not None and known.better == "lower":
        mine, other = other, mine
    found = paired_seeds([mine[seed] for seed in seeds], [other[seed] for seed in seeds])
    return _cut(found, known), sum(mine[seed] > other[seed] for seed in seeds) if known else None


def _for_all(*sides: Mapping[int | None, float]) -> list[Mapping[int | None, float]]:
    """Return both sides by seed; a value without a seed is repeated for every seed of the other side."""
    pairs = zip(sides, reversed(sides), strict=True)
    return [dict.fromkeys(other, side[None]) if None in side else side for side, other in pairs]


def _over_queries(board: Leaderboard, own: Cell, base: Cell, evaluator: str, metric: str) -> Found | None:
    """Return the difference of two values without seeds, with an interval over queries if they compare."""
    known = board.metric(evaluator, metric)
    if known is not None and known.better == "lower":
        own, base = base, own
    mine, other = by_seed(own, metric), by_seed(base, metric)
    if not mine or not other:
        return None
    found = Difference(mine[None] - other[None], math.nan, math.nan, 1)
    first, second = (per_query(side, metric, board.queries) for side in (own, base))
    if first is not None and np.count_nonzero(~np.isnan(first)) > 1:  # one query has no spread
        with suppress(MetricError):  # the second has no per-query results, or other valid queries
            found = replace(paired_bootstrap(first, second), value=found.value)
    return _cut(found, known), None


def _cut(found: Difference, metric: Metric | None) -> Difference:
    """Clip the interval of a difference to the range of a declared metric."""
    if metric is None:
        return found
    low, high = metric.ends
    low, high = within(found.low, found.high, (low - high, high - low))
    return replace(found, low=low, high=high)


def _apart(board: Leaderboard, own: Cell, base: Cell, metric: str) -> tuple[str, ...]:
    words = [
        {word for result in results if metric in result.metrics for word in _words(board, result.row.protocol)}
        for results in (own, base)
    ]
    return tuple(sorted(words[0] ^ words[1]))


def _words(board: Leaderboard, protocol: str) -> tuple[str, ...]:
    return (*apart(protocol), *board.rule_words(protocol))
