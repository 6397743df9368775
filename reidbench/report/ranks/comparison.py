"""Select the methods and tasks to compare by ranks, and compare them; missing values are not imputed.

Independent of boards, so that cells of several files can be compared; `cells.py` makes them from a board.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics import MetricError
from reidbench.metrics.comparisons.overtasks import (
    FEWEST_TASKS,
    RankIntervals,
    borda,
    cliques,
    critical_difference,
    friedman,
    mean_rank,
    nemenyi,
    rank_intervals,
    task_ranks,
    win_rate,
)
from reidbench.metrics.comparisons.replicates import Replicate
from reidbench.metrics.statistics import Interval
from reidbench.report.standings import NOT_COMPARABLE
from reidbench.words import ON_TEST_LABELS

Kind = tuple[str, ...]
Place = tuple[str, str]  # method, task
Groups = tuple[tuple[str, ...], ...]
LEVEL = 0.95
NO_ROW = "no such row"


def no_queries() -> np.ndarray | None:
    """Return None: no per-query results."""
    return None


@dataclass(frozen=True)
class Cell:
    """A method on a task by one evaluator and metric.

    Cells of different `kind` (protocol words, evaluator rules) are never ranked together. `seeds` are the values by
    pre-training (None if there is one at most) and seed (None if the cell depends on none). A cell is `complete` if it
    has all results; otherwise `why` is the reason. `queries` reads [R, Q], the metric by result and query with NaN for
    invalid queries, or None if not stored. `results` are the keys of its evaluations: two tasks with the same keys for
    all methods count once. `target` identifies the queries: the bootstrap draws the same queries for tasks of one
    target.
    """

    method: str
    task: str
    kind: Kind
    seeds: Mapping[Replicate, float]
    complete: bool
    why: str = ""
    queries: Callable[[], np.ndarray | None] = field(default=no_queries, repr=False, compare=False)
    results: frozenset[str] = frozenset()
    target: str = ""

    @property
    def value(self) -> float:
        """Mean over seeds and pre-trainings."""
        return sum(self.seeds.values()) / len(self.seeds)

    @property
    def one_seed(self) -> bool:
        """Return whether it has only one of several possible seeds, so that its spread is unknown."""
        return len(self.seeds) == 1 and (None, None) not in self.seeds


@dataclass(frozen=True)
class LeftOut:
    """A method or a task with results of this kind that is not compared, and the reason."""

    what: Literal["method", "task"]
    name: str
    why: str


@dataclass(frozen=True)
class RankTest:
    """Friedman's test that all methods have equal ranks, followed by Nemenyi's test of mean ranks.

    `difference` is the critical difference of two mean ranks; `groups` are the longest runs of methods, by mean rank,
    without a pair that differs by it. If Friedman's test does not reject (`p` above 5 %), one group has all methods.
    """

    p: float
    difference: float
    groups: Groups
    name: str = "Nemenyi"


@dataclass(frozen=True)
class Comparison:
    """Methods of one kind over the tasks on which all of them are complete, by one evaluator and metric.

    Arrays are in the order of the compared `methods` [M] and `tasks` [T]: `values` [M, T] as the evaluator gave them
    (means over seeds), `ranks` [M, T] with 1 for the best and mean ranks for ties. `intervals` are 95 % intervals of
    the mean rank over queries and seeds, and `groups` the longest runs of methods, by mean rank, without a significant
    difference; if both are None, `no_intervals` is the reason. If `test` is None, `no_test` is the reason.

    `cells` are all complete cells of this kind, including those of `left_out` methods and tasks; `missing` has the
    other cells of these methods and tasks with reasons. `one_seed` are methods with a single seed on a task: the
    intervals never separate them from others.
    """

    evaluator: str
    metric: str
    better: str
    kind: Kind
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    values: np.ndarray
    ranks: np.ndarray
    mean_rank: np.ndarray
    win_rate: np.ndarray
    borda: np.ndarray
    intervals: tuple[Interval, ...] | None
    groups: Groups | None
    no_intervals: str
    test: RankTest | None
    no_test: str
    cells: Mapping[Place, Cell]
    missing: Mapping[Place, str]
    left_out: tuple[LeftOut, ...]
    one_seed: tuple[str, ...]

    @property
    def order(self) -> list[int]:
        """Indices of the methods from the best mean rank to the worst; ties in file order."""
        return [int(place) for place in np.argsort(self.mean_rank, kind="stable")]

    @property
    def same_images(self) -> list[tuple[str, ...]]:
        """Groups of two or more tasks with the same test images."""
        targets: dict[str, list[str]] = {}
        for task in self.tasks:
            target = self.cells[self.methods[0], task].target
            targets.setdefault(target or f"only {task}", []).append(task)
        return [tuple(tasks) for tasks in targets.values() if len(tasks) > 1]

    @property
    def all_methods(self) -> tuple[str, ...]:
        """Compared methods, then those left out."""
        return (*self.methods, *(one.name for one in self.left_out if one.what == "method"))

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """Compared tasks, then those left out."""
        return (*self.tasks, *(one.name for one in self.left_out if one.what == "task"))


def comparisons(cells: Sequence[Cell], evaluator: str, metric: str, better: str) -> list[Comparison]:
    """Return a comparison for each kind with at least two methods and two tasks, in the order of the cells.

    Methods of a kind are sorted by the number of tasks on which they are complete. Of the first two, first three, and
    so on, the set with the greatest product of methods and common complete tasks is compared, ties in favour of more
    methods. Two tasks with the same results for all of them count once.
    """
    kinds = _kinds(cells)
    found = []
    for kind, pool in kinds.items():
        methods, tasks = pool.chosen()
        if methods:
            shown = _without_shared(kind, kinds)
            found.append(_compared(pool, methods, tasks, (evaluator, metric, better, shown)))
    return found


@dataclass(frozen=True)
class Refused:
    """Methods with rows of one kind that are not compared, and the reason."""

    kind: Kind
    methods: tuple[str, ...]
    why: str


def without_comparison(cells: Sequence[Cell]) -> list[Refused]:
    """Return the kinds without a comparison."""
    kinds = _kinds(cells)
    return [
        Refused(_without_shared(kind, kinds), tuple(pool.methods), pool.refusal)
        for kind, pool in kinds.items()
        if not pool.chosen()[0]
    ]


def _kinds(cells: Sequence[Cell]) -> dict[Kind, _Pool]:
    """Group cells by kind. An incomplete cell belongs to the kinds of its method's complete cells, if any.

    Some protocol words are measured during the run, so a failed row may lack words that the method's other rows have.
    """
    of_method: dict[str, dict[Kind, None]] = {}
    for cell in cells:
        if cell.complete:
            of_method.setdefault(cell.method, {})[cell.kind] = None
    members: dict[Kind, list[Cell]] = {}
    for cell in cells:
        for kind in [cell.kind] if cell.complete else of_method.get(cell.method, [cell.kind]):
            members.setdefault(kind, []).append(cell)
    places = {(cell.method, cell.task): cell for cell in cells}
    return {kind: _Pool(kind, own, places) for kind, own in members.items()}


def _without_shared(kind: Kind, kinds: Mapping[Kind, _Pool]) -> Kind:
    """Return the words of a kind without rules that all kinds share."""
    shared = set.intersection(*map(set, kinds)) - set(NOT_COMPARABLE)
    return tuple(word for word in kind if word not in shared)


class _Pool:
    """The cells of one kind, and the other cells of its methods and tasks."""

    def __init__(self, kind: Kind, own: Sequence[Cell], places: Mapping[Place, Cell]) -> None:
        self.kind, self.places = kind, places
        self.methods = list(dict.fromkeys(cell.method for cell in own))
        self.tasks = list(dict.fromkeys(cell.task for cell in own))
        self.complete = {(cell.method, cell.task): cell for cell in own if cell.complete}

    def tasks_of(self, method: str) -> list[str]:
        return [task for task in self.tasks if (method, task) in self.complete]

    def chosen(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the methods and tasks to compare; none without two of each, and none that test labels chose."""
        if ON_TEST_LABELS in self.kind:
            return (), ()
        ordered = sorted(self.methods, key=lambda method: -len(self.tasks_of(method)))
        seen: dict[str, int] = dict.fromkeys(self.tasks, 0)  # tasks with the same number have the same results
        numbers: dict[tuple[int, frozenset[str]], int] = {}
        best, size = 0, 0
        compared: tuple[str, ...] = ()
        for count, method in enumerate(ordered, 1):
            cells = {task: self.complete[method, task] for task in seen if (method, task) in self.complete}
            seen = {
                task: numbers.setdefault((seen[task], cell.results or frozenset({task})), len(numbers))
                for task, cell in cells.items()
            }
            tasks = tuple({number: task for task, number in reversed(seen.items())}.values())[::-1]
            if count > 1 and len(tasks) > 1 and count * len(tasks) >= size:
                best, compared, size = count, tasks, count * len(tasks)
        methods = set(ordered[:best])
        return tuple(method for method in self.methods if method in methods), compared

    @property
    def refusal(self) -> str:
        """The reason why nothing can be compared."""
        if ON_TEST_LABELS in self.kind:
            return "rows chosen on test labels are never ranked, not even with each other"
        counts = {method: len(self.tasks_of(method)) for method in self.methods}
        if len([method for method, count in counts.items() if count > 1]) < 2:
            return "fewer than two methods are complete on two or more tasks"
        return "no two methods are complete on the same two tasks with different results"

    def missing(self) -> Iterator[tuple[Place, str]]:
        for method in self.methods:
            for task in self.tasks:
                if (method, task) not in self.complete:
                    yield (method, task), self._why(self.places.get((method, task)))

    def _why(self, cell: Cell | None) -> str:
        if cell is None:
            return NO_ROW
        words = [word for word in cell.kind if word not in self.kind] or ["none of these words"]
        return f"its row is of a different kind ({', '.join(words)})" if cell.complete else cell.why


