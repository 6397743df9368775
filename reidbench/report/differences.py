"""Every method against one of them: paired differences over the seeds that both have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.metrics.statistics import Difference, paired_seeds, within

from .results import Leaderboard, Result, by_seed
from .standings import apart


@dataclass(frozen=True)
class Paired:
    """Paired difference of two methods on a task over seeds, and in how many of them the first is better.

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


def differences(board: Leaderboard, against: str, metric: str) -> Iterator[Paired]:
    """Paired differences to the method `against`; with several pre-trainings, seeds are averaged over them.

    Raises ReidbenchError when there is no such method.
    """
    if against not in board.methods:
        raise ReidbenchError(f"no method named {against!r} (known: {', '.join(board.methods)})")
    for task in board.tasks:
        for evaluator in board.evaluators:
            base = board.cell(against, task, evaluator)
            for method in board.methods:
                own = board.cell(method, task, evaluator)
                pair = _pair(by_seed(own, metric), by_seed(base, metric), board.metric(evaluator, metric))
                if method != against and pair:
                    yield Paired(method, task, evaluator, *pair, _apart(board, own, base, metric))


def _pair(own: dict[int, float], base: dict[int, float], metric: Metric | None) -> tuple[Difference, int | None] | None:
    """The difference and in how many seeds it is for the better; None where they share no seed."""
    seeds = sorted(own.keys() & base.keys())
    if not seeds:
        return None
    if metric is not None and metric.better == "lower":
        own, base = base, own
    found = paired_seeds([own[seed] for seed in seeds], [base[seed] for seed in seeds])
    if metric is None:
        return found, None
    low, high = metric.ends
    low, high = within(found.low, found.high, (low - high, high - low))
    return replace(found, low=low, high=high), sum(own[seed] > base[seed] for seed in seeds)


def _apart(board: Leaderboard, own: Sequence[Result], base: Sequence[Result], metric: str) -> tuple[str, ...]:
    words = [
        {word for result in results if metric in result.metrics for word in _words(board, result.row.protocol)}
        for results in (own, base)
    ]
    return tuple(sorted(words[0] ^ words[1]))


def _words(board: Leaderboard, protocol: str) -> tuple[str, ...]:
    return (*apart(protocol), *board.rule_words(protocol))
