"""All methods against one of them: differences paired over common seeds, or over queries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.matrix.reading.checker import guess
from reidbench.metrics import MetricError
from reidbench.metrics.comparisons.replicates import common
from reidbench.metrics.statistics import Difference, paired_bootstrap, within
from reidbench.report.results import Leaderboard, Result, replicates, without_seed
from reidbench.report.standings import apart, per_query

Cell = Sequence[Result]
NOTHING = Difference(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Paired:
    """Paired difference of two methods on a task, and the number of paired results where the first is better.

    The interval is over seeds, and over pre-trainings if there are several, for the same queries; `unpaired` results
    are left out, because the other method has none with the same seeds. `seedless` is the number of methods that depend
    on no seed. If it is 1, that method has the same value for every seed of the other, and the interval is over the
    other's seeds. If it is 2, the interval is over queries (paired bootstrap), or missing without stored per-query
    results, and `better` is None.

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
    pretrainings: int = 1
    unpaired: int = 0


def differences(board: Leaderboard, against: str, metric: str) -> Iterator[Paired]:
    """Yield paired differences to the method `against`.

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
                sides = (base, own) if _lower(board, evaluator, metric) else (own, base)
                of = Paired(method, task, evaluator, NOTHING, None, _apart(board, own, base, metric), seedless)
                found = (_over_queries if seedless == 2 else _over_seeds)(board, of, *sides, metric)
                if found:
                    yield replace(found, difference=_cut(found.difference, board.metric(evaluator, metric)))


def _lower(board: Leaderboard, evaluator: str, metric: str) -> bool:
    known = board.metric(evaluator, metric)
    return known is not None and known.better == "lower"


def _over_seeds(board: Leaderboard, of: Paired, first: Cell, second: Cell, metric: str) -> Paired | None:
    """Add the difference of two rows over common seeds and pre-trainings; None without a common one."""
    sides = replicates(first, metric), replicates(second, metric)
    pair = common(*sides) if all(sides) else None
    if pair is None:
        return None
    better = int((pair.values[0] > pair.values[1]).sum()) if board.metric(of.evaluator, metric) else None
    counted = replace(of, better=better, pretrainings=pair.pretrainings, unpaired=pair.unpaired)
    return replace(counted, difference=pair.difference())


def _over_queries(board: Leaderboard, of: Paired, first: Cell, second: Cell, metric: str) -> Paired | None:
    """Add the difference of two values without seeds, with an interval over queries if they compare."""
    values = [replicates(side, metric) for side in (first, second)]
    if not all(values):
        return None
    found = Difference(values[0][None, None] - values[1][None, None], math.nan, math.nan, 1)
    own, other = (per_query(side, metric, board.queries) for side in (first, second))
    if own is not None and np.count_nonzero(~np.isnan(own)) > 1:  # one query has no spread
        with suppress(MetricError):  # the other has no per-query results, or other valid queries
            found = replace(paired_bootstrap(own, other), value=found.value)
    return replace(of, difference=found)


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
