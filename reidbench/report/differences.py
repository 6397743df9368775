"""Every method against one of them: paired differences over the seeds that both have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ReidbenchError
from ..metrics.statistics import Difference, paired_seeds
from .results import Leaderboard, apart


@dataclass(frozen=True)
class Paired:
    """One method minus another on a task: the difference over seeds, and in how many of them it was better.

    `apart` are the words of their protocols that only one of the two has, and that keep them from being ranked.
    """

    method: str
    task: str
    evaluator: str
    difference: Difference
    better: int
    apart: tuple[str, ...] = ()


def differences(board: Leaderboard, against: str, metric: str) -> Iterator[Paired]:
    """Paired differences to the method `against`; with several pre-trainings, seeds are averaged over them.

    Raises ReidbenchError when there is no such method.
    """
    if against not in board.methods:
        raise ReidbenchError(f"no method named {against!r} (known: {', '.join(board.methods)})")
    for task in board.tasks:
        for evaluator in board.evaluators:
            base = _by_seed(board, against, task, evaluator, metric)
            for method in board.methods:
                own = _by_seed(board, method, task, evaluator, metric)
                seeds = sorted(own.keys() & base.keys())
                if method != against and seeds:
                    pair = paired_seeds([own[seed] for seed in seeds], [base[seed] for seed in seeds])
                    better = sum(own[seed] > base[seed] for seed in seeds)
                    yield Paired(method, task, evaluator, pair, better, _apart(board, method, against, task, evaluator))


def _apart(board: Leaderboard, one: str, other: str, task: str, evaluator: str) -> tuple[str, ...]:
    words = [set(apart(board.cell(method, task, evaluator)[0].row.protocol)) for method in (one, other)]
    return tuple(sorted(words[0] ^ words[1]))


def _by_seed(board: Leaderboard, method: str, task: str, evaluator: str, metric: str) -> dict[int, float]:
    values: dict[int, list[float]] = {}
    for result in board.cell(method, task, evaluator):
        if metric in result.metrics:
            values.setdefault(result.row.seed, []).append(result.metrics[metric])
    return {seed: sum(numbers) / len(numbers) for seed, numbers in values.items()}