def _left_out(pool: _Pool, methods: Sequence[str], tasks: Sequence[str]) -> Iterator[LeftOut]:
    compared = {*methods}, {*tasks}
    for method in pool.methods:
        if method not in compared[0]:
            count, total = len(pool.tasks_of(method)), len(pool.tasks)
            yield LeftOut("method", method, f"complete on {count} of {total} tasks")
    for task in pool.tasks:
        if task not in compared[1]:
            lacking = [method for method in methods if (method, task) not in pool.complete]
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            yield LeftOut(
                "task",
                task,
                f"not complete for {', '.join(lacking[:3])}{more}"
                if lacking
                else f"same results as on {_same(pool, methods, tasks, task)}, which counts once",
            )


def _same(pool: _Pool, methods: Sequence[str], tasks: Sequence[str], task: str) -> str:
    """Return the compared task that has the same results as another one."""
    return next(
        other
        for other in tasks
        if all(pool.complete[method, other].results == pool.complete[method, task].results for method in methods)
    )


def _compared(
    pool: _Pool, methods: tuple[str, ...], tasks: tuple[str, ...], about: tuple[str, str, str, Kind]
) -> Comparison:
    table = [[pool.complete[method, task] for task in tasks] for method in methods]
    values = np.array([[cell.value for cell in row] for row in table])
    sign = 1.0 if about[2] == "higher" else -1.0
    ranks = task_ranks(sign * values)
    one_seed = tuple(row[0].method for row in table if any(cell.one_seed for cell in row))
    means = mean_rank(ranks)
    found, no_intervals = _intervals(table, sign)
    intervals = tuple(map(_around, found.intervals, means.tolist())) if found else None
    test, no_test = _test(methods, ranks)
    return Comparison(
        *about,
        methods,
        tasks,
        values,
        ranks,
        means,
        win_rate(ranks),
        borda(ranks),
        intervals,
        _groups(methods, means, _apart(found, [method in one_seed for method in methods])) if found else None,
        no_intervals,
        test,
        no_test,
        pool.complete,
        dict(pool.missing()),
        tuple(_left_out(pool, methods, tasks)),
        one_seed,
    )


