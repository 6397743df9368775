"""Every method against one of them: paired differences over the seeds that both have, or over queries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.metrics import MetricError
from reidbench.metrics.statistics import Difference, paired_bootstrap, paired_seeds, within
from reidbench.report.results import Leaderboard, Result, by_seed, without_seed
from reidbench.report.standings import apart, per_query

Cell = Sequence[Result]
Found = tuple[Difference, int | None]  # and in how many seeds it is for the better


@dataclass(frozen=True)
class Paired:
    """Paired difference of two methods on a task over seeds, and in how many of them the first is better.

    The interval is about other seeds on the same queries. Of the two methods, `seedless` do not depend on `seeds`: the
    one value of one stands for every seed of the other, whose seeds alone the interval is then about. Of two, no seed
    is left to vary: the interval is about other queries (paired bootstrap), or there is none where the evaluator keeps
    no results of the queries, and `better` is None.

    Where less is better, the difference is the other minus the method, so that positive is always better. By a metric
    that the evaluator does not declare nobody knows: the difference is the method minus the other, and `better` None.
    `apart` are the words of their protocols that only one of the two has, and that keep them from being ranked.
    """

    method: str
    task: str
    evaluator: str
    difference: Difference
    better: int | None
    apart: tuple[str, ...] = ()
    seedless: int = 0


def differences(board: Leaderboard, against: str, metric: str) -> Iterator[Paired]:
    """Paired differences to the method `against`; with several pre-trainings, seeds are averaged over them.

    Raises ReidbenchError when there is no such method.
    """
    if against not in board.methods:
        raise ReidbenchError(f"no method named {against!r} (known: {', '.join(board.methods)})")
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
    """The difference and in how many seeds it is for the better; None where they share no seed."""
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
    """Two sides by seed, where the one value of a side without a seed is that of every seed of the other."""
    pairs = zip(sides, reversed(sides), strict=True)
    return [dict.fromkeys(other, side[None]) if None in side else side for side, other in pairs]


def _over_queries(board: Leaderboard, own: Cell, base: Cell, evaluator: str, metric: str) -> Found | None:
    """The difference of two values without a seed, with an interval over queries where these can be compared."""
    known = board.metric(evaluator, metric)
    if known is not None and known.better == "lower":
        own, base = base, own
    mine, other = by_seed(own, metric), by_seed(base, metric)
    if not mine or not other:
        return None
    found = Difference(mine[None] - other[None], math.nan, math.nan, 1)
    first, second = (per_query(side, metric, board.queries) for side in (own, base))
    if first is not None and np.count_nonzero(~np.isnan(first)) > 1:  # one query is no sample of others
        with suppress(MetricError):  # the second has no results of the queries, or other valid ones
            found = replace(paired_bootstrap(first, second), value=found.value)
    return _cut(found, known), None


def _cut(found: Difference, metric: Metric | None) -> Difference:
    """The difference with an interval that ends where differences of a declared metric do."""
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
