"""Rows and their summaries over seeds, read from manifests and from nothing else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np

from ..metrics.statistics import over_seeds, tied_with_best
from ..plan import Plan, Row
from ..store import DamagedArtifact, Store

NOT_COMPARABLE = ("transductive", "truth")  # protocols that are never ranked with others
METRICS = ("mAP", "mINP", "cmc1", "cmc5", "cmc10", "cmc20")
SCORE = "score"  # of competitions: 0.5 rank 1 + 0.5 mAP; shown where it is asked for


@dataclass(frozen=True)
class Result:
    """One row with its outcome: ok, failed, blocked, not-applicable or missing.

    `notes` are what the stages behind the row noted (dropped, skipped, assumed), each as "STAGE: sentence".
    """

    row: Row
    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One metric of a method on a task by an evaluator, over `n` seeds.

    `mean`, `sd` (of a sample, n - 1) and `ci95` (Student's t) are fractions; `sd` and `ci95` are None for one
    seed. With several pre-trainings the mean is first taken over them, seed by seed: they are no further seeds.
    """

    method: str
    task: str
    evaluator: str
    metric: str
    n: int
    pretrainings: int
    mean: float
    sd: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class Leaderboard:
    """Everything that a table shows."""

    title: str
    results: tuple[Result, ...]
    summary: tuple[Summary, ...]

    @cached_property
    def methods(self) -> list[str]:
        """Methods in the order of the matrix file."""
        return list(dict.fromkeys(result.row.method for result in self.results))

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks in the order of the matrix file."""
        return list(dict.fromkeys(result.row.task for result in self.results))

    @cached_property
    def evaluators(self) -> list[str]:
        """Evaluators in the order of the matrix file."""
        return list(dict.fromkeys(result.row.evaluator for result in self.results))

    @cached_property
    def metrics(self) -> list[str]:
        """The usual metrics first, then whatever else evaluators gave."""
        given = {name for result in self.results for name in result.metrics}
        return [name for name in METRICS if name in given] + sorted(given - set(METRICS))

    def cell(self, method: str, task: str, evaluator: str) -> list[Result]:
        """The results of all seeds of one cell."""
        return self._cells.get((method, task, evaluator), [])

    def summarised(self, method: str, task: str, evaluator: str) -> dict[str, Summary]:
        """The summaries of one cell by metric."""
        return self._summaries.get((method, task, evaluator), {})

    @cached_property
    def _cells(self) -> dict[tuple[str, str, str], list[Result]]:
        cells: dict[tuple[str, str, str], list[Result]] = {}
        for result in self.results:
            cells.setdefault((result.row.method, result.row.task, result.row.evaluator), []).append(result)
        return cells

    @cached_property
    def _summaries(self) -> dict[tuple[str, str, str], dict[str, Summary]]:
        cells: dict[tuple[str, str, str], dict[str, Summary]] = {}
        for summary in self.summary:
            cells.setdefault((summary.method, summary.task, summary.evaluator), {})[summary.metric] = summary
        return cells


def collect(plan: Plan, store: Store, *, score: bool = False) -> Leaderboard:
    """Read the results of a plan from the store; with `score` also the mean of rank 1 and mAP."""
    behind = _Behind(plan, store)
    results = tuple(_result(row, plan, store, behind) for row in plan.rows)
    if score:
        results = tuple(_scored(result) for result in results)
    return Leaderboard(plan.benchmark.title, results, tuple(summarise(results)))


def _scored(result: Result) -> Result:
    parts = [result.metrics[name] for name in ("cmc1", "mAP") if name in result.metrics]
    return replace(result, metrics={**result.metrics, SCORE: sum(parts) / 2}) if len(parts) == 2 else result


class _Behind:
    """What the stages behind a row have noted, and the protocol words that only their data could tell."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.told: dict[str, tuple[dict[str, None], dict[str, None]]] = {}

    def of(self, key: str) -> tuple[dict[str, None], dict[str, None]]:
        """Protocol words and notes of a stage and of all that it was made from, without repetition."""
        if key not in self.told:
            words: dict[str, None] = {}
            notes: dict[str, None] = {}
            for parent in dict.fromkeys(self.plan.stages[key].needs):
                earlier = self.of(parent)
                words |= earlier[0]
                notes |= earlier[1]
            with suppress(KeyError, DamagedArtifact):
                artifact = self.store.manifest(key)
                words |= dict.fromkeys(map(str, artifact.manifest.get("protocol", ())))
                notes |= dict.fromkeys(f"{self.plan.stages[key].label}: {text}" for text in artifact.notes)
            self.told[key] = words, notes
        return self.told[key]


def _result(row: Row, plan: Plan, store: Store, behind: _Behind) -> Result:
    if row.key is None:
        return Result(row, "not-applicable", error=row.reason)
    try:
        manifest = store.manifest(row.key).manifest
        numbers = _numbers(row.key, manifest["metrics"])
        words, notes = behind.of(row.key)
        return Result(replace(row, protocol=", ".join([row.protocol, *words])), "ok", numbers, notes=tuple(notes))
    except DamagedArtifact:
        return Result(row, "missing", error="its result is damaged; run again")
    except KeyError:
        return _why_missing(row, row.key, plan, store)


def _numbers(key: str, metrics: object) -> dict[str, float]:
    """Metrics by name. Raises DamagedArtifact for what no evaluator of ours can have published."""
    if not isinstance(metrics, dict) or not all(
        type(value) in (int, float) and math.isfinite(value) for value in metrics.values()
    ):
        raise DamagedArtifact(key, f"{key}: its metrics are no numbers")
    return dict(sorted(metrics.items()))