def _intervals(table: Sequence[Sequence[Cell]], sign: float) -> tuple[RankIntervals | None, str]:
    """Return intervals of the mean ranks of [M][T] cells, or the reason why there are none."""
    tasks = [list(column) for column in zip(*table, strict=True)]
    targets = [column[0].target or column[0].task for column in tasks]
    seeds = [[tuple(cell.seeds) for cell in column] for column in tasks]
    try:
        return rank_intervals((_answers(column, sign) for column in tasks), targets, seeds, LEVEL), ""
    except MetricError as error:
        return None, str(error)


def _around(interval: Interval, mean: float) -> Interval:
    """Return an interval around the mean rank by metrics, which differs by rounding from means over queries."""
    return replace(interval, value=mean, low=min(interval.low, mean), high=max(interval.high, mean))


def _answers(column: Sequence[Cell], sign: float) -> list[np.ndarray]:
    """Return the per-query results of all methods of a task. Raises MetricError if they do not allow intervals."""
    found = []
    for cell in column:
        queries = cell.queries()
        if queries is None:
            raise MetricError(f"{cell.method} on {cell.task} has no stored per-query results")
        found.append(sign * queries)
    if len({np.isnan(one[0]).tobytes() for one in found}) > 1:
        raise MetricError(f"the methods have different valid queries on {column[0].task}")
    if np.count_nonzero(~np.isnan(found[0][0])) < 2:
        raise MetricError(f"{column[0].task} has only one valid query, and a bootstrap requires two")
    return found


def _apart(found: RankIntervals, alone: Sequence[bool]) -> NDArray[np.bool_]:
    """Return [M, M]: which methods differ significantly; methods with a single seed never do."""
    several = ~np.array(alone)
    apart: NDArray[np.bool_] = (found.better | found.better.T) & several & several[:, None]
    return apart


def _groups(methods: Sequence[str], means: np.ndarray, apart: NDArray[np.bool_]) -> Groups:
    return tuple(tuple(methods[i] for i in clique) for clique in cliques(means, apart))


def _test(methods: Sequence[str], ranks: np.ndarray) -> tuple[RankTest | None, str]:
    tasks = ranks.shape[1]
    if tasks < FEWEST_TASKS:
        return None, f"a rank test requires at least {FEWEST_TASKS} tasks, and there are {tasks}"
    p = friedman(ranks).p
    apart = nemenyi(ranks, LEVEL) if p <= 1 - LEVEL else np.zeros((len(methods), len(methods)), bool)
    return RankTest(p, critical_difference(len(methods), tasks, LEVEL), _groups(methods, mean_rank(ranks), apart)), ""
