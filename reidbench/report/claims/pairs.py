"""Two rows on the tasks of a claim: differences paired by seed and pre-training, and tasks that vary together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reidbench.components import Metric
from reidbench.matrix.claims import Claim, Side
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.stage import Plan
from reidbench.metrics.comparisons.effects import Effect, effect
from reidbench.metrics.comparisons.replicates import Replicate, grids
from reidbench.metrics.statistics import Doubles
from reidbench.report.ranks.cells import why_incomplete
from reidbench.report.results import Leaderboard, Result, replicates

ELSEWHERE = "trained elsewhere"
Trained = Callable[[Result], frozenset[str]]  # ids of the trainings behind a result


@dataclass(frozen=True)
class OnTask:
    """A pair on one task: differences [P, S] by pre-training and seed, positive if the first row is better."""

    task: str
    differences: Doubles
    seeded: bool  # whether any of them depends on seeds
    same: bool  # whether both rows have identical results

    @property
    def mean(self) -> float:
        """Mean over all replicates."""
        return float(self.differences.mean())


@dataclass(frozen=True)
class Pair:
    """Two rows by their names in the claim, the better one first, and the mean difference over the tasks of a claim.

    `groups` are tasks whose differences vary together because they share a training; `pretrained` is True if either
    row has a pre-training. `missing` is the reason why there is no effect, or empty.
    """

    first: str
    second: str
    pretrained: bool = False
    tasks: tuple[OnTask, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    effect: Effect | None = None
    missing: str = ""

    @property
    def seeds(self) -> int:
        """Number of seeds; 0 if nothing depends on them."""
        return min((one.differences.shape[1] for one in self.tasks if one.seeded), default=0)

    @property
    def pretrainings(self) -> int:
        """Number of pre-trainings."""
        return max((one.differences.shape[0] for one in self.tasks), default=0)


def trainings(plan: Plan) -> Trained:
    """Return a function from a result to the keys of the stages behind it that compute from images.

    Features from a file count as one training of their seed, since their origin is unknown.
    """
    found: dict[str, frozenset[str]] = {}

    def of(result: Result) -> frozenset[str]:
        key = result.row.key or ""
        if key not in found:
            stages = [plan.stages[one] for one in plan.behind([result.row])]
            keys = {one.key for one in stages if OF_STAGE[one.kind].context and one.kind != "evaluate"}
            found[key] = frozenset(keys | {f"{ELSEWHERE}, seed {result.row.seed}" for one in stages if one.files})
        return found[key]

    return of


def pair(board: Leaderboard, claim: Claim, metric: Metric, sides: tuple[Side, Side], trained: Trained) -> Pair:
    """Return the differences of two rows by a claim's metric; a missing result leaves no effect."""
    rows = claim.name(sides[0]), claim.name(sides[1])
    cells = {(claim.name(side), task): board.cell(side.row, task, side.by) for task in claim.on for side in sides}
    missing = [_missing(place, results, claim.metric) for place, results in cells.items()]
    if any(missing):
        return Pair(*rows, missing="; ".join(dict.fromkeys(filter(None, missing))))
    sign = -1 if metric.better == "lower" else 1
    on = []
    for task in claim.on:
        values = [replicates(cells[row, task], claim.metric) for row in rows]
        differences, unpaired = _differences(*values)
        if unpaired:
            return Pair(*rows, missing=f"{' and '.join(rows)} on {task} lack results for the same seeds: {unpaired}")
        keys = [{result.row.key for result in cells[row, task]} for row in rows]
        seeded = any(seed is not None for one in values for _, seed in one)
        on.append(OnTask(task, sign * differences, seeded, None not in keys[0] and keys[0] == keys[1]))
    results = {task: [*cells[rows[0], task], *cells[rows[1], task]] for task in claim.on}
    pretrained = any(one.row.pretrained for several in results.values() for one in several)
    return _with_effect(Pair(*rows, pretrained, tuple(on), _groups(results, trained)))


def _missing(place: tuple[str, str], results: Sequence[Result], metric: str) -> str:
    row, task = place
    if not results:
        return f"{row} on {task} is not among these results"
    why = why_incomplete(results, metric)
    return f"{row} on {task}: {why}" if why else ""


def _differences(first: Mapping[Replicate, float], second: Mapping[Replicate, float]) -> tuple[Doubles, str]:
    """Return first - second, [P, S], and the seeds that one side lacks as text, empty if all are paired."""
    one, other = grids(first, second)
    lacking = [
        f"pre-training {pretrained}, seed {seed}" if pretrained is not None else f"seed {seed}"
        for place, pretrained in enumerate(one.pretrainings)
        for column, seed in enumerate(one.seeds)
        if np.isnan(one.values[place, column]) or np.isnan(other.values[place, column])
    ]
    return one.values - other.values, ", ".join(lacking)


# ---------------------------------------------------------------------- tasks that vary together
def _groups(results: Mapping[str, Sequence[Result]], trained: Trained) -> tuple[tuple[str, ...], ...]:
    """Group tasks that share a training of some, but not all, seeds."""
    varying = {task: _varying(several, trained) for task, several in results.items()}
    groups: list[list[str]] = []
    for task in results:
        joined = [group for group in groups if any(varying[task] & varying[other] for other in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([*(other for group in joined for other in group), task])
    return tuple(tuple(task for task in results if task in group) for group in groups)


def _varying(results: Sequence[Result], trained: Trained) -> set[str]:
    """Return the trainings behind results of one task that not all replicates of a row share."""
    found: set[str] = set()
    for row in {result.row.method for result in results}:
        own = [trained(result) for result in results if result.row.method == row]
        found |= frozenset().union(*own) - frozenset.intersection(*own)
    return found


def _with_effect(given: Pair) -> Pair:
    """Add the effect to a pair if every task that depends on seeds has at least two."""
    few = [one.task for one in given.tasks if one.seeded and one.differences.size < 2]
    several = any(one.differences.size > 1 for one in given.tasks)
    missing = ""
    if given.tasks and all(one.same for one in given.tasks):
        missing = f"{given.first} and {given.second} have identical results: there is nothing to compare"
    elif few:
        missing = f"a claim requires at least 2 seeds, and there is 1 on {', '.join(few)}"
    elif not several:
        missing = "neither row depends on a seed, so the spread is unknown"
    if missing:
        return replace(given, missing=missing)
    by_task = {one.task: one.differences for one in given.tasks}
    means = [np.asarray(sum(by_task[task] for task in group) / len(group)) for group in given.groups]
    shares = [len(group) / len(given.tasks) for group in given.groups]
    return replace(given, effect=effect(means, shares))