def _why_missing(row: Row, key: str, plan: Plan, store: Store) -> Result:
    own = store.failure(key)
    if own is not None:
        return Result(row, "failed", error=f"{plan.stages[key].label}: {own}")
    waiting, seen = list(plan.stages[key].needs), set()
    while waiting:
        parent = waiting.pop()
        if parent in seen or store.has(parent):
            continue
        seen.add(parent)
        reason = store.failure(parent)
        if reason is not None:
            return Result(row, "blocked", error=f"{plan.stages[parent].label}: {reason}")
        waiting += plan.stages[parent].needs
    return Result(row, "missing", error="not run yet")


def summarise(results: Sequence[Result]) -> list[Summary]:
    """Mean, standard deviation and 95 % interval over seeds, for each cell and metric that has a number."""
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.status == "ok":
            row = result.row
            cells.setdefault((row.method, row.task, row.evaluator), []).append(result)
    summaries = []
    for (method, task, evaluator), members in cells.items():
        for metric in dict.fromkeys(name for member in members for name in member.metrics):
            by_seed: dict[int, list[float]] = {}
            for member in members:
                if metric in member.metrics:
                    by_seed.setdefault(member.row.seed, []).append(member.metrics[metric])
            values = [math.fsum(numbers) / len(numbers) for numbers in by_seed.values()]
            pretrainings = len({m.row.pretrain_seed for m in members if m.row.pretrain_seed is not None})
            mean, sd, ci95 = mean_interval(values)
            summaries.append(Summary(method, task, evaluator, metric, len(values), pretrainings, mean, sd, ci95))
    return summaries


def mean_interval(values: Sequence[float]) -> tuple[float, float | None, tuple[float, float] | None]:
    """Mean, sample standard deviation and the 95 % Student-t interval of the mean."""
    interval = over_seeds(values)
    if interval.n < 2:
        return interval.value, None, None
    return interval.value, statistics.stdev(values), (interval.low, interval.high)


@dataclass(frozen=True)
class Place:
    """Where a method stands in one column.

    `rank` is one more than the number of methods that are better beyond noise, `tied` how many share it, and `beats`
    the number that are worse beyond noise, of `rivals` with itself. `kind` names what sets them apart from others
    (transductive, truth), or is empty.
    """

    rank: int
    tied: int
    beats: int
    rivals: int
    kind: tuple[str, ...] = ()


def leaders(board: Leaderboard, task: str, evaluator: str, metric: str) -> set[str]:
    """The methods that no other is better than beyond noise, in one column: the best, and those tied with it.

    Paired over seeds. Rows that saw the test images, or the truth, are compared only with their like.
    """
    found: set[str] = set()
    for rows in _comparable(board, task, evaluator, metric).values():
        tied = tied_with_best(list(rows.values()))
        found |= {method for method, leads in zip(rows, tied, strict=True) if leads}
    return found


def places(board: Leaderboard, task: str, evaluator: str, metric: str) -> dict[str, Place]:
    """The place of every method that has a number in one column; two are compared as in `leaders`."""
    found: dict[str, Place] = {}
    for kind, rows in _comparable(board, task, evaluator, metric).items():
        beaten = _beaten(list(rows.values()))
        ranks = (1 + beaten.sum(0)).tolist()
        for method, rank, beats in zip(rows, ranks, beaten.sum(1).tolist(), strict=True):
            found[method] = Place(rank, ranks.count(rank), beats, len(rows), kind)
    return found


def _beaten(rows: list[list[float]]) -> np.ndarray:
    """[M, M] bool: whether row i is better than row j beyond noise, by the rule of `tied_with_best`.

    Rows over equally many seeds, as all are where nothing failed, are compared at once: a pair of its own costs a
    tenth of a millisecond, and there are M x M.
    """
    found = np.zeros((len(rows), len(rows)), dtype=bool)
    counts = np.array([len(row) for row in rows])
    for count in np.unique(counts[counts > 1]).tolist():
        alike = np.flatnonzero(counts == count)
        values = np.array([rows[i] for i in alike])
        quantile = _quantile(count - 1) / math.sqrt(count)
        for i, row in zip(alike.tolist(), values, strict=True):
            ahead = row - values
            found[i, alike] = ahead.mean(1) - quantile * ahead.std(1, ddof=1) > 0
    for i, j in np.argwhere(counts[:, None] != counts).tolist():
        found[i, j] = tied_with_best([rows[i], rows[j]]) == [True, False]
    return found


@cache
def _quantile(freedom: int) -> float:
    """Of Student's t, for 95 % on both sides."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def _comparable(
    board: Leaderboard, task: str, evaluator: str, metric: str
) -> dict[tuple[str, ...], dict[str, list[float]]]:
    """The values of all methods in one column, apart by the words of `NOT_COMPARABLE` in their protocol."""
    groups: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for method in board.methods:
        results = board.cell(method, task, evaluator)
        values = [result.metrics[metric] for result in results if metric in result.metrics]
        if values:
            groups.setdefault(apart(results[0].row.protocol), {})[method] = values
    return groups


def apart(protocol: str) -> tuple[str, ...]:
    """The words of a protocol that keep it from being ranked with those that have them not."""
    words = protocol.split(", ")
    return tuple(word for word in NOT_COMPARABLE if word in words)
