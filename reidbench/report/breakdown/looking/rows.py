"""A closer look at every row of a leaderboard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reidbench.report.html.ranked import Thumbnails
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.report.results import Leaderboard, Result

from .section import Look, Wanted, look
from .subject import Place


@dataclass(frozen=True)
class Seen:
    """The look at a method on a task, by its first seed; `evaluator` is the first with a result."""

    method: str
    task: str
    evaluator: str
    look: Look


def looks(board: Leaderboard, evidence: Evidence, options: Options, thumbnails: Thumbnails) -> Iterator[Seen]:
    """Yield a look at each method and task with a result, with as many queries as ranked lists; none without `look`."""
    if options.look is None:
        return
    wanted = Wanted(worst=options.ranked, load=options.look)
    for task in board.tasks:
        for method in board.methods:
            good = _of_one_seed(board, method, task)
            if good:
                keys = {result.row.evaluator: result.row.key or "" for result in good}
                name = f"{method} on {task}" + ("" if good[0].row.seed is None else f", seed {good[0].row.seed}")
                place = Place(name, evidence.store, evidence.plan.stages, keys, options.pictures)
                yield Seen(method, task, good[0].row.evaluator, look([place], wanted, thumbnails))


def _of_one_seed(board: Leaderboard, method: str, task: str) -> list[Result]:
    """Return the results of the first seeds with one, by each evaluator."""
    cells = (result for evaluator in board.evaluators for result in board.cell(method, task, evaluator))
    good = [result for result in cells if result.status == "ok"]
    seeds = [(result.row.seed, result.row.pretrain_seed) for result in good]
    return [result for result, own in zip(good, seeds, strict=True) if own == seeds[0]]
